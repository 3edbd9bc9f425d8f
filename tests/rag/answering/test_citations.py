"""Citations found, repaired and inserted."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.answering.citations import cite, find_citations, insert_citations, repair_citations
from rag.models.builtin_embedding import BuiltinEmbedding

EMBEDDING = BuiltinEmbedding()
PASSAGES = [
    "The warranty of the Aurora pump lasts thirty days and covers seals.",
    "The canteen serves lunch from noon to two, soup is free on Fridays.",
    "极光水泵的保修期为三十天。",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A [ID:1].", [1]),
        ("A [ID:1][ID:0] b [ID:1].", [1, 0]),
        ("A [ID:3] [ID:999999].", []),
        ("`[ID:1]` ```\n[ID:0]\n```", []),
        ("A [ID: 1] (ID:1).", []),
    ],
)
def test_find(text: str, expected: list[int]) -> None:
    assert find_citations(text, 3) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A (ID: 2).", "A [ID:2]."),
        ("A [ID: 2].", "A [ID:2]."),
        ("A [ID 2].", "A [ID:2]."),
        ("A 【ID: 2】。", "A [ID:2]。"),
        ("A【ID：2】。", "A[ID:2]。"),
        ("A [id:2].", "A [ID:2]."),
        ("A ref2.", "A [ID:2]."),
        ("A REF2, b", "A [ID:2], b"),
        ("A [ID:0, ID:1].", "A [ID:0][ID:1]."),
        ("A [ID:0, 2].", "A [ID:0][ID:2]."),
        ("A [ID:0; ID:9].", "A [ID:0]."),
        ("A [ID:9].", "A ."),
        ("A (ID: 12).", "A (ID: 12)."),
        ("A ref12.", "A ref12."),
        ("A href2 xref2 ref2b ref2.1 /ref2", "A href2 xref2 ref2b ref2.1 /ref2"),
        ("Run `ref2` and\n```\n[ID 2]\n```", "Run `ref2` and\n```\n[ID 2]\n```"),
        ("An ID 2 and (id card).", "An ID 2 and (id card)."),
    ],
)
def test_repair(text: str, expected: str) -> None:
    assert repair_citations(text, 3) == expected


MARKERS = st.sampled_from(
    ["[ID:0]", "[ID: 1]", "(ID 2)", "ref1", "[ID:0, ID:1]", "[ID:77]", "`", "```", "【ID：2】"]
)


@given(st.lists(st.one_of(MARKERS, st.text(max_size=10)), max_size=8).map(" ".join))
def test_repairing_twice_changes_nothing_more(text: str) -> None:
    once = repair_citations(text, 3)
    assert repair_citations(once, 3) == once


@given(st.text(alphabet=st.characters(exclude_characters="[(【（rR")))
def test_text_without_markers_stays(text: str) -> None:
    assert repair_citations(text, 3) == text


async def test_each_sentence_cites_what_it_resembles() -> None:
    text = (
        "The warranty of the Aurora pump lasts thirty days. Well. Lunch in the canteen is from noon to two!"
    )
    cited = await insert_citations(text, PASSAGES, embedding=EMBEDDING)
    assert cited == (
        "The warranty of the Aurora pump lasts thirty days [ID:0]. Well. "
        "Lunch in the canteen is from noon to two [ID:1]!"
    )


async def test_chinese_is_cited_before_the_full_stop() -> None:
    cited = await insert_citations("保修期为三十天。谢谢您的提问。", PASSAGES, embedding=EMBEDDING)
    assert cited == "保修期为三十天 [ID:2]。谢谢您的提问。"


async def test_a_passage_is_cited_once() -> None:
    text = f"{PASSAGES[0]} {PASSAGES[0]}"
    assert (await insert_citations(text, PASSAGES, embedding=EMBEDDING)).count("[ID:0]") == 1


@pytest.mark.parametrize(
    "text", ["", "I found nothing in the documents.", "Hi!", "\n\n", "| a | b |\n|---|---|"]
)
async def test_what_resembles_nothing_is_not_cited(text: str) -> None:
    assert await insert_citations(text, PASSAGES, embedding=EMBEDDING) == text


async def test_code_is_not_cited() -> None:
    text = f"```\n{PASSAGES[0]}\n```"
    assert await insert_citations(text, PASSAGES, embedding=EMBEDDING) == text


@given(st.text(max_size=200))
def test_insertion_only_adds_markers(text: str) -> None:
    import asyncio

    cited = asyncio.run(insert_citations(text, [text, "other"], embedding=EMBEDDING))
    for number in (0, 1):
        cited = cited.replace(f" [ID:{number}]", "").replace(f"[ID:{number}]", "")
    if "[ID:" not in text:
        assert cited == text


async def test_the_models_own_citations_are_kept_and_none_added() -> None:
    result = await cite(f"Lunch (ID: 1). {PASSAGES[0]}", PASSAGES, embedding=EMBEDDING)
    assert result.indexes == [1]
    assert result.text == f"Lunch [ID:1]. {PASSAGES[0]}"


async def test_without_embeddings_nothing_is_inserted() -> None:
    assert (await cite(PASSAGES[0], PASSAGES, embedding=None)).indexes == []


async def test_a_long_answer_is_cited_quickly() -> None:
    passages = [f"{PASSAGES[0]} Shelf {n}. " * 12 for n in range(12)]
    answer = " ".join(f"Shelf {n} holds pump {n} of the Aurora line, whose seals last." for n in range(45))
    await insert_citations(answer, passages, embedding=EMBEDDING)
    started = time.perf_counter()
    await insert_citations(answer, passages, embedding=EMBEDDING)
    assert time.perf_counter() - started < 0.5  # 0.02 s measured; the rest is for a busy machine


@pytest.mark.parametrize(
    "text", ["[ID " * 20_000, "[ID:1, " * 20_000, "`" * 50_000, "ref" * 50_000, "(ID: 1" * 20_000]
)
def test_hostile_text_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    repair_citations(text, 3)
    find_citations(text, 3)
    assert time.perf_counter() - started < 2
