"""The weights of a chat order what is found; they do not decide whether the built-in answerer believes it."""

import pytest

from tests.api.client import Api

TEXT = b"""# Harbour
The harbour office opens at eight in the morning and closes at four.

Boats longer than twenty metres moor at the eastern pier, which was rebuilt after the storm.
"""


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.7, 1.0])
def test_every_weight_gets_the_answer(api: Api, weight: float) -> None:
    dataset_id = api.make_dataset()
    api.add_document(dataset_id, "harbour.md", TEXT)
    prompt = {"keywords_similarity_weight": weight, "similarity_threshold": 0.0}
    chat = api.post("/chats", json={"name": "c", "dataset_ids": [dataset_id], "prompt": prompt})["data"]
    reply = api.post(
        f"/chats/{chat['id']}/completions",
        json={"question": "When does the harbour office open?", "stream": False},
    )
    assert "eight in the morning" in reply["data"]["answer"]
