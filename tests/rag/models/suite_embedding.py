"""What every embedding model must do; a subclass supplies the `model` fixture."""

import asyncio

import numpy as np

from rag.models.protocol import EmbeddingModel

TEXTS = [
    "The museum opens at nine.",
    "Das Museum öffnet um neun.",
    "博物馆九点开门。",
    "",
    " \n\t",
    "x" * 20_000,
    "\ud800 half a surrogate",
    "🦉" * 50,
    "\x00\x07",
]


class EmbeddingModelSuite:
    async def test_vectors_are_unit_float32_rows(self, model: EmbeddingModel) -> None:
        vectors = (await model.embed(TEXTS)).vectors
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), model.dimension)
        assert np.isfinite(vectors).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    async def test_no_texts(self, model: EmbeddingModel) -> None:
        await model.embed_query("warm")
        result = await model.embed([])
        assert result.vectors.shape == (0, model.dimension)
        assert result.token_count == 0

    async def test_order_is_kept_over_many_batches(self, model: EmbeddingModel) -> None:
        texts = [f"item number {i} of the long list" for i in range(200)]
        together = (await model.embed(texts)).vectors
        for i in (0, 63, 64, 199):
            np.testing.assert_allclose(together[i], await model.embed_query(texts[i]), atol=1e-4)

    async def test_an_equal_text_has_an_equal_vector(self, model: EmbeddingModel) -> None:
        first, second, third = (await model.embed(["alpha beta", "alpha beta", "gamma"])).vectors
        np.testing.assert_array_equal(first, second)
        assert not np.allclose(first, third)

    async def test_tokens_are_counted(self, model: EmbeddingModel) -> None:
        one = await model.embed(["one two three four"])
        many = await model.embed(["one two three four"] * 10)
        assert 0 < one.token_count < many.token_count

    async def test_calls_side_by_side(self, model: EmbeddingModel) -> None:
        results = await asyncio.gather(*(model.embed([f"text {i}"]) for i in range(20)))
        alone = [(await model.embed([f"text {i}"])).vectors for i in range(20)]
        for result, expected in zip(results, alone, strict=True):
            np.testing.assert_allclose(result.vectors, expected, atol=1e-4)

    async def test_the_name_has_a_provider(self, model: EmbeddingModel) -> None:
        name, _, provider = model.name.rpartition("@")
        assert name
        assert provider

    async def test_close_twice(self, model: EmbeddingModel) -> None:
        await model.embed(["text"])
        await model.close()
        await model.close()
