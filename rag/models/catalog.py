"""From a model id to a model: a tenant's own models, those of the settings, and what is built in."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from rag.errors import ModelNotFound
from rag.models.addresses import AddressGuard
from rag.models.builtin_answerer import BUILTIN_ANSWERER, CONTEXT_TOKENS
from rag.models.builtin_embedding import BUILTIN_EMBEDDING
from rag.models.factories import BUILTIN, ModelKind, factories
from rag.models.pool import ModelPool
from rag.models.protocol import ChatModel, EmbeddingModel, RerankModel, SpeechToText, TextToSpeech
from rag.models.specs import EndpointConfig, ModelsConfig, ModelSpec

BUILTIN_PROVIDER = BUILTIN

__all__ = [
    "EndpointConfig",
    "ModelCatalog",
    "ModelInfo",
    "ModelSpec",
    "ModelsConfig",
    "open_models",
    "split_model_id",
]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One line of a listing. context_tokens: 0 for other models than chat models."""

    id: str
    name: str
    provider: str
    kind: ModelKind
    context_tokens: int = 0
    is_default: bool = False


class ModelCatalog:
    """Which models there are, and how to get at them.

    `find` and the defaults touch nothing and may be called in any thread; what opens models belongs to the
    event loop. Views for tenants share the pool of the catalog they were made from, which alone is closed.
    """

    def __init__(self, config: ModelsConfig) -> None:
        self._config = config
        self._configured = [spec for endpoint in config.endpoints for spec in endpoint.specs()]
        self._own: Sequence[ModelSpec] = ()
        self._defaults: Mapping[ModelKind, str] = {}
        self._providers = {BUILTIN, *factories(), *(endpoint.provider for endpoint in config.endpoints)}
        self._guard = AddressGuard(config.allow_private)
        self._pool = ModelPool(self._guard)

    @property
    def default_chat(self) -> str:
        """Id of the chat model that "" stands for."""
        return self._default("chat")

    @property
    def default_embedding(self) -> str:
        """Id of the embedding model that "" stands for."""
        return self._default("embedding")

    @property
    def guard(self) -> AddressGuard:
        """Which addresses tenants may give."""
        return self._guard

    def for_tenant(self, own: Sequence[ModelSpec], defaults: Mapping[ModelKind, str] | None = None) -> Self:
        """A view in which these models come first, and "" stands for these defaults where there are any."""
        view = copy.copy(self)
        view._own = tuple(own)
        view._defaults = {kind: model_id for kind, model_id in (defaults or {}).items() if model_id}
        view._providers = self._providers | {spec.provider for spec in own}
        return view

    def find(self, kind: ModelKind, model_id: str = "") -> ModelSpec:
        """The model of this id. Any embedding name at `Builtin` is the built-in one. Raises ModelNotFound."""
        model_id = model_id or self._default(kind)
        if not model_id:
            raise ModelNotFound(f"No {kind} model is set as default")
        name, provider = split_model_id(model_id, self._providers)
        if _is_builtin(kind, name, provider):
            return ModelSpec(name, BUILTIN, kind)
        for source in (self._own, self._configured):
            found = [spec for spec in source if spec.kind == kind and spec.is_called(name, provider)]
            if len(found) == 1:
                return found[0]
            if found:
                choices = ", ".join(spec.id for spec in found)
                raise ModelNotFound(
                    f"Several providers have the {kind} model {model_id}: say which, one of {choices}"
                )
        raise ModelNotFound(f"No {kind} model {model_id} is configured")

    def chat(self, model_id: str = "") -> ChatModel:
        """The chat model of this id. Raises ModelNotFound."""
        return self.open_chat(self.find("chat", model_id))

    def embedding(self, model_id: str = "") -> EmbeddingModel:
        """The embedding model of this id. Raises ModelNotFound."""
        return self.open_embedding(self.find("embedding", model_id))

    def rerank(self, model_id: str = "") -> RerankModel:
        """The rerank model of this id. Raises ModelNotFound."""
        return self.open_rerank(self.find("rerank", model_id))

    def speech_to_text(self, model_id: str = "") -> SpeechToText:
        """The transcription model of this id. Raises ModelNotFound."""
        return self._pool.speech_to_text(self.find("speech2text", model_id))

    def text_to_speech(self, model_id: str = "") -> TextToSpeech:
        """The speaking model of this id. Raises ModelNotFound."""
        return self._pool.text_to_speech(self.find("tts", model_id))

    def open_chat(self, spec: ModelSpec) -> ChatModel:
        """A model that was found, or is only tried. Raises ModelNotFound."""
        return self._pool.chat(spec)

    def open_embedding(self, spec: ModelSpec) -> EmbeddingModel:
        """A model that was found, or is only tried. Raises ModelNotFound."""
        return self._pool.embedding(spec)

    def open_rerank(self, spec: ModelSpec) -> RerankModel:
        """A model that was found, or is only tried. Raises ModelNotFound."""
        return self._pool.rerank(spec)

    def open_text_to_speech(self, spec: ModelSpec) -> TextToSpeech:
        """A model that was found, or is only tried. Raises ModelNotFound."""
        return self._pool.text_to_speech(spec)

    def list_models(self) -> list[ModelInfo]:
        """Every model that an id can name, the built-in ones first."""
        specs = [
            ModelSpec(_bare(BUILTIN_ANSWERER), BUILTIN, "chat", context_tokens=CONTEXT_TOKENS),
            ModelSpec(_bare(BUILTIN_EMBEDDING), BUILTIN, "embedding"),
            *self._own,
            *self._configured,
        ]
        return [
            ModelInfo(
                spec.id,
                spec.name,
                spec.provider,
                spec.kind,
                spec.context_tokens if spec.kind == "chat" else 0,
                is_default=spec.id == self._default(spec.kind),
            )
            for spec in specs
        ]

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    def _default(self, kind: ModelKind) -> str:
        if own := self._defaults.get(kind):
            return own
        match kind:
            case "chat":
                return self._config.default_chat or BUILTIN_ANSWERER
            case "embedding":
                return self._config.default_embedding or BUILTIN_EMBEDDING
            case _:
                return ""


def _is_builtin(kind: ModelKind, name: str, provider: str | None) -> bool:
    if kind == "embedding":
        return provider == BUILTIN or (provider is None and name == _bare(BUILTIN_EMBEDDING))
    return kind == "chat" and name == _bare(BUILTIN_ANSWERER) and provider in (None, BUILTIN)


def open_models(config: ModelsConfig | None = None) -> ModelCatalog:
    """A catalog of the built-in models and the configured ones; connects to nothing yet."""
    return ModelCatalog(config or ModelsConfig())


def split_model_id(model_id: str, providers: set[str]) -> tuple[str, str | None]:
    """(name, provider) of `name@provider`; the provider is None where the id names none.

    With one `@` the last part is a provider only if it is among `providers`, so that a name may hold
    an `@` of its own; with two or more it is one in any case.
    """
    name, at, provider = model_id.rpartition("@")
    if not at or ("@" not in name and provider not in providers):
        return model_id, None
    return name, provider


def _bare(model_id: str) -> str:
    return model_id.rpartition("@")[0]
