"""`/api/v1/retrieval` as a client sees it."""

from typing import Any

import pytest

from tests.api.client import Api

UNKNOWN = "f00df00de54811f1955e02fc00000001"
PASSAGES = [
    "The warranty of the pump lasts 24 months from the day of purchase.",
    "Clean the filter of the pump every week with warm water.",
    "Whales are mammals and breathe air through their blowholes.",
    "合同自双方签字之日起生效，有效期为三年。",
]


@pytest.fixture
def dataset_id(api: Api) -> str:
    return api.make_dataset()


@pytest.fixture
def document_ids(api: Api, dataset_id: str) -> list[str]:
    ids = [d["id"] for d in api.upload(dataset_id, ("pump.txt", b"x"), ("sea.txt", b"y"))]
    for passage, document_id in zip(PASSAGES, (ids[0], ids[0], ids[1], ids[1]), strict=True):
        api.post(f"/datasets/{dataset_id}/documents/{document_id}/chunks", json={"content": passage})
    return ids


def test_the_best_passage_comes_first(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    found = api.retrieve([dataset_id], "How long does the warranty of the pump last?")
    best = found["chunks"][0]
    assert best["content"] == PASSAGES[0]
    assert set(best) == {
        "id", "content", "content_ltks", "document_id", "document_keyword", "document_name", "dataset_id",
        "important_keywords", "image_id", "similarity", "vector_similarity", "term_similarity", "positions",
        "doc_type_kwd", "mom_id",
    }  # fmt: skip
    assert best["document_keyword"] == best["document_name"] == "pump.txt"
    assert 0 <= best["term_similarity"] <= 1
    similarity = 0.3 * best["vector_similarity"] + 0.7 * best["term_similarity"]
    assert best["similarity"] == pytest.approx(similarity, abs=1e-6)
    scores = [chunk["similarity"] for chunk in found["chunks"]]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) >= 0.2
    assert found["doc_aggs"][0]["doc_id"] == document_ids[0]
    assert sum(row["count"] for row in found["doc_aggs"]) == found["total"] == len(scores)


