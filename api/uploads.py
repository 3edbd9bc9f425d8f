"""Multipart bodies, part by part as they arrive: a file of any size passes through in bounded memory."""

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser
from quart import request

from api.errors import BadArgument

MAX_PARTS = 1000
MAX_PART_HEADERS = 16
MAX_HEADER_BYTES = 8192
MAX_FIELD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Field:
    """A part that is not a file."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class FilePart:
    """A part with a file name, which may be empty (a form sent without choosing a file).

    filename: the last part of what the client sent, decoded. pieces: the bytes, to be read before the
    next part is asked for; what is not read then is skipped.
    """

    name: str
    filename: str
    content_type: str
    pieces: AsyncIterator[bytes]


_PARAMETER = re.compile(r';\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("(?:\\.|[^"\\])*"|[^;]*)')


def _text(raw: bytes) -> str:
    """UTF-8, as clients send names today; else Latin-1, as they did before."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _unquote(value: str) -> str:
    value = value.strip()
    if len(value) >= 2 and value[0] == value[-1] == '"':
        # Browsers escape only the quote, as %22, and send backslashes of Windows paths as they are:
        # so a backslash escapes a quote or a backslash, and is itself anywhere else.
        return re.sub(r'\\(["\\])', r"\1", value[1:-1])
    return value


def _extended(value: str) -> str | None:
    """`UTF-8''na%C3%AFve.txt` (RFC 8187); None when it is not of that form."""
    charset, quote, rest = value.strip().strip('"').partition("'")
    _, second, encoded = rest.partition("'")
    if not quote or not second:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset or "utf-8")
    except (LookupError, UnicodeDecodeError):
        return None


def disposition_parameters(raw: bytes) -> dict[str, str]:
    """Name and file name of a `Content-Disposition`: quoted or not, raw UTF-8 or `filename*`.

    A file name loses its folders, also those of Windows, which some clients send with it.
    """
    found = {name.lower(): value for name, value in _PARAMETER.findall(_text(raw))}
    parameters = {name: _unquote(value) for name, value in found.items() if not name.endswith("*")}
    for name, value in found.items():
        if name.endswith("*"):
            decoded = _extended(value)
            if decoded is not None:
                parameters[name[:-1]] = decoded
    if "filename" in parameters:
        parameters["filename"] = re.split(r"[/\\]", parameters["filename"])[-1]
    return parameters


class _Reader:
    """Collects what the parser finds in each piece of the body."""

    def __init__(self, boundary: bytes, body: AsyncIterator[bytes]) -> None:
        self._body = body
        # ("head", headers), ("data", bytes), ("end",), in order
        self.found: deque[tuple[str, object]] = deque()
        self._headers: dict[str, bytes] = {}
        self._name = bytearray()
        self._value = bytearray()
        self.is_complete = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_header_field": lambda data, start, end: self._name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": lambda: self.found.append(("head", dict(self._headers))),
                "on_part_data": lambda data, start, end: self.found.append(("data", data[start:end])),
                "on_part_end": lambda: self.found.append(("end", None)),
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_HEADER_BYTES,
        )

    def _on_header_end(self) -> None:
        self._headers[self._name.decode("latin-1").strip().lower()] = bytes(self._value).strip()
        self._name.clear()
        self._value.clear()

    def _on_end(self) -> None:
        self.is_complete = True

    async def next(self) -> tuple[str, object] | None:
        """What comes next; None at the end. Raises BadArgument, BodyTooLarge, BodyTimeout."""
        while not self.found:
            piece = await anext(self._body, b"")
            if not piece:
                if not self.is_complete:
                    raise BadArgument("The multipart body ends before its closing boundary.")
                return None
            try:
                self._parser.write(piece)
            except FormParserError as error:
                raise BadArgument(f"Malformed multipart body: {error}") from error
        return self.found.popleft()


def is_multipart() -> bool:
    """Whether the running request says that it carries a form with parts."""
    return bool(request.mimetype == "multipart/form-data")


async def read_multipart() -> AsyncIterator[Field | FilePart]:
    """The parts of the running request's body, in order. Nothing when the body is not multipart.

    Raises BadArgument (malformed, too many parts, a field over 1 MB), BodyTooLarge, BodyTimeout.
    """
    if not is_multipart():
        return
    boundary = request.mimetype_params.get("boundary", "")
    if not boundary:
        raise BadArgument("Content-Type multipart/form-data must name a boundary")
    try:
        reader = _Reader(boundary.encode("latin-1"), aiter(request.body))
    except (FormParserError, UnicodeEncodeError) as error:
        raise BadArgument(f"Unusable multipart boundary: {error}") from error
    count = 0
    while (event := await reader.next()) is not None:
        kind, headers = event
        if kind != "head":
            continue  # what is left of a part that was not read
        count += 1
        if count > MAX_PARTS:
            raise BadArgument(f"A form may have {MAX_PARTS} parts.")
        assert isinstance(headers, dict)
        parameters = disposition_parameters(headers.get("content-disposition", b""))
        name = parameters.get("name", "")
        pieces = _pieces(reader)
        if "filename" in parameters:
            content_type = headers.get("content-type", b"application/octet-stream").decode("latin-1")
            yield FilePart(name, parameters["filename"], content_type, pieces)
            async for _ in pieces:
                pass
        else:
            yield Field(name, await _field_value(name, pieces))


async def _pieces(reader: _Reader) -> AsyncIterator[bytes]:
    while True:
        event = await reader.next()
        if event is None or event[0] == "end":
            return
        assert isinstance(event[1], bytes)
        yield event[1]


async def _field_value(name: str, pieces: AsyncIterator[bytes]) -> str:
    value = bytearray()
    async for piece in pieces:
        value += piece
        if len(value) > MAX_FIELD_BYTES:
            raise BadArgument(f"The form field {name!r} may have {MAX_FIELD_BYTES} bytes.")
    return _text(bytes(value))


async def read_form() -> dict[str, str]:
    """The fields of the running request's form, the first of a name; files are skipped."""
    if not is_multipart():
        form = await request.form
        return {key: form[key] for key in form}
    fields: dict[str, str] = {}
    async for part in read_multipart():
        if isinstance(part, Field):
            fields.setdefault(part.name, part.value)
    return fields
