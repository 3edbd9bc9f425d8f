"""Providers of models as data: `factories.yaml`, read once, when it is first needed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, get_args
from urllib.parse import urlsplit

import yaml

ModelKind = Literal["chat", "embedding", "rerank", "image2text", "speech2text", "tts"]
"""Kinds of models, in the words of the wire; `image2text` is a chat model that sees."""

Api = Literal["openai", "plain", "tei", "cohere", "jina", "voyage", "builtin"]
"""How a kind is asked. For embeddings: openai, plain (the same without `encoding_format`), tei, cohere.
For rerank: jina, cohere, voyage, tei. Other kinds: openai."""

KINDS: Final[tuple[ModelKind, ...]] = get_args(ModelKind)

COMPATIBLE = "OpenAI-API-Compatible"
BUILTIN = "Builtin"

_TAGS: Final = {
    "chat": "LLM",
    "embedding": "TEXT EMBEDDING",
    "rerank": "TEXT RE-RANK",
    "image2text": "IMAGE2TEXT",
    "speech2text": "SPEECH2TEXT",
    "tts": "TTS",
}


@dataclass(frozen=True, slots=True)
class Factory:
    """A provider. What an entry of the file leaves out has the default that stands here.

    base_url: its public address; "": whoever adds a model says where it is.
    base_urls: addresses of kinds that are elsewhere.
    apis: the kinds it has, and how each is asked.
    models: well-known names by kind, with the tokens that each takes (0: unknown).
    auth: `bearer`, or the name of the header that holds the key.
    address: where a model's calls go, made of `{base_url}` and `{model}`.
    query: parameters added to each call.
    batch_size: most texts in a call, as the provider limits it; 0: no limit that matters.
    document, question: fields that tell an embedding model which of the two it is given.
    suffix: what stored model names end with on the wire.
    is_local: usually on the user's own machine: an address without a path gets `/v1`, a key is optional.
    stream_options: whether usage is asked for in streams.
    """

    name: str
    apis: Mapping[ModelKind, Api]
    base_url: str = ""
    base_urls: Mapping[ModelKind, str] = field(default_factory=dict)
    models: Mapping[ModelKind, Mapping[str, int]] = field(default_factory=dict)
    rank: int = 500
    auth: str = "bearer"
    address: str = "{base_url}"
    query: Mapping[str, str] = field(default_factory=dict)
    batch_size: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    question: Mapping[str, Any] = field(default_factory=dict)
    suffix: str = ""
    is_local: bool = False
    stream_options: bool = True

    @property
    def tags(self) -> str:
        """What it has, as front ends show it: `LLM,TEXT EMBEDDING`."""
        return ",".join(_TAGS[kind] for kind in self.apis)

    @property
    def needs_key(self) -> bool:
        """Whether calls without a key make no sense."""
        return bool(self.base_url) or self.auth != "bearer"

    def address_of(self, kind: ModelKind, base_url: str) -> str:
        """Where this kind is asked. base_url: as the user gave it, "" for the provider's own."""
        given = base_url.strip().rstrip("/")
        if not given:
            return self.base_urls.get(kind, self.base_url)
        if self.apis.get(kind) == "tei":
            return given.removesuffix("/v1")
        if self.is_local and urlsplit(given).path == "":
            return f"{given}/v1"
        return given

    def bare_name(self, name: str) -> str:
        """A model's name as the provider knows it."""
        return name.removesuffix(self.suffix) if self.suffix else name


@cache
def factories() -> Mapping[str, Factory]:
    """Every provider by name, as they stand in the file."""
    text = Path(__file__).with_name("factories.yaml").read_text("utf-8")
    entries = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # 3 ms, not 40
    return {entry["name"]: Factory(**entry) for entry in entries}


def factory_of(provider: str) -> Factory:
    """The provider of this name; one that is not in the file speaks OpenAI's protocol."""
    table = factories()
    return table.get(provider) or table[COMPATIBLE]
