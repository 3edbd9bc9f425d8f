"""The whole way with the real ragflow-sdk, on a file of every type."""

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("ragflow_sdk", reason="ragflow-sdk 0.22.1 needs Python below 3.13")
from ragflow_sdk import Chat, DataSet, RAGFlow

from tests.api.client import Api
from tests.walks.corpus import FACTS, Fact, library

UNKNOWN = "f00df00de54811f1955e02fc00000001"


@pytest.fixture(params=["", "/"], ids=["base_url", "base_url with a slash"])
def client(request: pytest.FixtureRequest, api: Api) -> RAGFlow:
    return RAGFlow(api.key, api.url + request.param)


@pytest.fixture
def dataset(client: RAGFlow) -> Iterator[DataSet]:
    """The parsed library."""
    dataset = client.create_dataset("library", description="every file type")
    files = library()
    documents = dataset.upload_documents([{"display_name": n, "blob": b} for n, b in files.items()])
    assert [one.name for one in documents] == list(files)
    assert {one.run for one in documents} == {"UNSTART"}
    ended = dataset.parse_documents([one.id for one in documents])
    assert {one[0] for one in ended} == {one.id for one in documents}
    for _, run, chunk_count, token_count in ended:
        assert (run, chunk_count > 0, token_count > 0) == ("DONE", True, True)
    yield dataset
    client.delete_datasets([dataset.id])
    assert [one.id for one in client.list_datasets()] == []


@pytest.fixture
def chat(client: RAGFlow, dataset: DataSet) -> Chat:
    return client.create_chat("librarian", dataset_ids=[dataset.id])


def retrieved(client: RAGFlow, dataset: DataSet, fact: Fact) -> Any:
    return client.retrieve(dataset_ids=[dataset.id], question=fact.question)[0]


def test_all_of_it(client: RAGFlow, dataset: DataSet, chat: Chat) -> None:
    """One test, since each step stands on the one before."""
    (listed,) = client.list_datasets(name="library")
    assert (listed.id, listed.document_count) == (dataset.id, len(library()))
    documents = {one.name: one for one in listed.list_documents(orderby="name", desc=False)}
    assert listed.chunk_count == sum(one.chunk_count for one in documents.values())
    for name, blob in library().items():
        assert documents[name].size == len(blob)
        if not name.endswith(".json"):  # the SDK takes every JSON list for an error
            assert documents[name].download() == blob

    for fact in FACTS:
        best = retrieved(client, dataset, fact)
        assert fact.answer in best.content, (fact, best.content)
        assert best.document_id == documents[fact.name].id
        assert best.similarity > 0
    page = retrieved(client, dataset, FACTS[0])
    assert 3 in {position[0] for position in page.positions}

    session = chat.create_session("questions")
    for fact in FACTS:
        (whole,) = session.ask(fact.question)
        assert fact.answer in whole.content, (fact, whole.content)
        assert fact.name in {one["document_name"] for one in whole.reference}
        cited = [one for n, one in enumerate(whole.reference) if f"[ID:{n}]" in whole.content]
        assert cited[0]["document_name"] == fact.name, (fact, whole.content)
        *pieces, last = session.ask(fact.question, stream=True)
        assert fact.answer in "".join(one.content for one in [*pieces, last])
        assert fact.name in {one["document_name"] for one in last.reference}
    (found,) = chat.list_sessions(id=session.id)
    assert len(found.messages) == 1 + 4 * len(FACTS)

    bread = documents["bread.md"]
    chunk = bread.add_chunk("Rye bread keeps for nine days.", important_keywords=["rye"])
    assert retrieved(client, dataset, Fact("", "How long does rye bread keep?", "")).id == chunk.id
    chunk.update({"content": "Rye bread keeps for eleven days."})
    (changed,) = bread.list_chunks(id=chunk.id)
    assert changed.content == "Rye bread keeps for eleven days."
    (whole,) = session.ask("How long does rye bread keep?")
    assert "eleven days" in whole.content
    bread.delete_chunks([chunk.id])
    assert chunk.id not in {one.id for one in bread.list_chunks()}
    assert [one.id for one in bread.list_chunks(keywords="sourdough")] == [bread.list_chunks()[0].id]

    bread.update({"name": "loaf.md", "meta_fields": {"kind": "recipe"}})
    (renamed,) = dataset.list_documents(keywords="loaf")
    assert (renamed.id, renamed.meta_fields.kind) == (bread.id, "recipe")
    only = client.retrieve(
        dataset_ids=[dataset.id], question="How long must it rise?",
        metadata_condition={"conditions": [{"name": "kind", "comparison_operator": "is", "value": "recipe"}]},
    )  # fmt: skip
    assert {one.document_id for one in only} == {bread.id}

    dataset.update({"name": "shelf", "description": "renamed"})
    assert client.get_dataset("shelf").id == dataset.id
    chat.update({"name": "archivist"})
    session.update({"name": "renamed"})
    assert [one.name for one in chat.list_sessions()] == ["renamed"]

    dataset.delete_documents([bread.id])
    (whole,) = session.ask(next(one.question for one in FACTS if one.name == "bread.md"))
    assert "eighteen hours" not in whole.content
    chat.delete_sessions()
    assert chat.list_sessions() == []
    client.delete_chats([chat.id])
    assert client.list_chats() == []


