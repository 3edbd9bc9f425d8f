"""From model ids to models."""

import pytest

from rag.errors import ModelNotFound
from rag.models.builtin_answerer import BuiltinAnswerer
from rag.models.builtin_embedding import BuiltinEmbedding
from rag.models.catalog import EndpointConfig, ModelsConfig, open_models, split_model_id
from rag.models.openai_chat import OpenAIChat
from rag.models.openai_embedding import OpenAIEmbedding

LOCAL = EndpointConfig(
    "Ollama", "http://127.0.0.1:9/v1", "sk-secret", ["qwen3", "shared"], ["nomic"], context_tokens=32_000
)
CLOUD = EndpointConfig("OpenAI", "http://127.0.0.1:9/v1", "", ["gpt-5", "shared"], ["a@b"])
CONFIG = ModelsConfig([LOCAL, CLOUD])


@pytest.mark.parametrize("model_id", ["", "builtin-extractive@Builtin", "builtin-extractive"])
def test_built_in_answerer(model_id: str) -> None:
    model = open_models().chat(model_id)
    assert isinstance(model, BuiltinAnswerer)
    assert model.name == "builtin-extractive@Builtin"


@pytest.mark.parametrize(
    "model_id",
    ["", "wordllama-256@Builtin", "wordllama-256", "BAAI/bge-small-en-v1.5@Builtin", "a@b@Builtin"],
)
def test_any_name_at_builtin_is_the_built_in_embedding(model_id: str) -> None:
    catalog = open_models()
    assert isinstance(catalog.embedding(model_id), BuiltinEmbedding)
    assert catalog.embedding(model_id) is catalog.embedding()


async def test_configured_models() -> None:
    catalog = open_models(CONFIG)
    chat = catalog.chat("qwen3@Ollama")
    assert isinstance(chat, OpenAIChat)
    assert (chat.name, chat.context_tokens) == ("qwen3@Ollama", 32_000)
    assert catalog.chat("gpt-5").name == "gpt-5@OpenAI"
    assert catalog.chat("qwen3@Ollama") is chat
    embedding = catalog.embedding("a@b@OpenAI")
    assert isinstance(embedding, OpenAIEmbedding)
    assert embedding.name == "a@b@OpenAI"
    assert catalog.embedding("a@b").name == "a@b@OpenAI"
    await catalog.close()


@pytest.mark.parametrize(
    ("kind", "model_id", "text"),
    [
        ("chat", "nomic@Ollama", "No chat model nomic@Ollama"),
        ("chat", "gpt-9@OpenAI", "No chat model gpt-9@OpenAI"),
        ("chat", "gpt-5@Nowhere", "No chat model gpt-5@Nowhere"),
        ("chat", "x@Builtin", "No chat model x@Builtin"),
        ("chat", "shared", "shared@Ollama, shared@OpenAI"),
        ("embedding", "qwen3@Ollama", "No embedding model qwen3@Ollama"),
        ("embedding", "bge-m3", "No embedding model bge-m3"),
    ],
)
def test_unknown_models(kind: str, model_id: str, text: str) -> None:
    catalog = open_models(CONFIG)
    with pytest.raises(ModelNotFound, match=text):
        (catalog.chat if kind == "chat" else catalog.embedding)(model_id)


def test_defaults_and_listing() -> None:
    catalog = open_models(ModelsConfig([LOCAL], default_chat="qwen3@Ollama"))
    assert catalog.chat().name == "qwen3@Ollama"
    listed = {info.id: info for info in catalog.list_models()}
    assert set(listed) == {
        "builtin-extractive@Builtin",
        "wordllama-256@Builtin",
        "qwen3@Ollama",
        "shared@Ollama",
        "nomic@Ollama",
    }
    assert [id for id, info in listed.items() if info.is_default] == ["wordllama-256@Builtin", "qwen3@Ollama"]
    assert listed["qwen3@Ollama"].context_tokens == 32_000


def test_a_key_does_not_show() -> None:
    assert "sk-secret" not in repr(CONFIG)


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("gpt", ("gpt", None)),
        ("gpt@OpenAI", ("gpt", "OpenAI")),
        ("gpt@openai", ("gpt@openai", None)),
        ("gpt@v2", ("gpt@v2", None)),
        ("a@b@Unknown", ("a@b", "Unknown")),
        ("", ("", None)),
    ],
)
def test_split(model_id: str, expected: tuple[str, str | None]) -> None:
    assert split_model_id(model_id, {"OpenAI", "Builtin"}) == expected
