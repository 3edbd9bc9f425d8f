"""Probes of the models: one short call each, as a chat or a document would make it."""

import asyncio
import time

from api.commands.probes.result import Finding, failed, ok
from api.models_config import models_config
from api.settings import Settings
from rag.errors import ModelError
from rag.models.catalog import ModelCatalog, ModelInfo, open_models
from rag.models.protocol import ChatPassage, ChatRequest, Message

TIMEOUT_S = 30.0
ADVICE = "check name, base_url and api_key of its provider under models.providers"


async def probe_models(settings: Settings) -> list[Finding]:
    """Every model of the settings and the built-in ones, all at once."""
    models = open_models(models_config(settings))
    try:
        infos = models.list_models()
        unknown = [
            failed(f"default {kind} model", f"{name} is not configured", f"name one of: {', '.join(known)}")
            for kind, name, known in (
                ("chat", models.default_chat, [info.id for info in infos if info.kind == "chat"]),
                (
                    "embedding",
                    models.default_embedding,
                    [info.id for info in infos if info.kind == "embedding"],
                ),
            )
            if not _is_known(models, kind)
        ]
        return unknown + list(await asyncio.gather(*(_probe(models, info) for info in infos)))
    finally:
        await models.close()


def _is_known(models: ModelCatalog, kind: str) -> bool:
    try:
        models.chat() if kind == "chat" else models.embedding()
    except ModelError:
        return False
    return True


async def _probe(models: ModelCatalog, info: ModelInfo) -> Finding:
    part = f"{info.kind} model"
    name = info.id + (" (default)" if info.is_default else "")
    began_s = time.perf_counter()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said = await (_ask(models, info.id) if info.kind == "chat" else _embed(models, info.id))
    except TimeoutError:
        return failed(part, f"{name}: no reply within {TIMEOUT_S:g} s", ADVICE)
    except ModelError as error:
        return failed(part, f"{name}: {error}", ADVICE)
    return ok(part, f"{name}: {said} in {(time.perf_counter() - began_s) * 1000:.0f} ms")


async def _embed(models: ModelCatalog, model_id: str) -> str:
    vector = await models.embedding(model_id).embed_query("Does this work?")
    return f"{len(vector)} dimensions"


async def _ask(models: ModelCatalog, model_id: str) -> str:
    request = ChatRequest(
        messages=[Message("system", "Answer with one word."), Message("user", "Which colour is the sky?")],
        settings={"max_tokens": 16},
        passages=[ChatPassage("The sky is blue.", "sky.txt", 0.9)],
    )
    stream = models.chat(model_id).stream(request)
    async for _ in stream:
        pass
    return "answered"
