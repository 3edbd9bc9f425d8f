"""What docs/models.md says works: its settings and its commands, against a stub of each protocol."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.models_config import models_config
from api.settings import load_settings
from rag.models.catalog import ModelCatalog, open_models
from rag.models.protocol import ChatRequest, Message
from tests.api.client import Api
from tests.api.llm.test_llm import llm, running
from tests.live import ROOT, LiveServer, start_server
from tests.rag.models.stub_openai import open_stub
from tests.rag.models.stub_providers import JINA, LOCAL, TEI, StubProvider

TEXT = (ROOT / "docs" / "models.md").read_text("utf-8")
SECTIONS = {
    title: body
    for title, body in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
    if "```" in body
}
DIALECTS = {"Text Embeddings Inference (TEI)": TEI, "Jina": JINA}
ADDRESS = re.compile(r"https?://(?:api\.[\w.]+|localhost:(?!9380)\d+)(/v1)?")


def blocks(title: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", SECTIONS[title], re.DOTALL)


def key_in(text: str) -> str | None:
    found = re.search(r"[\w-]*your-key", text)
    return found.group() if found else None


def make_stub(title: str) -> StubProvider:
    return StubProvider(dialect=DIALECTS.get(title, LOCAL), api_key=key_in(SECTIONS[title]))


def test_every_provider_has_settings_and_a_command() -> None:
    assert len(SECTIONS) == 6
    for title in SECTIONS:
        assert len(blocks(title, "yaml")) == 1, title
        assert len(blocks(title, "bash")) == 1, title


async def _ask_all(catalog: ModelCatalog) -> int:
    count = 0
    for info in catalog.list_models():
        if info.provider == "Builtin":
            continue
        count += 1
        match info.kind:
            case "chat":
                request = ChatRequest([Message("user", "Hello?")])
                deltas = [delta async for delta in catalog.chat(info.id).stream(request)]
                assert deltas[-1].finish_reason == "stop"
            case "embedding":
                assert len(await catalog.embedding(info.id).embed_query("Hello?")) == 8
            case "rerank":
                assert len((await catalog.rerank(info.id).rerank("Hello?", ["a", "b"])).values) == 2
            case "speech2text":
                assert await catalog.speech_to_text(info.id).transcribe(b"x", "a.mp3")
            case "tts":
                assert [piece async for piece in catalog.text_to_speech(info.id).speak("Hello.")]
    return count


@pytest.mark.parametrize("title", SECTIONS)
async def test_the_settings(title: str, tmp_path: Path) -> None:
    (text,) = blocks(title, "yaml")
    async with open_stub(make_stub(title)) as stub:
        root = stub.base_url.removesuffix("/v1")
        file = tmp_path / "ragd.yaml"
        file.write_text(ADDRESS.sub(lambda match: root + (match.group(1) or ""), text))
        settings = load_settings(file, environment={})
        catalog = open_models(models_config(settings))
        wanted = [
            name
            for provider in yaml.safe_load(text)["models"]["providers"]
            for key, names in provider.items()
            if key.endswith("_models")
            for name in names
        ]
        assert await _ask_all(catalog) == len(wanted)
        assert len(stub.requests) == len(wanted)
        catalog.chat()  # the defaults are there
        catalog.embedding()
        await catalog.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    flags: dict[str, Any] = {"models__allow_private_hosts": ["127.0.0.1"], "executor__workers": 0}
    with start_server(tmp_path_factory.mktemp("doc") / "data", **flags) as server:
        yield server


@pytest.mark.parametrize("title", SECTIONS)
def test_the_command(title: str, server: LiveServer) -> None:
    (command,) = blocks(title, "bash")
    with running(DIALECTS.get(title, LOCAL)) as stub:
        stub.api_key = key_in(SECTIONS[title])
        command = ADDRESS.sub(stub.root, command).replace("http://localhost:9380", server.url)
        if "set_api_key" in command:  # the provider's own address, which the test must not call
            command = command.replace('"api_key"', f'"base_url": "{stub.base_url}", "api_key"')
        done = subprocess.run(
            ["bash", "-c", command],
            env={"RAGD_KEY": server.key, "PATH": "/usr/bin:/bin"},
            check=False, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert '"code":0' in done.stdout, done
        assert stub.requests
    api = Api(server.url, server.key, "")
    (factory,) = re.findall(r'"llm_factory": "([^"]+)"', command)
    assert llm(api, "/llm/my_llms")["data"][factory]["llm"]
    api.close()


def test_the_allow_list_is_valid(tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(models:\n  allow_private_hosts.*?)```", TEXT, re.DOTALL)
    file = tmp_path / "ragd.yaml"
    file.write_text(text)
    allowed = load_settings(file, environment={}).models.allow_private_hosts
    assert set(allowed) >= {f"localhost:{port}" for port in re.findall(r"localhost:(\d+)", TEXT)} - {
        "localhost:9380"
    }