def test_chinese(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    assert api.retrieve([dataset_id], "合同的有效期是多久？")["chunks"][0]["content"] == PASSAGES[3]


def test_weights_decide_the_similarity(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    for weight, key in ((1.0, "vector_similarity"), (0.0, "term_similarity")):
        best = api.retrieve([dataset_id], "warranty of the pump", vector_similarity_weight=weight)["chunks"][
            0
        ]
        assert best["similarity"] == pytest.approx(best[key], abs=1e-6)


def test_paging_is_stable(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    whole = api.retrieve([dataset_id], "pump warranty filter water", similarity_threshold=0.0)
    pages = [
        api.retrieve(
            [dataset_id], "pump warranty filter water", similarity_threshold=0.0, page=n, page_size=1
        )
        for n in range(1, whole["total"] + 2)
    ]
    assert [page["total"] for page in pages] == [whole["total"]] * len(pages)
    assert [chunk["id"] for page in pages for chunk in page["chunks"]] == [
        chunk["id"] for chunk in whole["chunks"]
    ]


def test_documents_restrict(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    found = api.retrieve([dataset_id], "pump", document_ids=[document_ids[1]], similarity_threshold=0.0)
    assert {chunk["document_id"] for chunk in found["chunks"]} <= {document_ids[1]}
    assert api.retrieve([dataset_id], "pump", document_ids=[document_ids[0]])["total"] > 0


def test_metadata_restricts(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    api.put(f"/datasets/{dataset_id}/documents/{document_ids[0]}", json={"meta_fields": {"kind": "manual"}})

    def total(operator: str, value: str) -> int:
        condition = {"conditions": [{"name": "kind", "comparison_operator": operator, "value": value}]}
        found: int = api.retrieve([dataset_id], "pump warranty", metadata_condition=condition)["total"]
        return found

    assert total("is", "manual") > 0
    assert total("is", "law") == 0
    nothing = api.retrieve(
        [dataset_id],
        "pump",
        metadata_condition={"conditions": [{"name": "x", "comparison_operator": "is", "value": "y"}]},
    )
    assert nothing == {"total": 0, "chunks": [], "doc_aggs": {}}
    assert api.retrieve([dataset_id], "pump warranty", metadata_condition={"logic": "and"})["total"] > 0


def test_highlight(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    best = api.retrieve([dataset_id], "warranty months", highlight="True")["chunks"][0]
    assert "<em>warranty</em>" in best["highlight"]
    assert "<em>months</em>" in best["highlight"]


def test_pagerank_is_added(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    before = api.retrieve([dataset_id], "pump warranty")["chunks"][0]["similarity"]
    api.put(f"/datasets/{dataset_id}", json={"pagerank": 5})
    after = api.retrieve([dataset_id], "pump warranty")["chunks"][0]["similarity"]
    assert after == pytest.approx(before + 5, abs=1e-6)


@pytest.mark.parametrize("question", ["", "  ", None])
def test_a_blank_question_finds_nothing(api: Api, dataset_id: str, question: str | None) -> None:
    reply = api.post("/retrieval", json={"dataset_ids": [dataset_id], "question": question})
    assert reply == {"code": 0, "data": {"total": 0, "chunks": [], "doc_aggs": {}}}


@pytest.mark.parametrize(
    "question",
    ["???", "the of and", '"a AND (b', "+-&&||!(){}[]^\"~*?:\\/", "a:b OR", "😀", "\u202e", "的了吗", "x" * 1_000_000, "why " * 250_000],
    ids=lambda q: q[:12],
)  # fmt: skip
def test_odd_questions_are_answered(
    api: Api, dataset_id: str, document_ids: list[str], question: str
) -> None:
    reply = api.post("/retrieval", json={"dataset_ids": [dataset_id], "question": question})
    assert reply["code"] == 0, reply
    assert reply["data"]["total"] == len(reply["data"]["chunks"])


def bodies(dataset_id: str) -> list[tuple[dict[str, Any], int, str]]:
    ask = {"dataset_ids": [dataset_id], "question": "pump"}
    return [
        ({}, 102, "`dataset_ids` is required."),
        ({"dataset_ids": "x"}, 102, "`dataset_ids` should be a list"),
        ({"dataset_ids": [UNKNOWN], "question": "a"}, 102, f"You don't own the dataset {UNKNOWN}."),
        ({"dataset_ids": [dataset_id]}, 102, "`question` is required."),
        (ask | {"document_ids": "x"}, 102, "`documents` should be a list"),
        (ask | {"document_ids": None}, 102, "`documents` should be a list"),
        (ask | {"document_ids": [UNKNOWN]}, 102, f"The datasets don't own the document {UNKNOWN}"),
        (ask | {"highlight": "maybe"}, 102, "`highlight` should be a boolean"),
        (ask | {"highlight": 1}, 102, "`highlight` should be a boolean"),
        (ask | {"page": 0}, 101, "Field: <page> - Message: <Input should be greater than or equal to 1> - Value: <0>"),
        (
            ask | {"page": None}, 101,
            "Field: <page> - Message: <Input should be a valid integer> - Value: <None>",
        ),
        (
            ask | {"page_size": -1}, 101,
            "Field: <page_size> - Message: <Input should be greater than or equal to 1> - Value: <-1>",
        ),
        (ask | {"top_k": 0}, 101, "Field: <top_k> - Message: <Input should be greater than or equal to 1> - Value: <0>"),
        (
            ask | {"similarity_threshold": "x"}, 101,
            "Field: <similarity_threshold> - Message: <Input should be a valid number> - Value: <x>",
        ),
        (ask | {"question": 5}, 101, "`question` should be a string, got int"),
    ]  # fmt: skip


def test_bad_requests(api: Api, dataset_id: str) -> None:
    for body, code, message in bodies(dataset_id):
        assert api.post("/retrieval", json=body) == {"code": code, "message": message}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite(api: Api, dataset_id: str, number: str) -> None:
    content = f'{{"dataset_ids": ["{dataset_id}"], "question": "a", "similarity_threshold": {number}}}'
    reply = api.post("/retrieval", content=content, headers={"Content-Type": "application/json"})
    assert reply["code"] == 101, reply


def test_options_that_are_not_there_are_refused(api: Api, dataset_id: str, document_ids: list[str]) -> None:
    body = {"dataset_ids": [dataset_id], "question": "pump"}
    for option in ({"use_kg": True}, {"toc_enhance": True}):
        reply = api.post("/retrieval", json=body | option)
        assert reply["code"] == 101
        assert f"`{next(iter(option))}` is not available" in reply["message"]
    assert api.post("/retrieval", json=body | {"rerank_id": "m"})["code"] == 102


@pytest.mark.parametrize("option", [{"keyword": True}, {"cross_languages": ["English"]}])
def test_options_that_need_a_model_are_refused_without_one(
    api: Api, dataset_id: str, document_ids: list[str], option: dict[str, Any]
) -> None:
    reply = api.post("/retrieval", json={"dataset_ids": [dataset_id], "question": "pump"} | option)
    assert reply["code"] == 101
    assert reply["message"].startswith(f"`{next(iter(option))}` needs a chat model that follows instructions")


@pytest.mark.parametrize("languages", [[], None])
def test_no_languages_need_no_model(
    api: Api, dataset_id: str, document_ids: list[str], languages: Any
) -> None:
    assert api.retrieve([dataset_id], "pump warranty", cross_languages=languages)["total"] > 0
