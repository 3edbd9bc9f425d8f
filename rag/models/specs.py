"""A model that somebody may use, with all that calling it takes; and the configuration it comes from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from rag.models.factories import BUILTIN, Factory, ModelKind, factory_of


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model.

    name, provider: the two parts of its id. protocol: the provider whose protocol it speaks; "": `provider`'s.
    remote: the provider's name for it, where that is not `name`.
    base_url: as it was given; "": the provider's own address.
    query: parameters for each call in place of the provider's.
    is_guarded: a tenant gave the address: it must be public, or allowed.
    row_id: of the tenant's row, by which its tokens are counted; "": from the settings.
    """

    name: str
    provider: str
    kind: ModelKind
    protocol: str = ""
    base_url: str = ""
    api_key: str = field(default="", repr=False)
    context_tokens: int = 8192
    timeout_s: float = 600.0
    attempts: int = 5
    batch_size: int = 16
    concurrency: int = 16
    remote: str = ""
    query: tuple[tuple[str, str], ...] = ()
    is_guarded: bool = False
    row_id: str = ""

    @property
    def id(self) -> str:
        """`name@provider`."""
        return f"{self.name}@{self.provider}"

    @property
    def is_builtin(self) -> bool:
        """Whether it is in this program."""
        return self.provider == BUILTIN

    @property
    def factory(self) -> Factory:
        """How its provider is asked."""
        return factory_of(self.protocol or self.provider)

    @property
    def remote_name(self) -> str:
        """As the provider knows it."""
        return self.remote or self.factory.bare_name(self.name)

    @property
    def address(self) -> str:
        """Where its calls go; "" if nobody said."""
        factory = self.factory
        base_url = factory.address_of(self.kind, self.base_url)
        return factory.address.format(base_url=base_url, model=self.remote_name) if base_url else ""

    def is_called(self, name: str, provider: str | None) -> bool:
        """Whether an id's parts name it; suffixes of the wire (`___VLLM`) do not count."""
        if provider not in (None, self.provider):
            return False
        return name == self.name or self.factory.bare_name(name) == self.factory.bare_name(self.name)


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """A provider of the settings: where it is, and which of its models may be used.

    provider: the part of a model id after its last `@`. protocol: the provider whose protocol it speaks, by
        its name in `factories.yaml`; "": that of its own name, else OpenAI's.
    base_url: up to and including the version, `https://api.openai.com/v1`.
    api_key: "" for servers that want none.
    """

    provider: str
    base_url: str
    api_key: str = field(default="", repr=False)
    chat_models: Sequence[str] = ()
    embedding_models: Sequence[str] = ()
    rerank_models: Sequence[str] = ()
    speech_to_text_models: Sequence[str] = ()
    text_to_speech_models: Sequence[str] = ()
    protocol: str = ""
    context_tokens: int = 8192
    timeout_s: float = 600.0
    attempts: int = 5
    batch_size: int = 16
    concurrency: int = 16

    def specs(self) -> list[ModelSpec]:
        """Its models, one by one."""
        by_kind: tuple[tuple[ModelKind, Sequence[str]], ...] = (
            ("chat", self.chat_models),
            ("embedding", self.embedding_models),
            ("rerank", self.rerank_models),
            ("speech2text", self.speech_to_text_models),
            ("tts", self.text_to_speech_models),
        )
        return [
            ModelSpec(
                name=name,
                provider=self.provider,
                kind=kind,
                protocol=self.protocol,
                base_url=self.base_url,
                api_key=self.api_key,
                context_tokens=self.context_tokens,
                timeout_s=self.timeout_s,
                attempts=self.attempts,
                batch_size=self.batch_size,
                concurrency=self.concurrency,
            )
            for kind, names in by_kind
            for name in names
        ]


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """Every configured model; a default of "" is the built-in one, or none where nothing is built in.

    allow_private: private hosts that tenants' models may be on, see `rag.models.addresses`.
    """

    endpoints: Sequence[EndpointConfig] = ()
    default_chat: str = ""
    default_embedding: str = ""
    allow_private: Sequence[str] = ()
