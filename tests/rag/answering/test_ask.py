"""One bounded call of a model, and reading what it wrote."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.ask import ask_for_object, ask_model, read_object
from rag.errors import ModelBroken, ModelError
from rag.models.errors import ModelTimedOut
from tests.rag.answering.test_pipeline import Script


async def test_reasoning_is_dropped() -> None:
    model = Script(["<think>hm", " </think> yes"])
    assert await ask_model(model, "Be brief.", "Really?", timeout_s=1, temperature=0.2) == "yes"
    assert [message.role for message in model.requests[0].messages] == ["system", "user"]
    assert model.requests[0].settings == {"temperature": 0.2}
    assert model.is_closed


@pytest.mark.parametrize("pieces", [["x" * 30_000], ["**ERROR**: no"], [ModelError("down")]])
async def test_what_is_no_reply(pieces: list[Any]) -> None:
    model = Script(pieces)
    with pytest.raises(ModelError):
        await ask_model(model, "a", "b", timeout_s=1)
    assert model.is_closed


async def test_an_endless_reply_ends() -> None:
    class Endless(Script):
        async def stream(self, request: Any) -> Any:
            import asyncio

            from rag.models.protocol import ChatDelta

            while True:
                await asyncio.sleep(0.01)
                yield ChatDelta()

    with pytest.raises(ModelTimedOut):
        await ask_model(Endless(), "a", "b", timeout_s=0.1)


async def test_the_text_is_cut_to_the_models_context() -> None:
    model = Script(["ok"], context_tokens=100)
    await ask_model(model, "a", "word " * 10_000, timeout_s=1)
    assert len(model.requests[0].messages[1].content) < 500


async def test_json_gets_a_second_try() -> None:
    model = Script(["no"])
    assert await ask_for_object(model, "a", "b", timeout_s=1) is None
    assert len(model.requests) == 2


async def test_errors_are_not_read_as_json() -> None:
    with pytest.raises(ModelBroken):
        await ask_for_object(Script(['{"a": "**ERROR**"}']), "a", "b", timeout_s=1)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ('Here:\n```json\n{"a": [1, 2,],}\n```\nDone.', {"a": [1, 2]}),
        ("{'a': 'b'}", {"a": "b"}),
        ('{"a": true} and {"b": 1}', {"a": True}),
        ('{"a": "cut off', {"a": "cut off"}),
        ("no object", None),
        ("", None),
        ("[1]", None),
    ],
)
def test_objects_are_read_leniently(reply: str, expected: Any) -> None:
    assert read_object(reply) == expected


@given(st.text(alphabet='{}[]":,ab1 \n\\', max_size=60))
def test_any_text_is_an_object_or_none(text: str) -> None:
    found = read_object(text)
    assert found is None or isinstance(found, dict)


@pytest.mark.parametrize("text", ["{" * 20_000, '{"a":' * 4_000, "{" + "[" * 19_000])
def test_deep_nesting_is_no_object_and_no_crash(text: str) -> None:
    found = read_object(text)
    assert found is None or isinstance(found, dict)
