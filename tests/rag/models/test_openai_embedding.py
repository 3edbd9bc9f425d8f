"""Embedding models of OpenAI-compatible servers, against a server that misbehaves."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest

from rag.errors import ModelBroken, ModelError
from rag.models import openai_endpoint
from rag.models.errors import KeyRefused, ModelUnreachable
from rag.models.openai_embedding import OpenAIEmbedding
from rag.models.openai_endpoint import Endpoint
from tests.rag.models.stub_openai import API_KEY, DIMENSION, Fault, StubOpenAI, open_stub, vector_of
from tests.rag.models.suite_embedding import EmbeddingModelSuite


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with open_stub() as stub:
        yield stub


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_endpoint, "_FIRST_DELAY_S", 0.01)


@pytest.fixture
async def model(stub: StubOpenAI) -> AsyncIterator[OpenAIEmbedding]:
    endpoint = Endpoint(provider="Stub", base_url=stub.base_url, api_key=API_KEY, attempts=3, concurrency=4)
    yield OpenAIEmbedding(endpoint, "emb", "emb@Stub", batch_size=16)
    await endpoint.close()


class TestOpenAI(EmbeddingModelSuite):
    pass


async def test_batches_and_concurrency(stub: StubOpenAI, model: OpenAIEmbedding) -> None:
    stub.faults.extend([Fault(slow_s=0.02)] * 10)
    result = await model.embed([f"text {i}" for i in range(100)])
    assert sorted(len(body["input"]) for body in stub.requests) == [4, 16, 16, 16, 16, 16, 16]
    assert stub.open_most == 4
    assert result.token_count == 200
    expected = np.array(vector_of("text 99"))
    np.testing.assert_allclose(result.vectors[99], expected / np.linalg.norm(expected), atol=1e-5)
    assert model.dimension == DIMENSION


def shorter(vectors: list[list[float]]) -> list[list[float]]:
    return [vector[:-1] for vector in vectors]


@pytest.mark.parametrize(
    "vectors",
    [
        lambda found: found[:-1],
        lambda found: [*found, found[0]],
        lambda found: [],
        lambda found: [found[0][:-1], *found[1:]],
        lambda found: [[0.0] * DIMENSION, *found[1:]],
        lambda found: [[float("nan")] * DIMENSION, *found[1:]],
        lambda found: [[] for _ in found],
        lambda found: ["text" for _ in found],
    ],
    ids=["too few", "too many", "none", "mixed lengths", "zero", "nan", "empty", "no numbers"],
)
async def test_vectors_that_cannot_be_used(
    stub: StubOpenAI, model: OpenAIEmbedding, vectors: Callable[[Any], Any]
) -> None:
    stub.faults.append(Fault(vectors=vectors))
    with pytest.raises(ModelBroken, match="emb@Stub"):
        await model.embed(["a", "b", "c"])


async def test_another_length_than_before(stub: StubOpenAI, model: OpenAIEmbedding) -> None:
    await model.embed_query("first")
    stub.faults.append(Fault(vectors=shorter))
    with pytest.raises(ModelBroken, match="7, 8"):
        await model.embed_query("second")
    assert model.dimension == DIMENSION


@pytest.mark.parametrize(
    ("fault", "expected", "calls"),
    [
        (Fault(status=401), KeyRefused, 1),
        (Fault(raw="{not json"), ModelBroken, 1),
        (Fault(raw="[]"), ModelBroken, 1),
        (Fault(raw='{"data": null}'), ModelBroken, 1),
        (Fault(reset_after=0), ModelUnreachable, 3),
    ],
)
async def test_failures(
    stub: StubOpenAI, model: OpenAIEmbedding, fault: Fault, expected: type[ModelError], calls: int
) -> None:
    stub.faults.extend([fault] * calls)
    with pytest.raises(expected):
        await model.embed(["a"])
    assert len(stub.requests) == calls


async def test_a_failing_batch_is_tried_again_alone(stub: StubOpenAI, model: OpenAIEmbedding) -> None:
    stub.faults.append(Fault(status=503))
    result = await model.embed([f"text {i}" for i in range(32)])
    assert result.vectors.shape == (32, DIMENSION)
    assert len(stub.requests) == 3
