"""Each provider's protocol, against a stub that accepts nothing else."""

import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from rag.errors import ModelBroken, ModelError
from rag.models import openai_endpoint
from rag.models.catalog import EndpointConfig, ModelCatalog, ModelsConfig, open_models
from rag.models.errors import KeyRefused, ModelTimedOut, ModelUnreachable, RateLimited, RequestRefused
from rag.models.protocol import EmbeddingModel, RerankModel
from tests.rag.models.stub_openai import API_KEY, Fault, open_stub, vector_of
from tests.rag.models.stub_providers import (
    AZURE,
    COHERE,
    JINA,
    LOCAL,
    NVIDIA,
    TEI,
    VOYAGE,
    Dialect,
    StubProvider,
)
from tests.rag.models.suite_chat import ChatModelSuite, ask, read
from tests.rag.models.suite_embedding import EmbeddingModelSuite
from tests.rag.models.suite_rerank import QUESTION, RerankModelSuite

PROVIDERS: dict[str, tuple[Dialect, str]] = {
    "Jina": (JINA, "/v1"),
    "Voyage AI": (VOYAGE, "/v1"),
    "NVIDIA": (NVIDIA, "/v1"),
    "Cohere": (COHERE, ""),
    "HuggingFace": (TEI, ""),
    "Xinference": (LOCAL, ""),
    "VLLM": (LOCAL, ""),
    "LocalAI": (LOCAL, "/v1"),
    "Azure-OpenAI": (AZURE, ""),
}


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_endpoint, "_FIRST_DELAY_S", 0.01)


@pytest.fixture
async def stub(request: pytest.FixtureRequest) -> AsyncIterator[StubProvider]:
    provider = getattr(request, "param", "Xinference")
    dialect, path = PROVIDERS[provider]
    async with open_stub(StubProvider(dialect=dialect)) as stub:
        assert isinstance(stub, StubProvider)
        stub.base_url = stub.base_url.removesuffix("/v1") + path
        stub.root = provider
        yield stub


@pytest.fixture
async def catalog(stub: StubProvider) -> AsyncIterator[ModelCatalog]:
    endpoint = EndpointConfig(
        stub.root, stub.base_url, API_KEY, ["gpt-4o"], ["emb"], ["rank"], ["ears"], ["mouth"],
        attempts=3, timeout_s=2, concurrency=4, batch_size=64,
    )  # fmt: skip
    catalog = open_models(ModelsConfig([endpoint]))
    yield catalog
    await catalog.close()


EMBEDDERS = ["Jina", "Voyage AI", "NVIDIA", "Cohere", "HuggingFace", "VLLM", "Azure-OpenAI"]


@pytest.mark.parametrize("stub", EMBEDDERS, indirect=True)
class TestEmbedding(EmbeddingModelSuite):
    @pytest.fixture
    def model(self, catalog: ModelCatalog) -> EmbeddingModel:
        return catalog.embedding("emb")

    async def test_tokens_are_counted(self, model: EmbeddingModel) -> None:
        if "HuggingFace" in model.name:
            return  # TEI tells no tokens
        await super().test_tokens_are_counted(model)


@pytest.mark.parametrize("stub", ["Jina", "Voyage AI", "Cohere", "HuggingFace", "Xinference"], indirect=True)
class TestRerank(RerankModelSuite):
    @pytest.fixture
    def model(self, catalog: ModelCatalog) -> RerankModel:
        return catalog.rerank("rank")


@pytest.mark.parametrize("stub", ["Xinference", "Azure-OpenAI"], indirect=True)
class TestChat(ChatModelSuite):
    @pytest.fixture
    def model(self, catalog: ModelCatalog) -> Any:
        return catalog.chat("gpt-4o")


@pytest.mark.parametrize(
    ("stub", "key", "document", "question"),
    [
        ("Jina", "task", "retrieval.passage", "retrieval.query"),
        ("Voyage AI", "input_type", "document", "query"),
        ("NVIDIA", "input_type", "passage", "query"),
        ("Cohere", "input_type", "search_document", "search_query"),
    ],
    indirect=["stub"],
)
async def test_questions_are_told_from_documents(
    stub: StubProvider, catalog: ModelCatalog, key: str, document: str, question: str
) -> None:
    model = catalog.embedding("emb")
    await model.embed(["a text"])
    await model.embed_query("a question")
    assert [body[key] for body in stub.requests] == [document, question]


@pytest.mark.parametrize("stub", ["Jina", "HuggingFace", "Cohere"], indirect=True)
@pytest.mark.parametrize(
    ("fault", "expected", "calls"),
    [
        (Fault(status=401), KeyRefused, 1),
        (Fault(status=422, error={"message": "too long"}), RequestRefused, 1),
        (Fault(status=429, headers={"Retry-After": "90"}), RateLimited, 1),
        (Fault(raw="{not json"), ModelBroken, 1),
        (Fault(raw='"text"'), ModelBroken, 1),
        (Fault(raw="{}"), ModelBroken, 1),
        (Fault(raw="hello", content_type="text/html"), ModelBroken, 1),
        (Fault(reset_after=0), ModelUnreachable, 3),
        (Fault(slow_s=3), ModelTimedOut, 1),
    ],
    ids=["401", "422", "429", "no json", "text", "empty", "html", "reset", "slow"],
)
@pytest.mark.parametrize("kind", ["embedding", "rerank"])
async def test_failures(
    stub: StubProvider, catalog: ModelCatalog, kind: str, fault: Fault, expected: type[ModelError], calls: int
) -> None:
    if fault.slow_s and kind == "rerank":
        return  # one wait of two seconds is enough
    stub.faults.extend([fault] * calls)
    call = (
        catalog.embedding("emb").embed(["a"])
        if kind == "embedding"
        else catalog.rerank("rank").rerank(QUESTION, ["a"])
    )
    with pytest.raises(expected, match=f"@{stub.root}"):
        await call
    assert len(stub.requests) == calls


