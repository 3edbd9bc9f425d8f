"""A document's way from the queue to DONE, with real workers."""

import asyncio
import re

import pytest

from api.db import documents
from api.db.models import Document
from api.executor import supervisor
from tests.api.executor.office import Office

pytestmark = pytest.mark.timeout(90)  # what waits for a worker must not wait for ever


def sentences(count: int, thing: str = "lighthouse") -> str:
    """A text no two parts of which are equal."""
    return " ".join(f"The {thing} number {n} stands at the cape." for n in range(count))


TEXT = "The lighthouse stands at the cape. Its lamp burns oil. "


async def test_done_is_searchable_and_counted(office: Office) -> None:
    document_id = await office.add("owl.txt", sentences(200, "owl"), {"chunk_token_num": 64})
    other_id = await office.add("cape.md", f"# Cape\n\n{TEXT}")
    async with office.working() as executor:
        await office.parse(document_id, other_id)
        row = await office.end_of(document_id)
        assert document_id in await office.found("owl")
        other = await office.end_of(other_id)
        assert other_id in await office.found("lighthous")
        status = await executor.queue_status()
    assert (row.run, row.progress) == ("3", 1.0)
    assert (other.run, other.progress) == ("3", 1.0)
    assert row.chunk_count > 1
    assert row.process_duration > 0
    await office.check_counts()
    assert await office.task_count() == 0
    assert (status.done, status.failed, status.depth, len(status.workers)) == (2, 0, 0, 2)


async def test_the_messages_clients_know(office: Office) -> None:
    document_id = await office.add("cape.txt", TEXT)
    async with office.working():
        await office.parse(document_id)
        queued = await office.row(document_id)
        row = await office.end_of(document_id)
    assert queued.run == "1"
    assert 0 < queued.progress < 0.02
    lines = row.progress_msg.split("\n")
    assert re.fullmatch(r"\d\d:\d\d:\d\d Task has been received\.", lines[0])
    said = [re.fullmatch(r"\d\d:\d\d:\d\d Page\(1~100000001\): (.+)", line) for line in lines[1:]]
    texts = [re.sub(r"\d+\.\d\d", "0.00", match[1]) for match in said if match]
    assert len(texts) == len(lines) - 1
    assert texts[-4:] == [
        "Generate 1 chunks",
        "Embedding chunks (0.00s)",
        "Indexing done (0.00s).",
        "Task done (0.00s)",
    ]


async def test_a_second_parse_replaces_and_readers_never_see_none(office: Office) -> None:
    document_id = await office.add("a.txt", TEXT)
    async with office.working():
        await office.parse(document_id)
        before = await office.end_of(document_id)
        await office.storage.put(before.storage_key, _pieces(sentences(1500, "heron").encode()))
        seen: list[set[str]] = []
        await office.parse(document_id)
        while True:
            row = await office.row(document_id)
            seen.append(await office.found("lighthous") | await office.found("heron"))
            if row.run == "3":
                break
            assert (row.chunk_count, row.token_count) == (before.chunk_count, before.token_count)
        assert all(found == {document_id} for found in seen)
        assert await office.found("lighthous") == set()
        await office.check_counts()
        await office.parse(document_id)
        again = await office.end_of(document_id)
        assert (again.chunk_count, again.token_count) == (row.chunk_count, row.token_count)
        await office.check_counts()


async def _pieces(data: bytes):
    yield data


@pytest.mark.parametrize(
    ("name", "content", "values", "reason"),
    [
        ("a.docx", b"this is no zip file", {}, "docx"),
        ("a.txt", TEXT.encode(), {"chunk_method": "qa"}, "chunk method 'qa' is not available"),
        ("a.pages", TEXT.encode(), {}, "cannot read .pages files"),
        ("empty.txt", b"", {}, "empty"),
        ("a.txt", b"x" * 3_000_000, {}, "File size exceeds( <= 2Mb )"),
    ],
)
async def test_what_cannot_be_parsed_fails_at_once_with_its_reason(
    office: Office, name: str, content: bytes, values: dict[str, str], reason: str
) -> None:
    office.settings = office.settings.model_copy(
        update={"executor": office.settings.executor.model_copy(update={"max_file_bytes": 2 << 20})}
    )
    document_id = await office.add(name, content, **values)
    async with office.working():
        await office.parse(document_id)
        row = await office.end_of(document_id)
    assert (row.run, row.progress, row.chunk_count) == ("4", -1.0, 0)
    last = row.progress_msg.split("\n")[-1]
    assert re.match(r"\d\d:\d\d:\d\d Page\(1~100000001\): \[ERROR\]", last)
    assert reason in last
    assert await office.task_count() == 0
    assert office.staged_rows() == 0


