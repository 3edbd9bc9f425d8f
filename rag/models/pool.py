"""Opens each model once, when it is first asked for, and closes all of them together."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar, cast

from rag.errors import ModelNotFound
from rag.models.addresses import AddressGuard
from rag.models.builtin_answerer import BuiltinAnswerer
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.factories import ModelKind
from rag.models.http_embedding import CohereEmbedding, PlainEmbedding, TeiEmbedding
from rag.models.http_rerank import SHAPES, HttpRerank
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_embedding import OpenAIEmbedding
from rag.models.openai_endpoint import Endpoint
from rag.models.openai_speech import OpenAISpeechToText, OpenAITextToSpeech
from rag.models.protocol import ChatModel, EmbeddingModel, RerankModel, SpeechToText, TextToSpeech
from rag.models.specs import ModelSpec

_MOST_ENDPOINTS = 256
_MOST_MODELS = 1024
# A provider that takes more texts at a time gains nothing by getting them.
_RERANK_BATCH = 64


class _Closable(Protocol):
    async def close(self) -> None: ...


ModelT = TypeVar("ModelT", bound=_Closable)


class ModelPool:
    """Models by what calling them takes; those of one address share its connections.

    Connections that were used longest ago are closed when there are too many; the next call opens new ones.
    Not safe in several threads at once; a process has one, on its event loop.
    """

    def __init__(self, guard: AddressGuard) -> None:
        self._guard = guard
        self._embedding: BuiltinEmbedding | None = None
        self._answerer: BuiltinAnswerer | None = None
        self._endpoints: OrderedDict[ModelSpec, Endpoint] = OrderedDict()
        self._models: OrderedDict[ModelSpec, _Closable] = OrderedDict()
        self._closings: set[asyncio.Task[None]] = set()

    def chat(self, spec: ModelSpec) -> ChatModel:
        """Raises ModelNotFound when nobody said where the model is."""
        if spec.is_builtin:
            if self._answerer is None:
                self._answerer = BuiltinAnswerer(self._builtin_embedding())
            return self._answerer
        return self._open(spec, self._open_chat)

    def embedding(self, spec: ModelSpec) -> EmbeddingModel:
        """Raises ModelNotFound."""
        return self._builtin_embedding() if spec.is_builtin else self._open(spec, self._open_embedding)

    def rerank(self, spec: ModelSpec) -> RerankModel:
        """Raises ModelNotFound."""
        return self._open(spec, self._open_rerank)

    def speech_to_text(self, spec: ModelSpec) -> SpeechToText:
        """Raises ModelNotFound."""
        return self._open(spec, lambda one: OpenAISpeechToText(self._endpoint(one), one.remote_name, one.id))

    def text_to_speech(self, spec: ModelSpec) -> TextToSpeech:
        """Raises ModelNotFound."""
        return self._open(spec, lambda one: OpenAITextToSpeech(self._endpoint(one), one.remote_name, one.id))

    async def close(self) -> None:
        """Close every connection; the pool can be used again."""
        models: list[_Closable] = [*self._models.values()]
        models += [model for model in (self._answerer, self._embedding) if model is not None]
        await asyncio.gather(*(model.close() for model in models))
        await asyncio.gather(*(endpoint.close() for endpoint in self._endpoints.values()))
        self._models.clear()
        self._endpoints.clear()
        self._answerer = self._embedding = None

    def _builtin_embedding(self) -> BuiltinEmbedding:
        if self._embedding is None:
            self._embedding = BuiltinEmbedding()
        return self._embedding

    def _open(self, spec: ModelSpec, build: Callable[[ModelSpec], ModelT]) -> ModelT:
        model = self._models.get(spec)
        if model is None:
            model = self._models[spec] = build(spec)
            if len(self._models) > _MOST_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(spec)
        return cast(ModelT, model)

    def _open_chat(self, spec: ModelSpec) -> ChatModel:
        return OpenAIChat(
            self._endpoint(spec),
            spec.remote_name,
            spec.id,
            context_tokens=spec.context_tokens,
            tells_usage=spec.factory.stream_options,
        )

    def _open_embedding(self, spec: ModelSpec) -> EmbeddingModel:
        factory = spec.factory
        endpoint = self._endpoint(spec)
        batch_size = min(spec.batch_size, factory.batch_size or spec.batch_size)
        match factory.apis.get("embedding"):
            case "tei":
                return TeiEmbedding(endpoint, spec.remote_name, spec.id, batch_size=batch_size)
            case "plain" | "cohere" as api:
                kind = PlainEmbedding if api == "plain" else CohereEmbedding
                return kind(
                    endpoint,
                    spec.remote_name,
                    spec.id,
                    batch_size=batch_size,
                    document=factory.document,
                    question=factory.question,
                )
            case _:
                return OpenAIEmbedding(endpoint, spec.remote_name, spec.id, batch_size=batch_size)

    def _open_rerank(self, spec: ModelSpec) -> RerankModel:
        factory = spec.factory
        shape = SHAPES[factory.apis.get("rerank", "jina")]
        batch_size = min(_RERANK_BATCH, factory.batch_size or _RERANK_BATCH)
        return HttpRerank(self._endpoint(spec), spec.remote_name, spec.id, shape, batch_size=batch_size)

    def _endpoint(self, spec: ModelSpec) -> Endpoint:
        address = spec.address
        if not address:
            raise ModelNotFound(f"Nobody said where {spec.id} is: its provider has no public address")
        factory = spec.factory
        kind: ModelKind = "chat"  # of no matter here: the address is what counts
        key = ModelSpec(
            name="", provider=spec.provider, kind=kind, protocol=spec.protocol, base_url=address,
            api_key=spec.api_key, timeout_s=spec.timeout_s, attempts=spec.attempts,
            concurrency=spec.concurrency, query=spec.query, is_guarded=spec.is_guarded,
        )  # fmt: skip
        endpoint = self._endpoints.get(key)
        if endpoint is None:
            endpoint = self._endpoints[key] = Endpoint(
                provider=spec.provider,
                base_url=address,
                api_key=spec.api_key,
                timeout_s=spec.timeout_s,
                attempts=spec.attempts,
                concurrency=spec.concurrency,
                auth=factory.auth,
                query={**factory.query, **dict(spec.query)},
                guard=self._guard if spec.is_guarded else None,
            )
            self._drop_idle()
        self._endpoints.move_to_end(key)
        return endpoint

    def _drop_idle(self) -> None:
        if len(self._endpoints) <= _MOST_ENDPOINTS:
            return
        idle = next((key for key, endpoint in self._endpoints.items() if not endpoint.running), None)
        if idle is not None:
            endpoint = self._endpoints.pop(idle)
            closing = asyncio.get_running_loop().create_task(endpoint.close())
            self._closings.add(closing)
            closing.add_done_callback(self._closings.discard)
