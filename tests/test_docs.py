"""The docs name everything there is, and their examples work."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from tests import files
from tests.live import LiveServer

ROOT = Path(__file__).resolve().parents[1]
DOCS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)
RUNNABLE = re.compile(r"^```(bash|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SET_UP = ".venv"
"""In a block: it is about setting up, which the tests do not do again."""


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", sorted(ROOT.glob("docs/**/*.md")), ids=lambda file: file.name)
def test_generated_parts_are_up_to_date(file: Path, generate: ModuleType) -> None:
    text = file.read_text("utf-8")
    assert generate.rewritten(text) == text, "run: python docs/generate.py"


def test_every_generated_part_stands_somewhere(generate: ModuleType) -> None:
    text = "".join(file.read_text("utf-8") for file in DOCS)
    for name in generate.GENERATORS:
        assert f"<!-- generated: {name} -->" in text


def test_the_settings_of_ragflow_that_are_named_exist() -> None:
    from api.settings import ProviderSettings, setting_fields

    known = {path for path, _ in setting_fields()} | set(ProviderSettings.model_fields)
    table = (ROOT / "docs" / "settings.md").read_text("utf-8").split("## Names that RAGFlow's")[1]
    for row in table.splitlines():
        cells = row.split("|")
        if len(cells) == 4 and not cells[2].strip().startswith(("ragd", "---", "none")):
            for name in re.findall(r"`([^`]+)`", cells[2]):
                assert name in known or name.startswith("ragd "), row


@pytest.mark.parametrize("file", DOCS, ids=lambda file: file.name)
def test_links_lead_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text("utf-8")):
        if not target.startswith("http"):
            assert (file.parent / target).exists(), target


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_data_of_others_is_in_the_notice(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    if name == "LICENSE":
        assert "Apache License" in text
    else:
        for file in ROOT.glob("rag/text/data/*"):
            if file.name != "stop_words.txt":
                assert str(file.relative_to(ROOT)) in text


def test_ci_runs_the_test_command_of_the_readme() -> None:
    command = "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest"
    assert command in (ROOT / "README.md").read_text("utf-8")
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "-m venv" in script
    assert "install" in script
    assert "'.[test]'" in script
    assert '/bin/pytest"' in script
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_the_image_gets_what_the_package_is_made_of() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", dockerfile, re.MULTILINE)
        for source in line.split()[:-1]
    }
    rooms = {
        pattern.removesuffix("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    wanted = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *rooms}
    assert copied == wanted
    assert all((ROOT / source).exists() for source in copied)
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")
    }
    assert allowed == copied


def test_the_compose_file_sets_what_there_is() -> None:
    import yaml

    from api.settings import load_settings

    text = (ROOT / "docker" / "docker-compose.yml").read_text("utf-8")
    environment = dict(yaml.safe_load(text)["services"]["ragd"]["environment"])
    uncommented = re.sub(r"^( +)# (RAGD_)", r"\1\2", text, flags=re.MULTILINE)
    environment |= yaml.safe_load(uncommented)["services"]["ragd"]["environment"]
    settings = load_settings(Path(os.devnull), environment=environment)
    assert settings.models.default_chat == "gpt-4.1-mini@OpenAI"
    dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
    for name, value in re.findall(r"(RAGD_\w+)=(\S+)", dockerfile):
        load_settings(Path(os.devnull), environment={name: value})


def test_yaml_examples_are_valid_settings(tmp_path: Path) -> None:
    from api.settings import Settings, load_settings

    found = 0
    for file in DOCS:
        for block in re.findall(r"^```yaml\n(.*?)^```$", file.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            example = tmp_path / "example.yaml"
            example.write_text(block)
            assert load_settings(example, environment={}) != Settings()
            found += 1
    assert found >= 2


def examples(file: Path, *, language: str) -> Iterator[str]:
    for kind, block in RUNNABLE.findall(file.read_text("utf-8")):
        if kind == language and SET_UP not in block:
            yield block


@pytest.fixture
def shell(tmp_path: Path, live_server: LiveServer) -> dict[str, str]:
    """An environment in which `ragd` is the checkout's, on the live server's data folder."""
    tools = tmp_path / "bin"
    tools.mkdir()
    ragd = tools / "ragd"
    ragd.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m api "$@"\n')
    ragd.chmod(0o755)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAGD_")}
    return kept | {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{kept['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAGD_DATA_DIR": str(live_server.data_dir),
        "NO_PROXY": "*",
    }


def run(command: list[str], folder: Path, environment: dict[str, str], script: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=script,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def bash(folder: Path, environment: dict[str, str], script: str) -> str:
    return run(["bash", "-euo", "pipefail"], folder, environment, script)


def python(folder: Path, environment: dict[str, str], script: str, server: LiveServer) -> str:
    pytest.importorskip("ragflow_sdk")
    return run(
        [sys.executable, "-"],
        folder,
        environment | {"BASE_URL": server.url, "API_KEY": server.key},
        script,
    )


def test_the_walks_of_getting_started(tmp_path: Path, shell: dict[str, str], live_server: LiveServer) -> None:
    file = ROOT / "docs" / "getting-started.md"
    script = "\n".join(examples(file, language="bash")).replace("http://localhost:9380", live_server.url)
    printed = bash(tmp_path, shell, script)
    assert "The lighthouse at Cape Arkona was built in 1827" in printed
    assert "rapeseed oil" in printed
    assert 'data: {"code":0,"data":true}' in printed
    sdk, openai = examples(file, language="python")
    printed = python(tmp_path, shell, sdk, live_server)
    assert printed.startswith("DONE 1 [")
    assert "rapeseed oil" in printed.splitlines()[-1]
    printed = python(tmp_path, shell, openai, live_server)
    assert printed.count("Karl Friedrich Schinkel") >= 3


def test_the_first_answer_of_the_readme(
    tmp_path: Path, shell: dict[str, str], live_server: LiveServer
) -> None:
    sdk, openai = examples(ROOT / "README.md", language="python")
    assert "costs one attempt of one task" in python(tmp_path, shell, sdk, live_server)
    assert "only when a search would find the chunks" in python(tmp_path, shell, openai, live_server)
    [search] = examples(ROOT / "README.md", language="bash")
    setting = f"export BASE_URL={live_server.url} API_KEY=$(ragd key create --user {live_server.email})\n"
    assert '"similarity"' in bash(tmp_path, shell, setting + search)


API_INDEX_BASH = """
curl -X POST 'http://localhost/api/v1/datasets' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{"name": "我的知识库"}'
=
curl -X POST 'http://localhost/api/v1/datasets/{dataset_id}/documents' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -F 'file=@document.pdf'
=
curl -X POST 'http://localhost/api/v1/datasets/{dataset_id}/documents/{doc_id}/run' \\
  -H 'Authorization: Bearer <API_KEY>'
