"""Chat models behind an OpenAI-compatible endpoint."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from rag.errors import ModelBroken
from rag.models.errors import RequestRefused
from rag.models.openai_endpoint import Endpoint
from rag.models.protocol import ChatDelta, ChatRequest, ChatUsage

if TYPE_CHECKING:
    from openai import AsyncStream
    from openai.types.chat import ChatCompletionChunk

# What a chat's settings may send; they hold other things as well (`model_type`, ids of front ends).
_SAMPLING: Final = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "stop",
        "seed",
        "response_format",
        "reasoning_effort",
        "logit_bias",
    }
)
# Reasoning models refuse some of these; the reply is worth more than the parameter.
_OPTIONAL: Final = _SAMPLING - {"response_format"}
_UNSUPPORTED: Final = re.compile(
    r"unsupported|not supported|does not support|unrecognized|unknown|extra inputs|not permitted|deprecated",
    re.IGNORECASE,
)
_FINISH_REASONS: Final = frozenset({"stop", "length", "content_filter", "tool_calls"})


class OpenAIChat:
    """One chat model of an endpoint; `model` is the provider's name for it, `name` ours."""

    def __init__(
        self,
        endpoint: Endpoint,
        model: str,
        name: str,
        *,
        context_tokens: int = 8192,
        tells_usage: bool = True,
    ) -> None:
        self._endpoint = endpoint
        self._model = model
        self._name = name
        self._context_tokens = context_tokens
        self._tells_usage = tells_usage
        self._unwanted: set[str] = set()

    @property
    def name(self) -> str:
        """`model@provider`."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """As configured."""
        return self._context_tokens

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Reply piece by piece. Tried again only before the first piece."""
        deadline = asyncio.get_running_loop().time() + self._endpoint.timeout_s
        async with self._endpoint.slot(self._name, is_stream=True):
            stream = await self._endpoint.call(self._name, lambda: self._open(request))
            finish_reason: Literal["stop", "length", "content_filter", "tool_calls"] | None = None
            usage: ChatUsage | None = None
            try:
                with self._endpoint.errors(self._name):
                    while True:
                        async with asyncio.timeout_at(deadline):
                            chunk = await anext(stream, None)
                        if chunk is None:
                            break
                        if chunk.usage is not None:
                            usage = ChatUsage(
                                chunk.usage.prompt_tokens or 0, chunk.usage.completion_tokens or 0
                            )
                        # Usage comes in a chunk without choices; some servers send such chunks to keep alive.
                        if not chunk.choices:
                            continue
                        choice = chunk.choices[0]
                        if choice.finish_reason is not None:
                            finish_reason = _finish_reason(choice.finish_reason)
                        text, reasoning = choice.delta.content or "", _reasoning(choice.delta)
                        if text or reasoning:
                            yield ChatDelta(text, reasoning)
            except (AttributeError, TypeError) as error:  # the client does not check shapes
                raise ModelBroken(f"{self._name} sent a piece of an unknown shape") from error
            finally:
                await stream.close()
            if finish_reason is None:
                raise ModelBroken(f"{self._name} broke off its reply")
            yield ChatDelta(finish_reason=finish_reason, usage=usage)

    async def close(self) -> None:
        """Nothing of its own: the endpoint belongs to the catalog."""

    async def _open(self, request: ChatRequest) -> "AsyncStream[ChatCompletionChunk]":
        while True:
            try:
                return await self._send(request)
            except RequestRefused as error:
                if not self._do_without(error, request):
                    raise

    def _do_without(self, error: RequestRefused, request: ChatRequest) -> bool:
        """Whether another try without the parameter that the refusal names is worth it; remembered."""
        text = str(error)
        if self._tells_usage and "stream_options" in text:  # of older servers
            self._tells_usage = False
            return True
        for name in self._arguments(request):
            # As a whole word: `max_completion_tokens` is told as the way out where `max_tokens` is refused.
            if name in _OPTIONAL and re.search(rf"\b{name}\b", text) and _UNSUPPORTED.search(text):
                self._unwanted.add(name)
                return True
        return False

    def _arguments(self, request: ChatRequest) -> dict[str, Any]:
        arguments = _sampling(request.settings)
        if "max_tokens" in self._unwanted and "max_tokens" in arguments:
            arguments.setdefault("max_completion_tokens", arguments["max_tokens"])
        return {name: value for name, value in arguments.items() if name not in self._unwanted}

    async def _send(self, request: ChatRequest) -> "AsyncStream[ChatCompletionChunk]":
        arguments = self._arguments(request)
        if self._tells_usage:
            arguments["stream_options"] = {"include_usage": True}
        with self._endpoint.errors(self._name):
            stream = await self._endpoint.client.chat.completions.create(
                model=self._model,
                messages=cast(Any, [{"role": m.role, "content": m.content} for m in request.messages]),
                stream=True,
                extra_headers=cast(Any, self._endpoint.extra_headers),
                **arguments,
            )
        return cast("AsyncStream[ChatCompletionChunk]", stream)


def _sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    chosen = {key: value for key, value in settings.items() if key in _SAMPLING and value is not None}
    if chosen.get("max_tokens") == 0:  # front ends mean "no limit"
        del chosen["max_tokens"]
    return chosen


def _reasoning(delta: Any) -> str:
    """DeepSeek, Qwen, vLLM: `reasoning_content`; OpenRouter and newer vLLM: `reasoning`."""
    text = getattr(delta, "reasoning_content", None) or getattr(delta, "reasoning", None)
    return text if isinstance(text, str) else ""


def _finish_reason(text: str) -> Literal["stop", "length", "content_filter", "tool_calls"]:
    return cast(Any, text) if text in _FINISH_REASONS else "stop"
