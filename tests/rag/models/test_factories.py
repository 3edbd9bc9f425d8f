"""The table of providers."""

import pytest

from rag.models.factories import KINDS, factories, factory_of
from rag.models.http_rerank import SHAPES
from rag.models.specs import ModelSpec

WANTED = """OpenAI, OpenAI-API-Compatible, Azure-OpenAI, Anthropic, Gemini, DeepSeek, Tongyi-Qianwen, ZHIPU-AI,
Moonshot, VolcEngine, SILICONFLOW, OpenRouter, Mistral, Groq, xAI, TogetherAI, Ollama, Xinference, LocalAI, VLLM,
LM-Studio, GPUStack, HuggingFace, Jina, Cohere, Voyage AI, NVIDIA, BaiduYiyan, MiniMax, Builtin"""


def test_all_are_there() -> None:
    assert set(factories()) == {name.strip() for name in WANTED.split(",")}


@pytest.mark.parametrize("name", list(factories()))
def test_entries_make_sense(name: str) -> None:
    factory = factories()[name]
    assert set(factory.apis) <= set(KINDS)
    assert set(factory.models) <= set(factory.apis)
    assert not factory.base_url or factory.base_url.startswith("https://")
    assert not factory.base_url.endswith("/")
    assert factory.base_url or not factory.models  # who lists models says where they are
    for kind, api in factory.apis.items():
        allowed = {"embedding": {"openai", "plain", "tei", "cohere"}, "rerank": set(SHAPES)}
        assert api in allowed.get(kind, {"openai"}) | ({"builtin"} if name == "Builtin" else set())
    assert all(isinstance(tokens, int) for models in factory.models.values() for tokens in models.values())
    assert "@" not in name


@pytest.mark.parametrize(
    ("provider", "kind", "name", "given", "address"),
    [
        ("OpenAI", "chat", "gpt-4o", "", "https://api.openai.com/v1"),
        ("OpenAI", "chat", "gpt-4o", "https://proxy.example/v1/", "https://proxy.example/v1"),
        ("Ollama", "chat", "qwen3", "http://localhost:11434", "http://localhost:11434/v1"),
        ("Ollama", "chat", "qwen3", "http://localhost:11434/v1", "http://localhost:11434/v1"),
        ("VLLM", "rerank", "bge___VLLM", "http://gpu:8000/", "http://gpu:8000/v1"),
        ("HuggingFace", "embedding", "bge", "http://tei:8080", "http://tei:8080"),
        ("HuggingFace", "embedding", "bge", "http://tei:8080/v1", "http://tei:8080"),
        ("Cohere", "chat", "command-r", "", "https://api.cohere.ai/compatibility/v1"),
        ("Cohere", "rerank", "rerank-v3.5", "", "https://api.cohere.com"),
        ("Azure-OpenAI", "chat", "mine", "https://r.openai.azure.com", "https://r.openai.azure.com/openai/deployments/mine"),
        ("Ollama", "chat", "qwen3", "", ""),
        ("SomethingElse", "chat", "m", "http://somewhere/api", "http://somewhere/api"),
    ],
)  # fmt: skip
def test_addresses(provider: str, kind: str, name: str, given: str, address: str) -> None:
    assert ModelSpec(name, provider, kind, base_url=given).address == address  # type: ignore[arg-type]


def test_suffixes_of_the_wire() -> None:
    spec = ModelSpec("qwen___VLLM", "VLLM", "chat", base_url="http://gpu:8000")
    assert spec.remote_name == "qwen"
    assert spec.id == "qwen___VLLM@VLLM"
    assert spec.is_called("qwen___VLLM", "VLLM")
    assert spec.is_called("qwen", None)
    assert not spec.is_called("qwen", "Ollama")
    assert not spec.is_called("other", "VLLM")


def test_an_unknown_provider_speaks_openais_protocol() -> None:
    assert factory_of("My own").name == "OpenAI-API-Compatible"
