"""Retrieval quality through the whole server: files uploaded, parsed by its workers, asked over HTTP."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import httpx

from bench.quality import Case, Quality, measure
from bench.servers import Server

# Chunks of 128 tokens, as where the engine is asked; the default of 512 would leave most passages whole.
METHODS: dict[str, dict[str, Any]] = {
    "passages": {"chunk_method": "one"},
    "naive": {"chunk_method": "naive", "parser_config": {"chunk_token_num": 128}},
}
FILES_PER_UPLOAD = 100
PARSE_TIMEOUT_S = 300


def fill_over_http(
    running: Server, name: str, passages: Sequence[dict[str, Any]], chunks: str
) -> tuple[str, list[str]]:
    """(dataset id, document ids in the order of the passages). Names are numbers, so that titles do not help."""
    dataset_id = running.create_dataset(name, **METHODS[chunks])
    path = f"/api/v1/datasets/{dataset_id}"
    ids: list[str] = []
    for start in range(0, len(passages), FILES_PER_UPLOAD):
        some = passages[start : start + FILES_PER_UPLOAD]
        files = [(f"{start + n}.txt", passage["text"].encode()) for n, passage in enumerate(some)]
        uploaded = running.upload(dataset_id, files)
        running.call("POST", f"{path}/chunks", {"document_ids": uploaded})
        ids += uploaded
    wait_until_parsed(running, dataset_id, len(ids))
    return dataset_id, ids


def wait_until_parsed(running: Server, dataset_id: str, count: int, *, pause_s: float = 0.05) -> None:
    """Poll until so many documents are DONE. Raises RuntimeError when one has failed or it takes too long."""
    path = f"/api/v1/datasets/{dataset_id}/documents?page_size=1"
    deadline = time.monotonic() + PARSE_TIMEOUT_S
    while running.call("GET", f"{path}&run=DONE")["total"] < count:
        failed = running.call("GET", f"{path}&run=FAIL")
        if failed["total"]:
            raise RuntimeError(f"a document failed: {failed['docs'][0]['progress_msg']}")
        if time.monotonic() > deadline:
            raise RuntimeError(f"not parsed within {PARSE_TIMEOUT_S} s")
        time.sleep(pause_s)


def ask_over_http(
    running: Server, dataset_id: str, cases: Sequence[Case], weight: float
) -> tuple[Quality, float]:
    """(quality, questions/s) of POST /api/v1/retrieval without a threshold."""

    async def run() -> tuple[Quality, float]:
        headers = {"Authorization": f"Bearer {running.key}"}
        base_url = f"http://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(base_url=base_url, headers=headers, timeout=60) as client:

            async def ask(question: str) -> list[str]:
                body = {
                    "dataset_ids": [dataset_id], "question": question, "similarity_threshold": 0.0,
                    "vector_similarity_weight": weight,
                }  # fmt: skip
                reply = (await client.post("/api/v1/retrieval", json=body)).json()
                if reply["code"] != 0:
                    raise RuntimeError(str(reply))
                return [chunk["document_id"] for chunk in reply["data"]["chunks"]]

            started = time.perf_counter()
            quality = await measure(ask, cases)
            return quality, len(cases) / (time.perf_counter() - started)

    return asyncio.run(run())
