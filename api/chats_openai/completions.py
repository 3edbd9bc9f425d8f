"""The events of an answer in OpenAI's shapes."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any

from api.answers import FoundMetadata, reference_reply, timings_reply
from api.chats_openai.errors import failure_error
from api.chats_openai.schemas import OpenAIQuestion
from api.errors import AppError
from rag.answering.events import AnswerEvent, Done, EmptyResponse, Failed, Text, ThinkingText
from rag.text.tokens import count_tokens

PATIENCE_S = 10.0
"""How long the status of a reply waits for the model's first piece: a failure until then is an HTTP error."""

DONE = b"[DONE]"

_LONG_TEXT = 20_000


class OpenAIAnswer:
    """An answer on its way; an iterator of chunks. Nothing of it is stored."""

    def __init__(
        self,
        chat_id: str,
        question: OpenAIQuestion,
        events: AsyncGenerator[AnswerEvent, None],
        metadata: FoundMetadata,
        as_error: Callable[[AppError], dict[str, Any]],
    ) -> None:
        self._question = question
        self._events = events
        self._metadata = metadata
        self._as_error = as_error
        self._head = {"id": f"chatcmpl-{chat_id}", "created": int(time.time()), "model": question.model}
        self._ready: deque[dict[str, Any] | bytes] = deque()
        self._pending: asyncio.Future[AnswerEvent] | None = None
        self._is_over = False

    async def begin(self, patience_s: float = PATIENCE_S) -> None:
        """Wait for the first piece, for some time. Raises AppError, RagError when it is a failure."""
        deadline = asyncio.get_running_loop().time() + patience_s
        try:
            while not self._ready:
                self._pending = asyncio.ensure_future(anext(self._events))
                left_s = max(0.0, deadline - asyncio.get_running_loop().time())
                await asyncio.wait({self._pending}, timeout=left_s)
                if not self._pending.done():
                    return
                event = self._pending.result()
                self._pending = None
                if isinstance(event, Failed):
                    raise failure_error(event)
                await self._take(event)
        except BaseException:
            await self.aclose()
            raise

    async def whole(self) -> dict[str, Any]:
        """The answer in one piece. Raises AppError, RagError."""
        try:
            async for event in self._events:
                if isinstance(event, Failed):
                    raise failure_error(event)
                if isinstance(event, Done):
                    return await self._reply(event)
        finally:
            await self.aclose()
        raise AssertionError("an answer without its end")

    def __aiter__(self) -> "OpenAIAnswer":
        return self

    async def __anext__(self) -> dict[str, Any] | bytes:
        while not self._ready:
            if self._is_over:
                raise StopAsyncIteration
            pending, self._pending = self._pending, None
            await self._take(await (anext(self._events) if pending is None else pending))
        return self._ready.popleft()

    async def aclose(self) -> None:
        """Stop the model."""
        self._is_over = True
        if self._pending is not None:
            self._pending.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._pending
            self._pending = None
        await self._events.aclose()

    async def _take(self, event: AnswerEvent) -> None:
        match event:
            case Text() | EmptyResponse():
                self._ready.append(self._chunk({"content": event.text}))
            case ThinkingText():
                self._ready.append(self._chunk({"reasoning_content": event.text}))
            case Failed():
                self._ready.extend((self._as_error(failure_error(event)), DONE))
                self._is_over = True
            case Done():
                self._ready.extend((*await self._last(event), DONE))
                self._is_over = True

    def _chunk(self, delta: dict[str, Any]) -> dict[str, Any]:
        empty = {
            "content": None,
            "role": "assistant",
            "function_call": None,
            "tool_calls": None,
            "reasoning_content": None,
        }
        choice = {"delta": empty | delta, "finish_reason": None, "index": 0, "logprobs": None}
        return self._head | {
            "object": "chat.completion.chunk",
            "choices": [choice],
            "system_fingerprint": "",
            "usage": None,
        }

    async def _last(self, done: Done) -> list[dict[str, Any]]:
        """RAGFlow's clients read the usage in the chunk that ends the answer, OpenAI's ask for one of its own."""
        delta: dict[str, Any] = {}
        if self._question.reference:
            delta = {"reference": self._reference(done), "final_content": done.cited_answer}
        chunk = self._chunk(delta)
        chunk["choices"][0]["finish_reason"] = done.finish_reason
        chunk |= self._timings(done)
        usage = await self._usage(done)
        if self._question.has_usage_chunk:
            return [chunk, chunk | {"choices": [], "usage": usage}]
        return [chunk | {"usage": usage}]

    async def _reply(self, done: Done) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": done.cited_answer}
        if self._question.reference:
            message["reference"] = self._reference(done)
        usage = await self._usage(done)
        usage["completion_tokens_details"] = {
            "reasoning_tokens": await _count(*(one.content for one in self._question.messages)),
            "accepted_prediction_tokens": usage["completion_tokens"],
            "rejected_prediction_tokens": 0,
        }
        return (
            self._head
            | {
                "object": "chat.completion",
                "choices": [
                    {"message": message, "logprobs": None, "finish_reason": done.finish_reason, "index": 0}
                ],
                "usage": usage,
            }
            | self._timings(done)
        )

    def _timings(self, done: Done) -> dict[str, Any]:
        return {"timings": timings_reply(done)} if self._question.has_timings else {}

    async def _usage(self, done: Done) -> dict[str, Any]:
        """As the model counts; where it tells nothing, question and reply by cl100k_base."""
        if done.usage.is_counted_here:
            prompt_tokens = await _count(self._question.text)
            completion_tokens = await _count(done.answer, done.reasoning)
        else:
            prompt_tokens, completion_tokens = done.usage.prompt_tokens, done.usage.completion_tokens
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        }

    def _reference(self, done: Done) -> list[dict[str, Any]]:
        if done.reference is None:
            return []
        chunks: list[dict[str, Any]] = reference_reply(done.reference)["chunks"]
        fields = self._question.metadata_fields
        if fields is not None:
            for chunk in chunks:
                values = self._metadata.by_document.get(chunk["document_id"], {})
                kept = {name: value for name, value in values.items() if not fields or name in fields}
                if kept:
                    chunk["document_metadata"] = kept
        return chunks


async def _count(*texts: str) -> int:
    """Tokens of texts; long ones are counted in a thread."""
    if sum(map(len, texts)) > _LONG_TEXT:
        return await asyncio.to_thread(lambda: sum(map(count_tokens, texts)))
    return sum(map(count_tokens, texts))
