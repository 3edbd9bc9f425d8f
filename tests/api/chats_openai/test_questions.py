"""Reading the body of the OpenAI-compatible route."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.chats_openai.schemas import check_presence, read_question
from api.errors import AppError, BadArgument

ASKED = [{"role": "user", "content": "q"}]


def body(**more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": ASKED, **more}


def test_what_must_be_there() -> None:
    with pytest.raises(BadArgument, match=r"^required argument are missing: model,messages; $"):
        check_presence({})
    with pytest.raises(BadArgument, match=r"^required argument are missing: messages; $"):
        check_presence({"model": None})
    check_presence({"model": None, "messages": None})


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (body(extra_body=[1], reference_metadata="x"), "extra_body must be an object."),
        (body(reference_metadata="x", messages=[]), "reference_metadata must be an object."),
        (body(extra_body={"reference_metadata": "x"}), "reference_metadata must be an object."),
        (
            body(reference_metadata={"fields": "a"}, messages=[]),
            "reference_metadata.fields must be an array.",
        ),
        (body(messages=[]), "You have to provide messages."),
        (body(messages=None), "`messages` must be an array, got None"),
        (body(messages=["x"]), "messages[0] must be an object with `role` and `content`"),
        (
            body(messages=[*ASKED, {"role": "assistant", "content": "a"}]),
            "The last content of this conversation is not from user.",
        ),
        (body(model=1), "`model` must be a string, got 1"),
        (
            body(messages=[{"role": "user", "content": 1}]),
            "messages[0].content must be a string or an array of parts, got 1",
        ),
        (
            body(
                messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}]
            ),
            "messages[0].content[1] is of type image_url, and only parts of type text can be read",
        ),
        (
            body(messages=[{"role": "user", "content": ["a"]}]),
            "messages[0].content[0] must be an object with `type` and `text`, got a",
        ),
        (
            body(tools=[{"type": "function"}]),
            "`tools` are not supported: a chat answers from its datasets; leave them out",
        ),
        (
            body(functions=[{"name": "f"}], function_call="auto"),
            "`functions` are not supported: a chat answers from its datasets; leave them out",
        ),
        (body(n=2), "`n` must be 1, got 2: there is one answer to a question"),
        (body(n=True), "`n` must be 1, got True: there is one answer to a question"),
        (body(n="1"), "`n` must be 1, got 1: there is one answer to a question"),
        (body(stream_options=[1]), "stream_options must be an object."),
    ],
)
def test_refusals(sent: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError) as refused:
        read_question(sent)
    assert refused.value.message == message


def test_only_the_conversation_goes_on() -> None:
    question = read_question(
        body(
            messages=[
                {"role": "system", "content": "obey"},
                {"role": "assistant", "content": "hello"},
                {"role": "user", "content": "one", "doc_ids": ["x"]},
                {"role": "assistant", "content": None, "tool_calls": []},
                {"role": "tool", "content": "result"},
                {"role": "developer", "content": "obey"},
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "two"}, {"text": "2"}],
                },
            ]
        )
    )
    turns = [(one.role, one.content) for one in question.messages]
    assert turns == [("user", "one"), ("assistant", ""), ("user", "two\n2")]
    assert question.text == "two\n2"


@pytest.mark.parametrize(
    "more",
    [
        {"n": 1, "tools": [], "functions": None, "stream_options": None},
        {"tools": [{"type": "function"}], "tool_choice": "none"},
        {"temperature": 9, "top_p": "x", "logit_bias": [], "user": 5, "seed": 1},
        {"messages": [{"role": "system", "content": [{"type": "image_url"}]}, *ASKED]},
    ],
)
def test_what_is_ignored(more: dict[str, Any]) -> None:
    assert read_question(body(**more)).text == "q"


@pytest.mark.parametrize("nested", [True, False])
def test_options_nested_or_at_the_top(nested: bool) -> None:
    options = {
        "reference": True,
        "reference_metadata": {"include": True, "fields": ["a", 1]},
        "metadata_condition": {"conditions": []},
    }
    question = read_question(body(extra_body=options) if nested else body(**options))
    assert question.reference is True
    assert question.metadata_fields == ["a"]
    assert question.condition == {"conditions": []}


def test_fields_of_metadata() -> None:
    def fields(metadata: Any) -> Any:
        return read_question(body(reference_metadata=metadata)).metadata_fields

    assert fields(None) is None
    assert fields({"include": False, "fields": ["a"]}) is None
    assert fields({"include": True}) == []
    assert fields({"include": True, "fields": [1]}) is None
    assert fields({"include": True, "fields": []}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant"]) | JSON, "content": JSON}
)


@given(
    st.fixed_dictionaries(
        {"model": JSON, "messages": st.lists(MESSAGE | JSON, max_size=4) | JSON},
        optional={"extra_body": JSON, "reference_metadata": JSON, "reference": JSON, "stream": JSON},
    )
)
def test_any_json_is_read_or_refused(sent: dict[str, Any]) -> None:
    try:
        question = read_question(sent)
    except AppError:
        return
    assert question.messages[0].role == question.messages[-1].role == "user"
