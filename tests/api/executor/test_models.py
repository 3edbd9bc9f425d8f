"""Embedding models that are busy, refuse or are not there."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.executor import endings
from api.settings import Settings
from tests.api.executor.office import Office, open_office
from tests.api.executor.test_parsing import TEXT
from tests.rag.models.stub_openai import API_KEY, Fault, StubOpenAI, open_stub

pytestmark = pytest.mark.timeout(90)  # what waits for a worker must not wait for ever

MODEL = "stub-embedding@stub"


@pytest.fixture
async def stub() -> AsyncIterator[StubOpenAI]:
    async with open_stub() as stub:
        yield stub


@pytest.fixture
async def remote(tmp_path: Path, stub: StubOpenAI) -> AsyncIterator[Office]:
    """An office whose dataset is embedded by the stub."""
    async with open_office(tmp_path) as office:
        provider = {
            "name": "stub",
            "base_url": stub.base_url,
            "api_key": API_KEY,
            "embedding_models": ["stub-embedding"],
        }
        values = office.settings.model_dump() | {"models": {"providers": [provider]}}
        office.settings = Settings.model_validate(values)
        await office.add_dataset(embedding_model=MODEL)
        yield office


async def test_a_busy_model_is_waited_for_and_costs_no_attempt(
    remote: Office, stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "LONGEST_BUSY_S", 0.1)
    stub.faults.extend(Fault(status=429, headers={"Retry-After": "60"}) for _ in range(5))
    document_id = await remote.add("a.txt", TEXT)
    async with remote.working():
        await remote.parse(document_id)
        row = await remote.end_of(document_id)
    assert row.run == "3"
    assert row.progress_msg.count("Trying again in 0.1 s.") == 5  # more often than there are attempts
    assert "attempts failed" not in row.progress_msg
    await remote.check_counts()
    assert await remote.found("lighthous") == {document_id}


async def test_the_time_that_the_model_asks_for_is_kept(
    remote: Office, stub: StubOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "LONGEST_BUSY_S", 600)
    stub.faults.append(Fault(status=429, headers={"Retry-After": "60"}))
    document_id = await remote.add("a.txt", TEXT)
    async with remote.working():
        await remote.parse(document_id)
        row = await remote.until(document_id, lambda row: "Trying again in" in row.progress_msg)
    assert "Trying again in 60 s." in row.progress_msg
    assert row.run == "1"
    assert await remote.queue.depth() == 1


async def test_a_model_that_refuses_fails_at_once(remote: Office, stub: StubOpenAI) -> None:
    stub.faults.append(Fault(status=401))
    document_id = await remote.add("a.txt", TEXT)
    async with remote.working():
        await remote.parse(document_id)
        row = await remote.end_of(document_id)
    assert row.run == "4"
    assert "Trying again" not in row.progress_msg
    assert API_KEY not in row.progress_msg


async def test_a_model_that_is_not_configured_any_more(office: Office) -> None:
    await office.add_dataset(embedding_model="gone@nobody")
    document_id = await office.add("a.txt", TEXT)
    async with office.working():
        await office.parse(document_id)
        row = await office.end_of(document_id)
    assert row.run == "4"
    assert "gone@nobody" in row.progress_msg
