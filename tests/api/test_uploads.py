"""Multipart bodies: every way of naming a file, any cut into pieces, bounded and refused clearly."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quart import Quart, Response

from api.connection import install
from api.errors import AppError
from api.http import error_response, json_response
from api.settings import HttpSettings
from api.uploads import MAX_PARTS, Field, disposition_parameters, read_form, read_multipart


@pytest.fixture(scope="module")
def app() -> Quart:
    app = Quart("uploads")
    install(app, HttpSettings(max_body_bytes=4_000_000))

    async def refuse(error: Exception) -> Response:
        assert isinstance(error, AppError), error
        return error_response(error, "/", is_semantic=True)

    app.register_error_handler(AppError, refuse)

    @app.post("/parts")
    async def parts() -> Response:
        found = []
        async for part in read_multipart():
            if isinstance(part, Field):
                found.append([part.name, part.value])
            elif part.filename != "skipped":
                data = b"".join([piece async for piece in part.pieces])
                found.append([part.name, part.filename, part.content_type, data.decode("latin-1")])
        return json_response(found)

    @app.post("/form")
    async def form() -> Response:
        return json_response(await read_form())

    return app


async def send(
    app: Quart, body: bytes, content_type: str = "multipart/form-data; boundary=b", path: str = "/parts"
) -> Any:
    reply = await app.test_client().post(path, data=body, headers={"Content-Type": content_type})
    return reply.status_code, await reply.get_json()


def part(disposition: bytes, data: bytes, extra: bytes = b"") -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n" + extra + b"\r\n" + data + b"\r\n"


async def test_fields_and_files_in_order(app: Quart) -> None:
    body = (
        part(b'form-data; name="a"', "é".encode())
        + part(b'form-data; name="file"; filename="x.txt"', b"one", b"Content-Type: text/plain\r\n")
        + part(b'form-data; name="file"; filename="skipped"', b"two")
        + part(b'form-data; name="file"; filename=""', b"")
        + part(b'form-data; name="z"', b"")
        + b"--b--\r\n"
    )
    assert await send(app, body) == (
        200,
        [
            ["a", "é"],
            ["file", "x.txt", "text/plain", "one"],
            ["file", "", "application/octet-stream", ""],
            ["z", ""],
        ],
    )


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.binary(max_size=400), st.booleans()), max_size=5),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
)
async def test_any_content_cut_anywhere(files: list[tuple[bytes, bool]], cuts: list[int]) -> None:
    """What real clients build comes out as it went in, however the network cuts it."""
    from api.uploads import _Reader

    request = httpx.Request(
        "POST",
        "http://x",
        files=[("file" if is_file else "f", (f"n{i}", data)) for i, (data, is_file) in enumerate(files)]
        or None,
    )
    if not files:
        return
    whole = request.read()
    boundary = request.headers["content-type"].split("boundary=")[1].encode()

    async def pieces() -> Any:
        place = turn = 0
        while place < len(whole):
            size = cuts[turn % len(cuts)]
            yield whole[place : place + size]
            place += size
            turn += 1

    reader = _Reader(boundary, pieces())
    found: list[bytes] = []
    while (event := await reader.next()) is not None:
        if event[0] == "head":
            found.append(b"")
        elif event[0] == "data":
            assert isinstance(event[1], bytes)
            found[-1] += event[1]
    assert found == [data for data, _ in files]


@pytest.mark.parametrize(
    ("raw", "filename"),
    [
        (b'form-data; name="file"; filename="a b.txt"', "a b.txt"),
        ('form-data; name="file"; filename="文档 é😀.pdf"'.encode(), "文档 é😀.pdf"),
        (b'form-data; name="file"; filename="caf\xe9.txt"', "café.txt"),
        (b"form-data; name=file; filename=plain.txt", "plain.txt"),
        (b'FORM-DATA; NAME="file"; FILENAME="up.txt"', "up.txt"),
        (b'form-data; name="file"; filename="C:\\Users\\me\\a.txt"', "a.txt"),
        (b'form-data; name="file"; filename="../../etc/passwd"', "passwd"),
        (b'form-data; name="file"; filename="say \\"hi\\".txt"', 'say "hi".txt'),
        (b'form-data; name="file"; filename="semi;colon=1.txt"', "semi;colon=1.txt"),
        (b"form-data; name=\"file\"; filename*=UTF-8''na%C3%AFve%20file.txt", "naïve file.txt"),
        (b'form-data; name="file"; filename="x"; filename*=UTF-8\'\'%E6%96%87.txt', "文.txt"),
        (b'form-data; name="file"; filename="kept.txt"; filename*=UTF-8\'\'%FF', "kept.txt"),
        (b'form-data; name="file"; filename="kept.txt"; filename*=no-such-charset\'\'a', "kept.txt"),
        (b'form-data; name="file"; filename=""', ""),
        (b'form-data; name="file"; filename="nul\x00.txt"', "nul\x00.txt"),
    ],
)
def test_file_names(raw: bytes, filename: str) -> None:
    assert disposition_parameters(raw) == {"name": "file", "filename": filename}


def test_no_file_name_is_not_an_empty_one() -> None:
    assert "filename" not in disposition_parameters(b'form-data; name="file"')


@given(st.binary(max_size=300))
def test_any_disposition_is_read(raw: bytes) -> None:
    parameters = disposition_parameters(b"form-data; " + raw)
    assert "/" not in parameters.get("filename", "")
    assert "\\" not in parameters.get("filename", "")


def test_a_hostile_disposition_takes_no_time() -> None:
    for raw in (b'form-data; name="' + b'\\"' * 4000, b"; a=" * 2000, b'form-data; x="' + b"\\" * 8000):
        disposition_parameters(raw)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "ends before"),
        (b"--b\r\nContent-Disposition: form-data; name=a\r\n\r\nhalf", "ends before"),
        (b"no boundary at all", "Malformed"),
        (b"--b\r\nA: " + b"a" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n", "Malformed"),
        (b"--b\r\n" + b"A: b\r\n" * 20 + b"\r\nx\r\n--b--\r\n", "Malformed"),
        (part(b"form-data; name=a", b"x") * (MAX_PARTS + 1) + b"--b--\r\n", "1000 parts"),
        (part(b"form-data; name=a", b"x" * 1_100_000) + b"--b--\r\n", "'a'"),
    ],
)
async def test_is_refused_in_words(app: Quart, body: bytes, words: str) -> None:
    status, reply = await send(app, body)
    assert (status, reply["code"]) == (400, 101)
    assert words in reply["message"]


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", "multipart/form-data; boundary=" + "b" * 300]
)
async def test_an_unusable_boundary(app: Quart, content_type: str) -> None:
    status, reply = await send(app, b"--b--", content_type)
    assert (status, reply["code"]) == (400, 101)


async def test_too_large_is_413(app: Quart) -> None:
    body = part(b"form-data; name=file; filename=a", b"x" * 5_000_000) + b"--b--\r\n"
    assert (await send(app, body))[0] == 413


async def test_what_is_not_multipart_has_no_parts(app: Quart) -> None:
    assert await send(app, b"{}", "application/json") == (200, [])


def forms() -> Iterator[tuple[bytes, str]]:
    yield b"a=1&b=%C3%A9&a=2", "application/x-www-form-urlencoded"
    yield (
        part(b"form-data; name=a", b"1")
        + part(b"form-data; name=b", "é".encode())
        + part(b"form-data; name=file; filename=f", b"x" * 2_000_000)
        + part(b"form-data; name=a", b"2")
        + b"--b--",
        "multipart/form-data; boundary=b",
    )


@pytest.mark.parametrize(("body", "content_type"), list(forms()))
async def test_a_form_of_either_kind(app: Quart, body: bytes, content_type: str) -> None:
    assert await send(app, body, content_type, "/form") == (200, {"a": "1", "b": "é"})
