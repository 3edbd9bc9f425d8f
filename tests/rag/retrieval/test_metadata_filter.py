from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.errors import BadFilter
from rag.retrieval.metadata_filter import OPERATORS, has_conditions, matching_documents


def matches(stored: Any, compare: str, value: Any = None) -> bool:
    condition = {"conditions": [{"name": "k", "comparison_operator": compare, "value": value}]}
    return matching_documents({"d": {"k": stored}}, condition) == {"d"}


@pytest.mark.parametrize(
    ("stored", "compare", "value", "expected"),
    [
        (2023, "=", "2023", True),
        (2023, "=", 2023, True),
        (2023, "is", 2023.0, True),
        (True, "=", "True", True),
        (True, "=", True, True),
        (True, "=", "true", False),
        ("007", "=", "007", True),
        ("007", "=", 7, False),
        ("n/a", ">", "2024-01-01", False),
        ("2024-05-01", ">", "2024-01-01", True),
        ("2024-05-01", "≤", "2024-05-01", True),
        ("2024-05-01", "≠", "2024-01-01", True),
        ("x", "≠", "2024-01-01", False),
        ("Alice", "=", "alice", True),
        ("Alice", "not is", "bob", True),
        ("5", ">", 3, True),
        ("5", ">", "10", False),
        ("abc", ">", 3, False),
        ("abc", "≠", 3, True),
        (["a", "b"], "=", "b", True),
        (["a", "b"], "≠", "b", True),
        ("Foobar", "contains", "OBA", True),
        ("Foobar", "contains", 5, False),
        ("Foobar", "not contains", 5, False),
        ("Foobar", "not contains", "x", True),
        ("Alice", "in", "alice,bob", True),
        ("Alice", "in", ["alice"], True),
        ("Alice", "in", ["Alice"], True),
        ("Alice", "not in", ["bob"], True),
        ("Alice", "in", 5, False),
        ("Foobar", "start with", "foo", True),
        ("Foobar", "end with", "BAR", True),
        ("", "empty", None, True),
        ("x", "empty", None, False),
        ("x", "not empty", None, True),
        ("x", "==", "x", False),
        (None, "not empty", None, False),
        (None, "≠", "x", False),
        ("[1]" * 400, "=", "x", False),
        ("(" * 900, "=", "(" * 900, True),
    ],
)
def test_operators(stored: Any, compare: str, value: Any, expected: bool) -> None:
    assert matches(stored, compare, value) is expected


def test_value_is_optional_for_empty() -> None:
    condition = {"conditions": [{"name": "k", "comparison_operator": "empty"}]}
    assert matching_documents({"d": {"k": ""}, "e": {}}, condition) == {"d"}


def test_and_is_an_intersection_also_when_the_first_finds_nothing() -> None:
    nothing = {"name": "k", "comparison_operator": "=", "value": "no"}
    some = {"name": "k", "comparison_operator": "=", "value": "x"}
    metadata = {"d": {"k": "x"}}
    assert matching_documents(metadata, {"logic": "and", "conditions": [nothing, some]}) == set()
    assert matching_documents(metadata, {"logic": "or", "conditions": [nothing, some]}) == {"d"}


def test_dify_spellings() -> None:
    condition = {
        "logical_operator": "or",
        "conditions": [{"name": ["k"], "comparison_operator": "is", "value": v} for v in ("x", "y")],
    }
    assert matching_documents({"d": {"k": "x"}, "e": {"k": "y"}, "f": {"k": "z"}}, condition) == {"d", "e"}


@pytest.mark.parametrize("condition", [{}, {"logic": "or"}, {"conditions": []}, {"conditions": None}])
def test_without_conditions_everything(condition: dict[str, Any]) -> None:
    assert not has_conditions(condition)
    assert matching_documents({"d": {}}, condition) == {"d"}


@pytest.mark.parametrize(
    ("condition", "text"),
    [
        ({"conditions": "x"}, "`conditions` must be a list, not a text"),
        ({"conditions": ["x"]}, "conditions[0] must be an object"),
        ({"conditions": [{"comparison_operator": "=", "value": 1}]}, "`name`"),
        ({"conditions": [{"name": "k", "value": 1}]}, "`comparison_operator`"),
        ({"conditions": [{"name": "k", "comparison_operator": "="}]}, "`value`"),
        ({"logic": 5, "conditions": [{"name": "k", "comparison_operator": "=", "value": 1}]}, "`logic`"),
        ({"conditions": [{}] * 1000}, "at most 256"),
    ],
)
def test_malformed(condition: dict[str, Any], text: str) -> None:
    with pytest.raises(BadFilter) as caught:
        matching_documents({}, condition)
    assert text in str(caught.value)


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just("2024-01-01")
)
values = scalars | st.lists(scalars, max_size=3)
documents = st.dictionaries(
    st.text("abc", min_size=1), st.dictionaries(st.sampled_from("kl"), values), max_size=5
)
conditions = st.fixed_dictionaries(
    {
        "name": st.sampled_from("kl"),
        "comparison_operator": st.sampled_from(sorted(OPERATORS)),
        "value": values,
    }
)


@given(documents, st.lists(conditions, min_size=1, max_size=3))
def test_and_or_are_set_algebra(metadata: dict[str, Any], entries: list[dict[str, Any]]) -> None:
    single = [matching_documents(metadata, {"conditions": [entry]}) for entry in entries]
    assert matching_documents(metadata, {"logic": "and", "conditions": entries}) == set.intersection(*single)
    assert matching_documents(metadata, {"logic": "or", "conditions": entries}) == set.union(*single)
    assert all(found <= set(metadata) for found in single)


@given(st.text(max_size=30))
def test_a_text_equals_itself(text: str) -> None:
    assert matches(text, "=", text)


@given(scalars, st.text(max_size=8))
def test_negations_are_complements_on_one_value(stored: Any, value: str) -> None:
    for positive, negative in (("contains", "not contains"), ("in", "not in")):
        assert matches(stored, positive, value) != matches(stored, negative, value) or stored is None


@given(
    st.recursive(
        scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8
    )
)
def test_any_json_is_answered_or_refused(body: Any) -> None:
    for condition in (body, {"conditions": body}, {"conditions": [body]}):
        with suppress(BadFilter):
            matching_documents({"d": {"k": 1}}, condition)
