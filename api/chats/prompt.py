"""A chat's `prompt`: names on the wire, names in storage, defaults.

Storage keeps RAGFlow's inner names; those that are columns of the chat leave the object. What a client
sends as `keywords_similarity_weight` is stored as the weight of the *vector* and shown as 1 minus it:
RAGFlow's clients know it so.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from api.db.models import Chat
from api.errors import Refused
from rag.answering.prompts import load_prompt

OPENER = "Hi! I'm your assistant. What can I do for you?"
EMPTY_RESPONSE = "Sorry! No relevant content was found in the knowledge base!"

STORED_NAMES = {
    "variables": "parameters",
    "opener": "prologue",
    "show_quote": "quote",
    "prompt": "system",
    "rerank_model": "rerank_id",
    "keywords_similarity_weight": "vector_similarity_weight",
}
WIRE_NAMES = {"parameters": "variables", "prologue": "opener", "quote": "show_quote", "system": "prompt"}
COLUMNS = ("similarity_threshold", "vector_similarity_weight", "top_n", "top_k", "rerank_id")

DEFAULTS: Mapping[str, Any] = {
    "system": "",  # shown and used as the built-in prompt, in the language of the question
    "prologue": OPENER,
    "parameters": [{"key": "knowledge", "optional": False}],
    "empty_response": EMPTY_RESPONSE,
    "quote": True,
    "tts": False,
    "refine_multiturn": True,
}


def split_prompt(sent: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(config under stored names, columns) of what was sent; columns that are null are left out."""
    config = {STORED_NAMES.get(name, name): value for name, value in sent.items()}
    columns = {name: config.pop(name) for name in COLUMNS if name in config}
    return config, {name: value for name, value in columns.items() if value is not None}


def system_prompt(config: Mapping[str, Any]) -> str:
    """The system prompt as it is shown: the chat's own, or the built-in one."""
    return config.get("system") or load_prompt("system")


def check_variables(config: Mapping[str, Any]) -> None:
    """Every variable that is not optional must stand in the system prompt. Raises Refused."""
    text = system_prompt(config)
    for variable in config.get("parameters") or ():
        if not variable["optional"] and f"{{{variable['key']}}}" not in text:
            raise Refused(f"Parameter '{variable['key']}' is not used")


def prompt_reply(chat: Chat) -> dict[str, Any]:
    """`prompt` as clients see it."""
    config: dict[str, Any] = orjson.loads(chat.prompt_config)
    config["system"] = system_prompt(config)
    return {WIRE_NAMES.get(name, name): value for name, value in config.items()} | {
        "similarity_threshold": chat.similarity_threshold,
        "keywords_similarity_weight": 1 - chat.vector_similarity_weight,
        "top_n": chat.top_n,
        "rerank_model": chat.rerank_id,
    }