=
curl -X POST 'http://localhost/api/v1/chats' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "name": "产品助手",
    "dataset_ids": ["dataset_id"]
  }'
=
curl -X POST 'http://localhost/api/v1/chats/{chat_id}/completions' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "question": "什么是RAGFlow？",
    "stream": true
  }'
"""
API_INDEX_PYTHON = """
from openai import OpenAI

client = OpenAI(
    api_key="<YOUR_API_KEY>",
    base_url="http://localhost/api/v1/chats_openai/{chat_id}"
)

response = client.chat.completions.create(
    model="model",
    messages=[{"role": "user", "content": "你好"}],
    stream=True
)

for chunk in response:
    print(chunk.choices[0].delta.content, end="")
"""
"""RAGFlow's API index, as it is printed there."""


def test_the_examples_of_ragflows_api_index(
    tmp_path: Path, shell: dict[str, str], live_server: LiveServer
) -> None:
    import json
    import time

    (tmp_path / "document.pdf").write_bytes(files.chinese_pdf())
    create, upload, parse, chat, ask = API_INDEX_BASH.split("=\n")
    known: dict[str, str] = {}

    def filled(script: str) -> str:
        script = script.replace("http://localhost", live_server.url)
        script = script.replace("<API_KEY>", live_server.key).replace("<YOUR_API_KEY>", live_server.key)
        for name, value in known.items():
            script = script.replace("{" + name + "}", value).replace(f'["{name}"]', f'["{value}"]')
        return script

    def reply(script: str) -> dict[str, object]:
        content: dict[str, object] = json.loads(
            bash(tmp_path, shell, filled(script).replace("curl", "curl -s"))
        )
        assert content["code"] == 0, content
        return content

    def first_id(content: dict[str, object]) -> str:
        data = content["data"]
        first = data[0] if isinstance(data, list) else data
        assert isinstance(first, dict)
        return str(first["id"])

    known["dataset_id"] = first_id(reply(create))
    known["doc_id"] = first_id(reply(upload))
    reply(parse)
    path = f"{live_server.url}/api/v1/datasets/{known['dataset_id']}/documents"
    deadline_s = time.monotonic() + 60
    while True:
        [document] = httpx.get(path, headers=live_server.headers, trust_env=False).json()["data"]["docs"]
        if document["run"] == "DONE":
            break
        assert document["run"] in ("UNSTART", "RUNNING")
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    known["chat_id"] = first_id(reply(chat))
    streamed = bash(tmp_path, shell, filled(ask).replace("curl", "curl -s"))
    assert streamed.startswith("data: {")
    assert streamed.rstrip().endswith('data: {"code":0,"data":true}')
    printed = run([sys.executable, "-"], tmp_path, shell, filled(API_INDEX_PYTHON))
    assert printed.removesuffix("None").strip()  # the last delta has no content, as with OpenAI
