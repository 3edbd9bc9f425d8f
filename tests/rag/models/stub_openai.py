"""An OpenAI-compatible server on the loopback that checks each request and misbehaves on demand."""

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

API_KEY = "sk-stub-0123456789abcdef"
DIMENSION = 8


@dataclass
class Fault:
    """What the next request gets in place of a good reply.

    status: an error with this status. raw: this text as body of a 200. reset_after: pieces of a stream (or
    bytes of nothing) before the connection is reset. slow_s: silence before the reply.
    """

    status: int = 0
    error: dict[str, Any] = field(default_factory=lambda: {"message": "stub error", "type": "stub"})
    headers: dict[str, str] = field(default_factory=dict)
    raw: str | None = None
    content_type: str = "application/json"
    reset_after: int | None = None
    slow_s: float = 0.0
    vectors: Callable[[list[list[float]]], list[list[float]]] | None = None
    chunks: list[dict[str, Any]] | None = None
    has_done: bool = True


@dataclass
class StubOpenAI:
    """requests: bodies that came in. faults: taken one by one. reply: pieces of text that chats stream."""

    base_url: str = ""
    reply: list[str] = field(default_factory=lambda: ["The ", "museum ", "opens ", "at nine."])
    reasoning: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    disconnects: int = 0
    piece_delay_s: float = 0.0
    problems: list[str] = field(default_factory=list)
    api_key: str | None = API_KEY
    refuses_stream_options: bool = False
    open_now: int = 0
    open_most: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
            body = json.loads(await reader.readexactly(int(headers.get("content-length", "0"))))
            self.arrivals.append(asyncio.get_running_loop().time())
            self.requests.append(body)
            self.open_now += 1
            self.open_most = max(self.open_most, self.open_now)
            try:
                self._check(method, path, headers, body)
                await self._reply(path, body, writer)
            finally:
                self.open_now -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            self.disconnects += 1
        finally:
            writer.close()

    def _check(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        expected = None if self.api_key is None else f"Bearer {self.api_key}"
        problems = {
            f"method {method}": method == "POST",
            f"path {path}": path in ("/v1/chat/completions", "/v1/embeddings"),
            f"authorization {headers.get('authorization')}": headers.get("authorization") == expected,
            "content type": headers.get("content-type", "").startswith("application/json"),
            "organization": "openai-organization" not in headers,
            "model": isinstance(body.get("model"), str) and bool(body["model"]),
        }
        if path.endswith("embeddings"):
            texts = body.get("input")
            problems["input"] = isinstance(texts, list) and all(isinstance(t, str) and t for t in texts)
            problems["encoding_format"] = body.get("encoding_format") == "float"
        else:
            messages = body.get("messages")
            problems["messages"] = isinstance(messages, list) and all(
                set(m) == {"role", "content"} and isinstance(m["content"], str) for m in messages
            )
            problems["stream"] = body.get("stream") is True
        self.problems.extend(name for name, is_right in problems.items() if not is_right)

    async def _reply(self, path: str, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.slow_s:
            await asyncio.sleep(fault.slow_s)
        if self.refuses_stream_options and "stream_options" in body:
            fault = Fault(status=400, error={"message": "Unknown field: stream_options"})
        if fault.status:
            return await self._send(writer, fault.status, json.dumps({"error": fault.error}), fault)
        if fault.raw is not None:
            return await self._send(writer, 200, fault.raw, fault)
        if path.endswith("embeddings"):
            if fault.reset_after is not None:
                writer.transport.abort()
                return None
            return await self._send(writer, 200, json.dumps(self._embeddings(body, fault)), fault)
        return await self._stream(body, writer, fault)

    async def _send(self, writer: asyncio.StreamWriter, status: int, text: str, fault: Fault) -> None:
        data = text.encode()
        extra = "".join(f"{key}: {value}\r\n" for key, value in fault.headers.items())
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: {fault.content_type}\r\nContent-Length: {len(data)}\r\n"
            f"{extra}Connection: close\r\n\r\n".encode()
            + data
        )
        await writer.drain()

    def _embeddings(self, body: dict[str, Any], fault: Fault) -> dict[str, Any]:
        vectors = [vector_of(text) for text in body["input"]]
        if fault.vectors is not None:
            vectors = fault.vectors(vectors)
        items = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ]
        items.reverse()  # order is told by the index
        count = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": count, "total_tokens": count}
        return {"object": "list", "data": items, "model": body["model"], "usage": usage}

    async def _stream(self, body: dict[str, Any], writer: asyncio.StreamWriter, fault: Fault) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        pieces = fault.chunks if fault.chunks is not None else self._chunks(body)
        for number, piece in enumerate(pieces):
            if fault.reset_after == number:
                await writer.drain()
                writer.transport.abort()
                return
            await self._event(writer, json.dumps(piece))
            if self.piece_delay_s:
                await asyncio.sleep(self.piece_delay_s)
        if fault.has_done:
            await self._event(writer, "[DONE]")
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _event(self, writer: asyncio.StreamWriter, data: str) -> None:
        if writer.transport.is_closing():
            raise ConnectionResetError
        text = f"data: {data}\n\n".encode()
        writer.write(f"{len(text):x}\r\n".encode() + text + b"\r\n")
        await writer.drain()

    def _chunks(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        chunks = [chunk({"role": "assistant", "content": ""})]
        chunks += [chunk({"reasoning_content": text}) for text in self.reasoning]
        reply = self.reply
        limit = body.get("max_tokens")
        is_cut = limit is not None and limit < len(reply)
        chunks += [chunk({"content": text}) for text in (reply[:limit] if is_cut else reply)]
        chunks.append(chunk({}, "length" if is_cut else "stop"))
        if body.get("stream_options", {}).get("include_usage"):
            usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
            chunks.append({**chunk({}), "choices": [], "usage": usage})
        return chunks


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    """One piece of a streamed reply."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


def vector_of(text: str) -> list[float]:
    """Equal for equal texts, not of length 1."""
    digest = hashlib.sha256(text.encode()).digest()
    return [byte / 16 - 8 for byte in digest[:DIMENSION]]


@asynccontextmanager
async def open_stub(stub: StubOpenAI | None = None) -> AsyncIterator[StubOpenAI]:
    """A stub on a free port; leaving it fails if a request was not as it should be."""
    stub = stub or StubOpenAI()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stub.base_url = f"http://127.0.0.1:{port}/v1"
    try:
        yield stub
    finally:
        server.close()
    assert stub.problems == []
