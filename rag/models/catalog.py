"""From a model id to a model: what is built in, and the OpenAI-compatible endpoints of the settings."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from rag.errors import ModelNotFound
from rag.models.builtin_answerer import BUILTIN_ANSWERER, CONTEXT_TOKENS, BuiltinAnswerer
from rag.models.builtin_embedding import BUILTIN_EMBEDDING, BuiltinEmbedding
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_embedding import OpenAIEmbedding
from rag.models.openai_endpoint import Endpoint
from rag.models.protocol import ChatModel, EmbeddingModel

BUILTIN_PROVIDER = "Builtin"


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """An OpenAI-compatible provider: where it is, and which of its models may be used.

    provider: the part of a model id after its last `@`.
    base_url: up to and including the version, `https://api.openai.com/v1`.
    api_key: sent as bearer token; "" for servers that want none.
    """

    provider: str
    base_url: str
    api_key: str = field(default="", repr=False)
    chat_models: Sequence[str] = ()
    embedding_models: Sequence[str] = ()
    context_tokens: int = 8192
    timeout_s: float = 600.0
    attempts: int = 5
    batch_size: int = 16
    concurrency: int = 16


@dataclass(frozen=True, slots=True)
class ModelsConfig:
    """Every configured model; a default of "" is the built-in one."""

    endpoints: Sequence[EndpointConfig] = ()
    default_chat: str = ""
    default_embedding: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One line of a listing. context_tokens: 0 for embedding models."""

    id: str
    name: str
    provider: str
    kind: Literal["chat", "embedding"]
    context_tokens: int = 0
    is_default: bool = False


class ModelCatalog:
    """Opens each model once, when it is first asked for, and closes all of them together.

    Not safe in several threads at once; a process has one, on its event loop.
    """

    def __init__(self, config: ModelsConfig) -> None:
        self._config = config
        self._builtin_embedding: BuiltinEmbedding | None = None
        self._builtin_answerer: BuiltinAnswerer | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._chats: dict[str, ChatModel] = {}
        self._embeddings: dict[str, EmbeddingModel] = {}

    @property
    def default_chat(self) -> str:
        """Id of the chat model that "" stands for."""
        return self._config.default_chat or BUILTIN_ANSWERER

    @property
    def default_embedding(self) -> str:
        """Id of the embedding model that "" stands for."""
        return self._config.default_embedding or BUILTIN_EMBEDDING

    def chat(self, model_id: str = "") -> ChatModel:
        """The chat model of this id. Raises ModelNotFound."""
        model_id = model_id or self.default_chat
        if model_id not in self._chats:
            self._chats[model_id] = self._open_chat(model_id)
        return self._chats[model_id]

    def embedding(self, model_id: str = "") -> EmbeddingModel:
        """The embedding model of this id. Any name at `Builtin` is the built-in one. Raises ModelNotFound."""
        model_id = model_id or self.default_embedding
        name, provider = split_model_id(model_id, self._providers())
        if provider == BUILTIN_PROVIDER or model_id == _bare(BUILTIN_EMBEDDING):
            return self._open_builtin_embedding()
        if model_id not in self._embeddings:
            config = self._find_endpoint(name, provider, "embedding")
            self._embeddings[model_id] = OpenAIEmbedding(
                self._open_endpoint(config), name, f"{name}@{config.provider}", batch_size=config.batch_size
            )
        return self._embeddings[model_id]

    def list_models(self) -> list[ModelInfo]:
        """Every model that an id can name, the built-in ones first."""
        chat, embedding = self.default_chat, self.default_embedding
        infos = [
            _info(BUILTIN_ANSWERER, "chat", chat, CONTEXT_TOKENS),
            _info(BUILTIN_EMBEDDING, "embedding", embedding),
        ]
        for endpoint in self._config.endpoints:
            for name in endpoint.chat_models:
                infos.append(_info(f"{name}@{endpoint.provider}", "chat", chat, endpoint.context_tokens))
            for name in endpoint.embedding_models:
                infos.append(_info(f"{name}@{endpoint.provider}", "embedding", embedding))
        return infos

    async def close(self) -> None:
        """Close every connection."""
        models: list[ChatModel | EmbeddingModel] = [*self._chats.values(), *self._embeddings.values()]
        if self._builtin_embedding is not None:
            models.append(self._builtin_embedding)
        await asyncio.gather(*(model.close() for model in models))
        await asyncio.gather(*(endpoint.close() for endpoint in self._endpoints.values()))
        self._chats.clear()
        self._embeddings.clear()
        self._endpoints.clear()
        self._builtin_embedding = None

    def _open_chat(self, model_id: str) -> ChatModel:
        if model_id in (BUILTIN_ANSWERER, _bare(BUILTIN_ANSWERER)):
            return BuiltinAnswerer(self._open_builtin_embedding())
        name, provider = split_model_id(model_id, self._providers())
        config = self._find_endpoint(name, provider, "chat")
        return OpenAIChat(
            self._open_endpoint(config),
            name,
            f"{name}@{config.provider}",
            context_tokens=config.context_tokens,
        )

    def _open_builtin_embedding(self) -> BuiltinEmbedding:
        if self._builtin_embedding is None:
            self._builtin_embedding = BuiltinEmbedding()
        return self._builtin_embedding

    def _open_endpoint(self, config: EndpointConfig) -> Endpoint:
        if config.provider not in self._endpoints:
            self._endpoints[config.provider] = Endpoint(
                provider=config.provider,
                base_url=config.base_url,
                api_key=config.api_key,
                timeout_s=config.timeout_s,
                attempts=config.attempts,
                concurrency=config.concurrency,
            )
        return self._endpoints[config.provider]

    def _find_endpoint(
        self, name: str, provider: str | None, kind: Literal["chat", "embedding"]
    ) -> EndpointConfig:
        """The endpoint that has the model; without a provider, the only one that has it."""
        found = [
            endpoint
            for endpoint in self._config.endpoints
            if name in (endpoint.chat_models if kind == "chat" else endpoint.embedding_models)
            and provider in (None, endpoint.provider)
        ]
        if len(found) == 1:
            return found[0]
        shown = name if provider is None else f"{name}@{provider}"
        if found:
            choices = ", ".join(f"{name}@{endpoint.provider}" for endpoint in found)
            raise ModelNotFound(
                f"Several providers have the {kind} model {shown}: say which, one of {choices}"
            )
        raise ModelNotFound(f"No {kind} model {shown} is configured")

    def _providers(self) -> set[str]:
        return {BUILTIN_PROVIDER, *(endpoint.provider for endpoint in self._config.endpoints)}


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


def _info(
    model_id: str, kind: Literal["chat", "embedding"], default: str, context_tokens: int = 0
) -> ModelInfo:
    name, _, provider = model_id.rpartition("@")
    return ModelInfo(model_id, name, provider, kind, context_tokens, is_default=model_id == default)
