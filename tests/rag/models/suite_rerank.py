"""What every rerank model must do; a subclass supplies the `model` fixture."""

import asyncio

import numpy as np

from rag.models.protocol import RerankModel

QUESTION = "when does the museum open"
TEXTS = ["The library is closed.", "the museum does open at nine", "Cats.", "", "🦉\ud800", "x" * 9000]


class RerankModelSuite:
    async def test_one_score_for_each_text_in_its_place(self, model: RerankModel) -> None:
        scores = (await model.rerank(QUESTION, TEXTS)).values
        assert scores.dtype == np.float32
        assert scores.shape == (len(TEXTS),)
        assert ((scores >= 0) & (scores <= 1)).all()
        assert scores.argmax() == 1

    async def test_order_is_kept_over_many_batches(self, model: RerankModel) -> None:
        texts = ["nothing"] * 150
        texts[7] = texts[149] = "the museum does open at nine"
        scores = (await model.rerank(QUESTION, texts)).values
        assert sorted(np.argsort(scores)[-2:]) == [7, 149]

    async def test_no_texts(self, model: RerankModel) -> None:
        assert (await model.rerank(QUESTION, [])).values.shape == (0,)

    async def test_calls_side_by_side(self, model: RerankModel) -> None:
        results = await asyncio.gather(*(model.rerank(QUESTION, TEXTS) for _ in range(20)))
        for result in results:
            np.testing.assert_allclose(result.values, results[0].values, atol=1e-5)

    async def test_the_name_has_a_provider(self, model: RerankModel) -> None:
        assert all(model.name.rpartition("@"))

    async def test_close_twice(self, model: RerankModel) -> None:
        await model.close()
        await model.close()
