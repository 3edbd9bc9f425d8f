"""Providers with protocols of their own on the loopback: they check each request and misbehave on demand."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from tests.rag.models.stub_openai import Fault, StubOpenAI, vector_of


@dataclass
class Dialect:
    """How a provider wants to be asked.

    paths: what each path is: chat, embed, rerank, transcribe, speak. key_header: header and form of the key.
    """

    paths: dict[str, str]
    key_header: tuple[str, str] = ("authorization", "Bearer {key}")
    embed_keys: frozenset[str] = frozenset({"model", "input", "encoding_format"})
    rerank_keys: frozenset[str] = frozenset({"model", "query", "documents", "top_n"})
    most_texts: int = 2048


JINA = Dialect(
    {"/v1/embeddings": "embed", "/v1/rerank": "rerank"}, embed_keys=frozenset({"model", "input", "task"})
)
VOYAGE = Dialect(
    {"/v1/embeddings": "embed", "/v1/rerank": "rerank"},
    embed_keys=frozenset({"model", "input", "input_type"}),
    rerank_keys=frozenset({"model", "query", "documents", "top_k"}),
    most_texts=128,
)
NVIDIA = Dialect({"/v1/embeddings": "embed"}, embed_keys=frozenset({"model", "input", "input_type"}))
COHERE = Dialect(
    {"/v2/embed": "embed", "/v2/rerank": "rerank"},
    embed_keys=frozenset({"model", "texts", "input_type", "embedding_types"}),
    most_texts=96,
)
TEI = Dialect(
    {"/embed": "embed", "/rerank": "rerank"},
    embed_keys=frozenset({"inputs", "truncate", "normalize"}),
    rerank_keys=frozenset({"query", "texts", "raw_scores", "truncate"}),
    most_texts=32,
)
LOCAL = Dialect(
    {
        "/v1/chat/completions": "chat",
        "/v1/embeddings": "embed",
        "/v1/rerank": "rerank",
        "/v1/audio/transcriptions": "transcribe",
        "/v1/audio/speech": "speak",
    }
)
AZURE = Dialect(
    {
        f"/openai/deployments/{name}{path}?api-version=2024-10-21": kind
        for name in ("gpt-4o", "emb")
        for path, kind in (("/chat/completions", "chat"), ("/embeddings", "embed"))
    },
    key_header=("api-key", "{key}"),
)


@dataclass
class StubProvider(StubOpenAI):
    """scores: what rerank gives to a text; by default how many of the question's words it holds."""

    dialect: Dialect = field(default_factory=lambda: LOCAL)
    scores: Any = None
    root: str = ""
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = head.split("\r\n")
            method, path, _ = lines[0].split(" ", 2)
            headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if line)}
            content = await reader.readexactly(int(headers.get("content-length", "0")))
            is_json = headers.get("content-type", "").startswith("application/json")
            body = json.loads(content) if is_json else {}
            self.bodies.append(content)
            self.requests.append(body)
            self.open_now += 1
            self.open_most = max(self.open_most, self.open_now)
            try:
                kind = self.dialect.paths.get(path, "")
                self._check_call(method, path, kind, headers, body)
                await self._answer(kind, body, content, writer)
            finally:
                self.open_now -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            self.disconnects += 1
        finally:
            writer.close()

    def _check_call(
        self, method: str, path: str, kind: str, headers: dict[str, str], body: dict[str, Any]
    ) -> None:
        name, form = self.dialect.key_header
        expected = None if self.api_key is None else form.format(key=self.api_key)
        right = {
            f"method {method}": method == "POST",
            f"path {path}": bool(kind),
            f"{name} {headers.get(name)}": headers.get(name) == expected,
            "two keys": name == "authorization" or "authorization" not in headers,
        }
        if kind == "embed":
            texts = self._texts(body)
            right[f"keys {sorted(body)}"] = set(body) == self.dialect.embed_keys
            right["texts"] = 0 < len(texts) <= self.dialect.most_texts and all(texts)
        if kind == "rerank":
            right[f"keys {sorted(body)}"] = set(body) == self.dialect.rerank_keys
            right["texts"] = 0 < len(self._documents(body)) <= self.dialect.most_texts
        self.problems.extend(text for text, is_right in right.items() if not is_right)

    def _texts(self, body: dict[str, Any]) -> list[str]:
        texts: list[str] = body.get("input") or body.get("texts") or body.get("inputs") or []
        return texts

    def _documents(self, body: dict[str, Any]) -> list[str]:
        texts: list[str] = body.get("documents") or body.get("texts") or []
        return texts

    async def _answer(
        self, kind: str, body: dict[str, Any], content: bytes, writer: asyncio.StreamWriter
    ) -> None:
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.slow_s:
            await asyncio.sleep(fault.slow_s)
        if fault.reset_after is not None:
            writer.transport.abort()
            return None
        if fault.status:
            return await self._send(writer, fault.status, json.dumps({"error": fault.error}), fault)
        if fault.raw is not None:
            return await self._send(writer, 200, fault.raw, fault)
        if kind == "chat":
            return await self._stream(body, writer, fault)
        if kind == "speak":
            return await self._send(writer, 200, "mp3 of " + body["input"], Fault(content_type="audio/mpeg"))
        if kind == "transcribe":
            return await self._send(writer, 200, json.dumps({"text": "Good morning."}), fault)
        reply = self._vectors(body, fault) if kind == "embed" else self._rank(body)
        return await self._send(writer, 200, json.dumps(reply), fault)

    def _vectors(self, body: dict[str, Any], fault: Fault) -> Any:
        texts = self._texts(body)
        vectors = [vector_of(text) for text in texts]
        if fault.vectors is not None:
            vectors = fault.vectors(vectors)
        count = sum(len(text.split()) for text in texts)
        if self.dialect is TEI:
            return vectors
        if self.dialect is COHERE:
            return {"embeddings": {"float": vectors}, "meta": {"billed_units": {"input_tokens": count}}}
        items = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        return {"data": items[::-1], "model": body["model"], "usage": {"total_tokens": count}}

    def _rank(self, body: dict[str, Any]) -> Any:
        wanted = set(body["query"].lower().split())
        score = self.scores or (lambda text: len(wanted & set(text.lower().split())) / max(1, len(wanted)))
        found = [(index, score(text)) for index, text in enumerate(self._documents(body))]
        found.sort(key=lambda item: -item[1])
        if self.dialect is TEI:
            return [{"index": index, "score": value} for index, value in found]
        items = [{"index": index, "relevance_score": value} for index, value in found]
        if self.dialect is VOYAGE:
            return {"object": "list", "data": items, "usage": {"total_tokens": 9}}
        return {"results": items, "usage": {"total_tokens": 9}}
