from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.retrieval.metadata import (
    BadMetadata,
    MetadataDelete,
    MetadataUpdate,
    apply_changes,
    documents_by_value,
    normalize_metadata,
    read_updates,
    summarize,
)


def test_lists_are_split_and_scalars_are_not() -> None:
    assert normalize_metadata(
        {"a": ["x, y", " x ", "z；w|v、u", ""], "b": "x, y", "n": [1, 1, True, None]}
    ) == {
        "a": ["x", "y", "z", "w", "v", "u"],
        "b": "x, y",
        "n": [1, True, None],
    }


@pytest.mark.parametrize("value", [[{}], [[1]], ["a", {"b": 1}]])
def test_nested_lists_are_refused(value: Any) -> None:
    with pytest.raises(BadMetadata, match="'k'"):
        normalize_metadata({"k": value})


def test_summary() -> None:
    documents = [
        {"author": "bob", "year": 5, "tags": ["a", "b"], "at": "2024-01-01T00:00:00", "none": None},
        {"author": "alice", "year": 5.5, "tags": ["b"], "ok": True},
        {"author": "alice"},
    ]
    assert summarize(documents) == {
        "author": {"type": "string", "values": [["alice", 2], ["bob", 1]]},
        "year": {"type": "number", "values": [["5", 1], ["5.5", 1]]},
        "tags": {"type": "list", "values": [["b", 2], ["a", 1]]},
        "at": {"type": "time", "values": [["2024-01-01T00:00:00", 1]]},
        "ok": {"type": "string", "values": [["True", 1]]},
    }


def test_documents_by_value() -> None:
    assert documents_by_value({"d": {"k": ["x", "x", 1]}, "e": {"k": "x"}}) == {
        "k": {"x": ["d", "e"], "1": ["d"]}
    }


@pytest.mark.parametrize(
    ("old", "update", "new"),
    [
        ({}, MetadataUpdate("k", ["a", "a"]), {"k": ["a"]}),
        ({}, MetadataUpdate("k", "v", match="x"), {}),
        ({"k": ["a"]}, MetadataUpdate("k", "b"), {"k": ["a", "b"]}),
        ({"k": ["a"]}, MetadataUpdate("k", ["a", "b"]), {"k": ["a", "b"]}),
        ({"k": "a"}, MetadataUpdate("k", "b", match=""), {"k": "b"}),
        ({"k": ["a", "b"]}, MetadataUpdate("k", "c", match="a"), {"k": ["c", "b"]}),
        ({"k": 5}, MetadataUpdate("k", 6, match="5"), {"k": 6}),
        ({"k": 5}, MetadataUpdate("k", 6, match="7"), {"k": 5}),
    ],
)
def test_updates(old: dict[str, Any], update: MetadataUpdate, new: dict[str, Any]) -> None:
    assert apply_changes(old, [update], []) == new


@pytest.mark.parametrize(
    ("old", "delete", "new"),
    [
        ({"k": 1}, MetadataDelete("k"), {}),
        ({"k": 1}, MetadataDelete("other"), {"k": 1}),
        ({"k": ["a", "b"]}, MetadataDelete("k", "a"), {"k": ["b"]}),
        ({"k": ["a"]}, MetadataDelete("k", "a"), {}),
        ({"k": ["a"]}, MetadataDelete("k", "b"), {"k": ["a"]}),
        ({"k": 5}, MetadataDelete("k", "5"), {}),
        ({"k": 5}, MetadataDelete("k", "6"), {"k": 5}),
    ],
)
def test_deletes(old: dict[str, Any], delete: MetadataDelete, new: dict[str, Any]) -> None:
    assert apply_changes(old, [], [delete]) == new


@pytest.mark.parametrize(
    ("updates", "deletes", "text"),
    [
        ({"k": 1}, [], "updates and deletes must be lists."),
        ([{"key": "k"}], [], "Each update requires key and value."),
        ([5], [], "Each update requires key and value."),
        ([], [{"value": 1}], "Each delete requires key."),
    ],
)
def test_malformed_changes(updates: Any, deletes: Any, text: str) -> None:
    with pytest.raises(BadMetadata) as caught:
        read_updates(updates, deletes)
    assert str(caught.value) == text


def test_falsy_changes_are_none() -> None:
    assert read_updates(None, "") == ([], [])


items = st.integers(0, 3) | st.sampled_from("abc")
metadata = st.dictionaries(st.sampled_from("kl"), items | st.lists(items))


@given(metadata)
def test_normalizing_twice_changes_nothing(document: dict[str, Any]) -> None:
    once = normalize_metadata(document)
    assert normalize_metadata(once) == once


@given(metadata, items)
def test_what_was_deleted_is_gone(document: dict[str, Any], value: Any) -> None:
    before = repr(document)
    after = apply_changes(document, [], [MetadataDelete("k", value)])
    assert repr(document) == before
    stored = after.get("k", [])
    assert str(value) not in [str(item) for item in (stored if isinstance(stored, list) else [stored])]
