"""What of a passage can be quoted, and where it is cut."""

import time

import pytest

from rag.models.quotable import split_quotables


def texts(content: str) -> list[str]:
    return [piece.text for piece in split_quotables(content)]


def test_a_record_is_one_row() -> None:
    content = (
        "name：Bao Chen; role：Designer. Lead; city：Shanghai\n"
        "name：Carla Díaz; role：Manager; city：Madrid\n"
        "name：Dieter Ehrlich; role：Engineer; city：Hamburg"
    )
    assert texts(content) == content.split("\n")
    assert all(piece.is_row for piece in split_quotables(content))


def test_prose_with_a_full_width_colon_is_no_record() -> None:
    assert texts("注意：保修期为三十天。过滤器收费。") == ["注意：保修期为三十天。", "过滤器收费。"]


def test_json_is_split_at_its_objects() -> None:
    content = (
        '{"product": "Pump P-9", "limits": {"max_pressure_bar": 16, "max_temp_c": 80}}\n'
        '{"contacts": {"0": {"name": "Ines", "phone": "+49 30 1234"}, "1": {"name": "Tom"}}}\n'
        '{"tags": ["red", "green"], "steps": [{"n": 1}, {"n": null}]}'
    )
    assert texts(content) == [
        "product: Pump P-9",
        "limits: max_pressure_bar: 16; max_temp_c: 80",
        "contacts: name: Ines; phone: +49 30 1234",
        "contacts: name: Tom",
        "tags: red, green",
        "steps: n: 1",
        "steps: n: null",
    ]


def test_what_only_looks_like_json_is_quoted_as_it_stands() -> None:
    assert texts("{not json}") == ["{not json}"]


def test_a_markdown_table_is_quoted_by_row() -> None:
    table = (
        "Stages follow.\n\n| Stage | Owner |\n|---|:-:|\n| Build | Mia |\n| Canary | Jonas |\n\nThat is all."
    )
    assert texts(table) == [
        "Stages follow.",
        "Stage: Build; Owner: Mia",
        "Stage: Canary; Owner: Jonas",
        "That is all.",
    ]
    assert texts("| Rollout | Priya |\n| End | Ann |") == ["Rollout; Priya", "End; Ann"]


def test_a_code_fence_is_code() -> None:
    pieces = split_quotables("Run this.\n```mermaid\ngraph TD; A-->B\n```\nDone.")
    assert [(piece.text, piece.is_code) for piece in pieces] == [
        ("Run this.", False),
        ("graph TD; A-->B", True),
        ("Done.", False),
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("- Dogs are welcome.\n- bread", ["Dogs are welcome.", "- bread"]),
        ("1. Open the valve.\n2. Wait.\n3. Tea", ["Open the valve.", "Wait.", "3. Tea"]),
        ("2. Liga spielt er.", ["2. Liga spielt er."]),
        ("## 4.2 Limits", ["4.2 Limits"]),
        ("## 4.2 What is it?", ["What is it?"]),
        ("3.5 Liter passen hinein.", ["3.5 Liter passen hinein."]),
    ],
)
def test_marks_are_left_out_before_a_sentence(content: str, expected: list[str]) -> None:
    assert texts(content) == expected


@pytest.mark.parametrize(
    "content",
    [
        "a：" + "b; c：" * 10_000,
        "{" * 20_000 + "}" * 20_000,
        '{"a":' * 8_000 + "1" + "}" * 8_000,
        "|" * 40_000,
        "|-" * 20_000,
        "```\n" * 10_000,
        "a：b; " * 8_000,
        "a：b\n" * 10_000,
        "; " * 20_000,
    ],
)
def test_hostile_lines_take_no_time(content: str) -> None:
    started = time.perf_counter()
    assert all(len(piece.text) <= 1_500 for piece in split_quotables(content))
    assert time.perf_counter() - started < 2
