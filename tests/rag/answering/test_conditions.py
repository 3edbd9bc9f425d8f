"""Conditions that a model writes, and the metadata that it is shown."""

import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rag.answering.stages.conditions import _shown_metadata, read_conditions
from rag.retrieval.metadata_filter import matching_documents
from rag.text.tokens import count_tokens

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["year", "=", "and", "or", "2024", "≥"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["logic", "conditions", "key", "op", "value"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.none() | st.dictionaries(st.sampled_from(["logic", "conditions"]), JSON))
def test_whatever_is_written_can_be_evaluated(written: Any) -> None:
    condition = read_conditions(written, {"year"}, {})
    if condition is not None:
        assert matching_documents({"d": {"year": "2024"}}, condition) in (set(), {"d"})


def test_spellings_of_operators() -> None:
    written = {"logic": "OR", "conditions": [{"key": "year", "op": ">=", "value": 2020}, {"key": "kind", "op": "empty"}]}  # fmt: skip
    assert read_conditions(written, {"year", "kind"}, {}) == {
        "logic": "or",
        "conditions": [
            {"name": "year", "comparison_operator": "≥", "value": 2020},
            {"name": "kind", "comparison_operator": "empty", "value": None},
        ],
    }


def test_a_fixed_operator_wins() -> None:
    written = {"conditions": [{"key": "year", "op": "=", "value": "2020"}]}
    condition = read_conditions(written, {"year"}, {"year": "<"})
    assert condition is not None
    assert condition["conditions"][0]["comparison_operator"] == "<"


def test_ten_thousand_keys_are_shown_in_part_and_in_time() -> None:
    metadata = {
        f"d{n}": {f"key {n}": ["value"] * 3, "common": f"v{n}", "x" * 5000: "y"} for n in range(10_000)
    }
    started_s = time.monotonic()
    shown = _shown_metadata(metadata, None, 2000)
    assert time.monotonic() - started_s < 3
    assert "common" in shown
    assert 10 < len(shown) < 1000
    assert max(len(values) for values in shown.values()) <= 40
    assert sum(count_tokens(f"{key} {' '.join(values)}") for key, values in shown.items()) <= 2000