def test_what_cannot_be_read_fails_and_polling_ends(api: Api) -> None:
    client = RAGFlow(api.key, api.url)
    dataset = client.create_dataset("broken")
    files = {"a.pdf": b"%PDF-1.7 and nothing more", "b.json": b"{", "c.txt": b"", "d.txt": b"Fine."}
    documents = dataset.upload_documents([{"display_name": n, "blob": b} for n, b in files.items()])
    ended = {one[0]: one[1] for one in dataset.parse_documents([one.id for one in documents])}
    assert [ended[one.id] for one in documents][0::3] == ["FAIL", "DONE"]
    for one in dataset.list_documents():
        assert (one.run == "FAIL") == ("[ERROR]" in one.progress_msg), one.progress_msg


def test_no_refusal_is_taken_for_the_file(api: Api) -> None:
    """The SDK knows a refused download by its two keys alone; 0.22.1 then stumbles over its own error."""
    dataset = RAGFlow(api.key, api.url).create_dataset("downloads")
    (document,) = dataset.upload_documents([{"display_name": "a.txt", "blob": b"Tides."}])
    document.rag.authorization_header = {"Authorization": "Bearer ragflow-wrong"}
    with pytest.raises(AttributeError):
        document.download()
    document.rag.authorization_header = {"Authorization": f"Bearer {api.key}"}
    document.id = UNKNOWN
    with pytest.raises(AttributeError):
        document.download()


def test_refusals_come_as_exceptions(api: Api) -> None:
    client = RAGFlow(api.key, api.url)
    dataset = client.create_dataset("refusals")
    stranger = RAGFlow("ragflow-wrong", api.url)
    for call, text in (
        (lambda: stranger.list_datasets(), "Authentication error: API key is invalid!"),
        (lambda: client.get_dataset("nowhere"), "lacks permission for dataset"),
        (lambda: client.delete_datasets([UNKNOWN]), "lacks permission for dataset"),
        (lambda: dataset.delete_documents([UNKNOWN]), f"Documents not found: ['{UNKNOWN}']"),
        (lambda: dataset.async_parse_documents([UNKNOWN]), f"Documents not found: ['{UNKNOWN}']"),
        (lambda: client.retrieve(dataset_ids=[UNKNOWN], question="x"), f"You don't own the dataset {UNKNOWN}."),
        (lambda: dataset.upload_documents([{"display_name": "a.bmp", "blob": b"x"}]), "not been supported yet"),
    ):  # fmt: skip
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the SDK raises no other
            call()
        assert text in str(caught.value)
