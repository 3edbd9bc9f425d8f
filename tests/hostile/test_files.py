"""Files that are not what they seem, through upload and parse: each ends, with text to be found or a reason."""

import gzip
import random
from typing import Any

import pytest

from tests import files
from tests.api.client import Api
from tests.conftest import StartServer
from tests.hostile import hostile_files
from tests.hostile.replies import LEAK

PDF = files.manual_pdf(4)
PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(3_000)
WALL = "".join(files.GREAT_WALL)
TIDES = "Tides rise twice a day. "

FAIL: dict[str, tuple[bytes, str]] = {
    **{
        f"empty.{kind}": (b"", "is empty (0 bytes)")
        for kind in ("txt", "md", "html", "csv", "json", "docx", "pdf")
    },
    "blank.txt": (b" \n\t\r\n ", "no text that could be searched"),
    "mark.txt": (b"\xef\xbb\xbf", "no text that could be searched"),
    "tags.html": (b"<b>" * 100_000, "no text that could be searched"),
    "zeros.txt": (b"\0" * 1_000, "content is binary data"),
    **{
        f"picture.{kind}": (PNG, "content is a PNG picture")
        for kind in ("txt", "md", "csv", "json", "docx", "pdf")
    },
    "pdf.docx": (PDF, "content is a PDF document"),
    "pdf.txt": (PDF, "content is a PDF document"),
    "word.pdf": (files.report_docx(), "content is a Word document"),
    "page.pdf": (files.web_page(), "content is plain text"),
    "text.docx": (b"Just text.", "content is plain text"),
    "archive.docx": (files.zip_of({"a.txt": b"x"}), "content is a ZIP archive"),
    "gzip.json": (gzip.compress(b'{"a": 1}'), "content is a gzip archive"),
    "program.csv": (b"\x7fELF" + random.Random(2).randbytes(3_000), "content is a program"),
    "text.json": (b"Just text.", "not valid JSON: Expecting value at line 1, column 1"),
    "deep.json": (b"[" * 1_000_000, "nests more than 200 levels deep"),
    "half.pdf": (PDF[: len(PDF) // 2], "damaged or was cut off"),
    "head.pdf": (PDF[:20], "damaged or was cut off"),
    "tail.pdf": (PDF[-300:], "content is plain text"),
    "encrypted.pdf": (files.text_pdf([["secret"]], password="x"), "protected by a password"),
    "scanned.pdf": (files.scanned_pdf(), "Scanned pages cannot be read yet"),
    "pageless.pdf": (files.empty_pdf(), "has no pages"),
    "half.docx": (files.report_docx()[:2_000], "not a Word document (.docx), or it is damaged"),
    "bomb.docx": (hostile_files.bomb_docx(), "unpacks to far more"),
    "entity.docx": (hostile_files.entity_docx(), "document type declaration"),
    "laughs.docx": (hostile_files.laughing_docx(), "document type declaration"),
}
"""name: (content, piece of the reason)"""

DONE: dict[str, tuple[bytes, str]] = {
    "page.txt": (files.web_page(), "Cape Arkona"),
    "partly.pdf": (files.scanned_pdf(3, TIDES), TIDES.strip()),
    "damaged.txt": (TIDES.encode() * 5 + b"\xff\xfe\xfd" + TIDES.encode(), TIDES.strip()),
    "cut.txt": ((WALL * 3).encode()[:-1], WALL[:20]),
    "utf16.txt": ((TIDES + WALL).encode("utf-16"), WALL[:20]),
    "utf16be.txt": (b"\xfe\xff" + TIDES.encode("utf-16-be"), TIDES.strip()),
    "utf16.csv": ("名称,年份\n长城,1368\n".encode("utf-16"), "长城"),
    "utf16.json": ('{"sea": "tides"}'.encode("utf-16"), "tides"),
    "utf16.html": (f"<p>{WALL}".encode("utf-16"), WALL[:20]),
    "utf32.txt": (TIDES.encode("utf-32"), TIDES.strip()),
    "unmarked.txt": ((TIDES * 20).encode("utf-16-le"), TIDES.strip()),
    "gb18030.txt": (WALL.encode("gb18030"), WALL[:20]),
    "gb18030.csv": ("名称,年份\n长城,一三六八\n".encode("gb18030"), "长城"),
    "gb18030.html": (f"<html><meta charset=gb2312><p>{WALL}".encode("gb18030"), WALL[:20]),
    "big5.txt": ("長城是中國古代的軍事防禦工程，總長度為八千公里。".encode("big5"), "長城"),
    "latin.txt": ("Die Fähre fährt über das Meer. Größe und Höhe.".encode("latin-1"), "Fähre"),
    "nan.json": (b'{"a": NaN, "b": -Infinity, "c": 1e999, "d": "tides"}', "tides"),
    "surrogate.json": (rb'{"a": "\ud800 tides"}', "tides"),
    "twice.json": (b'{"a": "tides", "a": "waves"}', "waves"),
    "quotes.csv": (b'a,b\n"' * 20_001, "a"),
    "deep.md": (b"> " * 20_000 + b"tides", "> >"),
    "line.txt": (b"tides " * 1_700_000, "tides"),
    "line.html": (b"<p>" + b"tides " * 200_000, "tides"),
    "one word.txt": (b"x" * 1_000_000, "xxx"),
    "line.json": (b'["' + b"tides " * 200_000 + b'"]', "tides"),
}
"""name: (content, piece of the first chunk)"""


@pytest.fixture(scope="module")
def ended(live_server: Any) -> Any:
    """(client, dataset, documents by name): all of them uploaded, parsed at once, and waited for."""
    from tests.serve import make_account

    account = make_account(live_server.data_dir, "files@example.com")
    api = Api(live_server.url, account["key"], account["user_id"])
    dataset_id = api.make_dataset()
    ids = {
        name: api.upload(dataset_id, (name, content))[0]["id"] for name, (content, _) in (FAIL | DONE).items()
    }
    assert api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": list(ids.values())}) == {
        "code": 0
    }
    yield api, dataset_id, {name: api.wait(dataset_id, one, 120) for name, one in ids.items()}
    api.close()


@pytest.mark.parametrize("name", FAIL)
def test_what_cannot_be_read_says_why(ended: Any, name: str) -> None:
    _, _, documents = ended
    document = documents[name]
    message = document["progress_msg"]
    assert (document["run"], document["progress"], document["chunk_count"]) == ("FAIL", -1.0, 0), message
    assert FAIL[name][1] in message
    assert "attempts failed" not in message  # trying again would not help
    assert LEAK.search(message) is None, message


@pytest.mark.parametrize("name", DONE)
def test_what_can_be_read_is_found(ended: Any, name: str) -> None:
    api, dataset_id, documents = ended
    document = documents[name]
    assert document["run"] == "DONE", document["progress_msg"]
    chunks = api.chunks(dataset_id, document["id"])
    assert chunks["total"] == document["chunk_count"] > 0
    assert DONE[name][1] in chunks["chunks"][0]["content"]
    assert all(len(chunk["content"]) < 20_000 for chunk in chunks["chunks"])


def test_counters_and_index_agree(ended: Any) -> None:
    api, dataset_id, documents = ended
    (dataset,) = api.get("/datasets", params={"id": dataset_id})["data"]
    assert dataset["document_count"] == len(FAIL | DONE)
    assert dataset["chunk_count"] == sum(one["chunk_count"] for one in documents.values())
    assert dataset["token_num"] == sum(one["token_count"] for one in documents.values())
    found = api.retrieve([dataset_id], "tides", page_size=100, similarity_threshold=0.1)["chunks"]
    assert {"utf16.json", "utf32.txt"} <= {one["document_name"] for one in found}


def test_a_pdf_that_takes_for_ever_or_all_memory_fails_alone(start_server: StartServer) -> None:
    good = hostile_files.pdf_of(b"BT /F1 12 Tf 50 700 Td (Tides rise twice a day.) Tj ET")
    for limit, size, reasons in (
        ({"executor__time_limit_s": 1.5}, 3_000_000, ("longer than 1.5 s",)),
        # Libraries in C end their process where Python says that memory is out.
        ({"executor__memory_limit_mb": 256}, 700_000, ("more than 256 MB of memory", "signal SIGABRT")),
    ):
        server = start_server(executor__workers=1, executor__attempts=1, **limit)
        api = Api(server.url, server.key, "")
        dataset_id = api.make_dataset()
        hostile = hostile_files.crowded_pdf(size)
        assert len(hostile) < 40_000
        (bad,), (after,) = (
            api.upload(dataset_id, ("bad.pdf", hostile)),
            api.upload(dataset_id, ("good.pdf", good)),
        )
        api.post(f"/datasets/{dataset_id}/chunks", json={"document_ids": [bad["id"], after["id"]]})
        failed = api.wait(dataset_id, bad["id"], 60)
        assert failed["run"] == "FAIL"
        assert any(one in failed["progress_msg"] for one in reasons), failed["progress_msg"]
        assert api.wait(dataset_id, after["id"], 60)["run"] == "DONE"
        api.close()
