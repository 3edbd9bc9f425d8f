import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.sentences import sentence_spans, split_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It cost 3.5 dollars. Dr. Smith paid.", ["It cost 3.5 dollars.", "Dr. Smith paid."]),
        ("See e.g. the manual. Then stop.", ["See e.g. the manual.", "Then stop."]),
        ("今天下雨。明天呢？不知道！", ["今天下雨。", "明天呢？", "不知道！"]),
        ("他说：“走吧。”然后走了。", ["他说：“走吧。”", "然后走了。"]),
        ("RAG 很好用。It works. 是吗？", ["RAG 很好用。", "It works.", "是吗？"]),
        ("Title\n\nBody text here", ["Title", "Body text here"]),
        ("- one\n- two\n- three", ["- one", "- two", "- three"]),
        ("1. First\n2. Second", ["1. First", "2. Second"]),
        ("A line that\ngoes on.", ["A line that\ngoes on."]),
        (
            "Run this. Then:\n```\na. b. c.\nd!\n```\nDone.",
            ["Run this.", "Then:", "```\na. b. c.\nd!\n```", "Done."],
        ),
        ("The seal costs 4; the set costs 19. Ask.", ["The seal costs 4; the set costs 19.", "Ask."]),
        ("Use it (dry; clean). Stop.", ["Use it (dry; clean).", "Stop."]),
        ("保修（密封件；电机）免费；过滤器收费。", ["保修（密封件；电机）免费；", "过滤器收费。"]),
        ("", []),
        ("  \n ", []),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert split_sentences(text) == expected


@given(st.text(alphabet='aB1.。!？ \n"”`-;，,', max_size=200))
def test_nothing_is_lost_but_white_space(text: str) -> None:
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
    assert re.sub(r"\s", "", "".join(text[a:b] for a, b in spans)) == re.sub(r"\s", "", text)


def test_a_heading_is_a_sentence_of_its_own() -> None:
    text = "# Manual\n## Warranty\nThe warranty lasts\ntwo years. It is free.\n### End"
    assert split_sentences(text) == [
        "# Manual",
        "## Warranty",
        "The warranty lasts\ntwo years.",
        "It is free.",
        "### End",
    ]


@pytest.mark.parametrize(
    "sentence",
    [
        "Am 3. Mai 2005 wurde die Anlage in Husum eingeweiht.",
        "Das war im 19. Jahrhundert noch nicht so.",
        "Sie feierte ihren 80. Geburtstag in Kiel.",
        "Die Kosten betrugen 1,5 Mio. Euro für die Anlage.",
        "Das gilt z. B. Hunden und ca. 20 Katzen.",
        "Siehe Nr. 5 und Abs. 2 sowie Art. 7 der Satzung.",
        "Der Preis bzw. Die Gebühr steht im Anhang.",
        "Er kam am 5. über die Grenze.",
    ],
)
def test_german_ordinals_and_abbreviations_end_nothing(sentence: str) -> None:
    assert split_sentences(f"{sentence} Danach war Ruhe.") == [sentence, "Danach war Ruhe."]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Die Anlage hat einen Rotor von 80. Die Nabe liegt höher.", 2),
        ("Sie kostet 1,5 Mio. Die Anlage läuft seit dem Frühjahr.", 2),
        ("I am 5. Dogs are nice to me.", 2),
        ("They train their abs. Then they rest.", 2),
        ("It was built in 2005. Visitors came by bus.", 2),
    ],
)
def test_a_number_may_end_a_sentence(text: str, count: int) -> None:
    assert len(split_sentences(text)) == count
