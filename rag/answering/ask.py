"""One bounded call of a chat model that does a small task: its reply as text, or as an object."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from json_repair import repair_json

from rag.answering.history import strip_thinking
from rag.errors import ModelBroken
from rag.models.errors import ModelTimedOut
from rag.models.protocol import ChatModel, ChatRequest, Message
from rag.text.tokens import truncate

_LONGEST_REPLY = 20_000
# Of the model's context, for the task's text; instructions and reply have the rest.
_TEXT_SHARE = 0.7


async def ask_model(
    model: ChatModel, instructions: str, text: str, *, timeout_s: float, temperature: float | None = None
) -> str:
    """The reply without its reasoning. Raises ModelError, also for a reply that does not end in time or length."""
    settings = {} if temperature is None else {"temperature": temperature}
    text = truncate(text, int(_TEXT_SHARE * model.context_tokens))
    messages = [Message("system", instructions), Message("user", text)]
    deltas = model.stream(ChatRequest(messages, settings, is_citing=False))
    pieces: list[str] = []
    length = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for delta in deltas:
                pieces.append(delta.text)
                length += len(delta.text) + len(delta.reasoning)
                if length > _LONGEST_REPLY:
                    raise ModelBroken(f"{model.name} gave a reply of more than {_LONGEST_REPLY} characters")
    except TimeoutError:
        raise ModelTimedOut(f"{model.name} gave no reply within {timeout_s:g} s") from None
    finally:
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
    reply = strip_thinking("".join(pieces))
    if "**ERROR**" in reply:
        raise ModelBroken(f"{model.name} replied with an error")
    return reply


async def ask_for_object(
    model: ChatModel,
    instructions: str,
    text: str,
    *,
    timeout_s: float,
    temperature: float | None = None,
    attempts: int = 2,
) -> dict[str, Any] | None:
    """The object of a reply in JSON; None if no attempt gave one. Raises ModelError."""
    for _ in range(attempts):
        reply = await ask_model(model, instructions, text, timeout_s=timeout_s, temperature=temperature)
        found = read_object(reply)
        if found is not None:
            return found
    return None


def read_object(reply: str) -> dict[str, Any] | None:
    """The JSON object in a reply, whatever stands around it and whatever is wrong with its commas and quotes."""
    start = reply.find("{")
    if start < 0:
        return None
    try:
        found = repair_json(reply[start:], return_objects=True)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list):  # text behind the object is read as another value
        found = next((one for one in found if isinstance(one, dict)), None)
    return found if isinstance(found, dict) and found else None
