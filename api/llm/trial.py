"""Whether a model answers at all, before it is stored."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any, cast

from rag.errors import ModelError
from rag.models.catalog import ModelCatalog, ModelSpec
from rag.models.protocol import ChatRequest, Message

TIMEOUT_S = 10.0
"""As long as RAGFlow waits."""


async def try_model(models: ModelCatalog, spec: ModelSpec) -> str:
    """ "" if it answers within ten seconds, else what went wrong."""
    tried = replace(spec, timeout_s=TIMEOUT_S, attempts=1)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            await _ask(models, tried)
    except ModelError as error:
        return str(error)
    except TimeoutError:
        return f"{spec.id} gave no reply within {TIMEOUT_S:g} s"
    return ""


async def _ask(models: ModelCatalog, spec: ModelSpec) -> None:
    match spec.kind:
        case "embedding":
            await models.open_embedding(spec).embed_query("Test if the api key is available")
        case "rerank":
            await models.open_rerank(spec).rerank("What's the weather?", ["Is it sunny today?"])
        case "chat" | "image2text":
            request = ChatRequest([Message("user", "Hello! How are you doing!")])
            async with aclosing(cast(Any, models.open_chat(spec).stream(request))) as deltas:
                async for _ in deltas:
                    return  # the first piece is proof enough
        case "tts":
            async with aclosing(cast(Any, models.open_text_to_speech(spec).speak("Hi"))) as pieces:
                async for _ in pieces:
                    return
        case "speech2text":
            return  # needs a recording: told when it is first used