@pytest.mark.parametrize(
    "reply",
    [
        {"results": []},
        {"results": [{"index": 0, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": 0.5}, {"index": 7, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": None}, {"index": 1, "relevance_score": 0.5}]},
        {"results": [{"index": 0, "relevance_score": "nan"}, {"index": 1, "relevance_score": 0.5}]},
        {"results": None},
    ],
)
async def test_scores_that_cannot_be_used(stub: StubProvider, catalog: ModelCatalog, reply: Any) -> None:
    stub.faults.append(Fault(raw=json.dumps(reply)))
    with pytest.raises(ModelBroken, match="rank@Xinference"):
        await catalog.rerank("rank").rerank(QUESTION, ["a", "b"])


async def test_logits_become_scores_that_keep_their_order(stub: StubProvider, catalog: ModelCatalog) -> None:
    stub.scores = lambda text: {"a": -3.0, "b": 4.0, "c": 0.5}[text]
    low, high, middle = (await catalog.rerank("rank").rerank(QUESTION, ["a", "b", "c"])).values
    assert 0 < low < middle < high < 1
    # and go on to do so when a call has none outside 0..1
    (alone,) = (await catalog.rerank("rank").rerank(QUESTION, ["c"])).values
    assert alone == middle


async def test_limits_of_providers_hold(stub: StubProvider, catalog: ModelCatalog) -> None:
    stub.faults.extend([Fault(slow_s=0.03)] * 8)
    await catalog.embedding("emb").embed([f"text {i}" for i in range(500)])
    assert len(stub.requests) == 8
    assert stub.open_most == 4


@pytest.mark.parametrize("stub", ["HuggingFace"], indirect=True)
async def test_tei_gets_at_most_32_texts(stub: StubProvider, catalog: ModelCatalog) -> None:
    vectors = (await catalog.embedding("emb").embed([f"text {i}" for i in range(70)])).vectors
    assert sorted(len(body["inputs"]) for body in stub.requests) == [6, 32, 32]
    expected = np.array(vector_of("text 69"))
    np.testing.assert_allclose(vectors[69], expected / np.linalg.norm(expected), atol=1e-5)


async def test_speech(stub: StubProvider, catalog: ModelCatalog) -> None:
    assert await catalog.speech_to_text("ears").transcribe(b"RIFF....", "a.wav") == "Good morning."
    assert b'filename="a.wav"' in stub.bodies[0]
    assert b"RIFF...." in stub.bodies[0]
    assert b"ears" in stub.bodies[0]
    pieces = [piece async for piece in catalog.text_to_speech("mouth").speak("Good night.")]
    assert b"".join(pieces) == b"mp3 of Good night."
    body = stub.requests[1]
    assert (body["model"], body["response_format"]) == ("mouth", "mp3")
    assert body["voice"]


@pytest.mark.parametrize(
    ("fault", "expected", "calls"),
    [
        (Fault(status=401), KeyRefused, 1),
        (Fault(status=503), ModelError, 3),
        (Fault(reset_after=0), ModelUnreachable, 3),
    ],
)
async def test_speech_fails(
    stub: StubProvider, catalog: ModelCatalog, fault: Fault, expected: type[ModelError], calls: int
) -> None:
    stub.faults.extend([fault] * calls * 2)
    with pytest.raises(expected):
        await catalog.speech_to_text("ears").transcribe(b"x", "a.wav")
    with pytest.raises(expected):
        _ = [piece async for piece in catalog.text_to_speech("mouth").speak("x")]
    assert len(stub.requests) == 2 * calls


async def test_a_transcription_of_an_unknown_shape(stub: StubProvider, catalog: ModelCatalog) -> None:
    stub.faults.append(Fault(raw='{"words": []}'))
    with pytest.raises(ModelBroken):
        await catalog.speech_to_text("ears").transcribe(b"x", "a.wav")


@pytest.mark.parametrize(
    ("setting", "refusal"),
    [
        ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
        ("temperature", "Unsupported value: 'temperature' does not support 0.1 with this model."),
        ("seed", "[{'type': 'extra_forbidden', 'loc': ['body', 'seed'], 'msg': 'Extra inputs are not permitted'}]"),
    ],
)  # fmt: skip
async def test_a_parameter_that_a_model_refuses_is_left_out(
    stub: StubProvider, catalog: ModelCatalog, setting: str, refusal: str
) -> None:
    settings = {"max_tokens": 3, "temperature": 0.1, "seed": 1}
    stub.faults.append(Fault(status=400, error={"message": refusal}))
    model = catalog.chat("gpt-4o")
    await read(model, ask(**settings))
    await read(model, ask(**settings))
    first, second, third = stub.requests
    assert first[setting] == settings[setting]
    for body in (second, third):  # remembered
        assert setting not in body
        assert set(body) >= {"max_tokens", "temperature", "seed"} - {setting}
    assert second.get("max_completion_tokens") == (3 if setting == "max_tokens" else None)


async def test_other_refusals_are_told(stub: StubProvider, catalog: ModelCatalog) -> None:
    stub.faults.append(Fault(status=400, error={"message": "This model's maximum context is 8 tokens"}))
    with pytest.raises(RequestRefused, match="maximum context"):
        await read(catalog.chat("gpt-4o"), ask(max_tokens=5))
    assert len(stub.requests) == 1