async def test_a_file_that_is_not_there(office: Office) -> None:
    document_id = await office.add("a.txt", TEXT)
    row = await office.row(document_id)
    await office.storage.delete([row.storage_key])
    async with office.working():
        await office.parse(document_id)
        row = await office.end_of(document_id)
    assert row.run == "4"
    assert "Can not find file <a.txt>" in row.progress_msg


async def test_a_failed_parse_keeps_the_old_chunks(office: Office) -> None:
    document_id = await office.add("a.txt", TEXT)
    async with office.working():
        await office.parse(document_id)
        done = await office.end_of(document_id)
        await office.storage.delete([done.storage_key])
        await office.parse(document_id)
        row = await office.end_of(document_id)
        assert row.run == "4"
        assert await office.found("lighthous") == {document_id}
        await office.check_counts()


async def test_a_disabled_document_is_parsed_but_not_found(office: Office) -> None:
    document_id = await office.add("a.txt", TEXT, is_enabled=False)
    async with office.working():
        await office.parse(document_id)
        row = await office.end_of(document_id)
        assert (row.run, row.chunk_count) == ("3", 1)
        assert await office.found("lighthous") == set()


async def test_switched_and_renamed_while_it_is_parsed(office: Office) -> None:
    document_id = await office.add("a.txt", sentences(20_000))
    async with office.working():
        await office.parse(document_id)
        await office.until(document_id, lambda row: "received" in row.progress_msg)

        def change() -> None:
            Document.update(is_enabled=False, name="heron.txt").where(Document.id == document_id).execute()

        await office.db.transaction(change)
        row = await office.end_of(document_id)
        assert row.run == "3"
        assert await office.found("lighthous") == set()
        await office.store.set_available(office.dataset_id, document_id, is_available=True)
        page = await office.store.list_chunks(office.dataset_id, document_id, offset=0, limit=1)
        assert page.chunks[0].document_name == "heron.txt"


async def test_parse_during_parse_ends_with_one_result(office: Office) -> None:
    document_id = await office.add("a.txt", sentences(10_000))
    async with office.working():
        for _ in range(4):
            await office.parse(document_id)
            await asyncio.sleep(0.15)
        row = await office.end_of(document_id)
        assert row.run == "3"
        await office.check_counts()
        await asyncio.sleep(0.3)
    assert await office.task_count() == 0
    assert office.staged_rows() == 0


async def test_many_small_documents(office: Office) -> None:
    ids = [await office.add(f"{n}.txt", f"Lighthouse number{n} at the cape.") for n in range(60)]
    async with office.working() as executor:
        await office.parse(*ids)
        rows = [await office.end_of(one) for one in ids]
        assert {row.run for row in rows} == {"3"}
        assert await office.found("number7") == {ids[7]}
        assert (await executor.queue_status()).done == 60
    await office.check_counts()


async def test_a_large_document_goes_to_the_first_worker_that_falls_idle(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small documents may stand in a worker's line, the large one behind them waits for an idle worker."""
    monkeypatch.setattr(supervisor, "POLL_S", 60.0)
    small = [await office.add(f"s{number}.txt", f"Small {number}. " * 300) for number in range(6)]
    large = [await office.add(f"l{number}.txt", f"Large {number}. " * 10_000) for number in range(3)]
    async with office.working():
        await office.parse(*small, *large)
        for document_id in (*small, *large):
            assert (await office.end_of(document_id, timeout_s=30)).run == "3"


async def test_progress_is_shown_while_it_runs(office: Office) -> None:
    document_id = await office.add("a.txt", sentences(40_000))
    async with office.working():
        await office.parse(document_id)
        row = await office.until(document_id, lambda row: 0.01 <= row.progress < 1)
        assert row.run == "1"
        assert "Task has been received." in row.progress_msg
        done = await office.end_of(document_id)
        assert done.run == "3"


async def test_a_queue_that_was_filled_while_nobody_worked(office: Office) -> None:
    ids = [await office.add(f"{n}.txt", TEXT) for n in range(3)]
    await office.parse(*ids)
    await asyncio.sleep(0.1)
    assert await office.queue.depth() == 3
    async with office.working():
        for one in ids:
            assert (await office.end_of(one)).run == "3"


async def test_stopping_gives_tasks_back_and_costs_no_attempt(office: Office) -> None:
    document_id = await office.add("a.txt", sentences(20_000))
    await office.parse(document_id)
    for _ in range(4):
        async with office.working():
            await office.until(document_id, lambda row: "received" in row.progress_msg)
    async with office.working():
        row = await office.end_of(document_id, 60)
        assert row.run == "3"
        await office.check_counts()
    assert office.staged_rows() == 0


def test_the_message_keeps_its_end() -> None:
    message = ""
    for n in range(400):
        message = documents.with_lines(message, documents.progress_line(f"line {n}"))
    assert len(message) <= 3000
    assert message.endswith("line 399")
    assert re.match(r"\d\d:\d\d:\d\d ", message)
