"""The quick-start examples of RAGFlow's API index, word for word but for the host, run as they stand."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.api.client import Api
from tests.walks.corpus import turbine_pdf

CREATE_DATASET = """
curl -X POST 'http://localhost/api/v1/datasets' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{"name": "我的知识库"}'
"""
UPLOAD = """
curl -X POST 'http://localhost/api/v1/datasets/{dataset_id}/documents' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -F 'file=@document.pdf'
"""
RUN = """
curl -X POST 'http://localhost/api/v1/datasets/{dataset_id}/documents/{doc_id}/run' \\
  -H 'Authorization: Bearer <API_KEY>'
"""
CREATE_CHAT = """
curl -X POST 'http://localhost/api/v1/chats' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "name": "产品助手",
    "dataset_ids": ["dataset_id"]
  }'
"""
ASK = """
curl -X POST 'http://localhost/api/v1/chats/{chat_id}/completions' \\
  -H 'Authorization: Bearer <API_KEY>' \\
  -H 'Content-Type: application/json' \\
  -d '{
    "question": "什么是RAGFlow？",
    "stream": true
  }'
"""
OPENAI = """
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


def filled(example: str, api: Api, **ids: str) -> str:
    """The example with host, key and ids put in."""
    text = example.replace("http://localhost", api.url)
    text = text.replace("<API_KEY>", api.key).replace("<YOUR_API_KEY>", api.key)
    for name, value in ids.items():
        text = text.replace(f"{{{name}}}", value).replace(f'"{name}"', f'"{value}"')
    return text


def run(example: str, api: Api, folder: Path, **ids: str) -> str:
    """Run it in a shell; what it prints."""
    if shutil.which("curl") is None or shutil.which("sh") is None:
        pytest.skip("the examples are written for curl in a shell")
    command = filled(example, api, **ids).replace("curl ", "curl --silent --show-error --noproxy '*' ")
    ended = subprocess.run(["sh", "-c", command], cwd=folder, capture_output=True, timeout=60, check=True)
    return ended.stdout.decode()


def reply(printed: str) -> Any:
    content = json.loads(printed)
    assert content["code"] == 0, content
    return content.get("data")


def test_the_three_examples(api: Api, tmp_path: Path) -> None:
    (tmp_path / "document.pdf").write_bytes(turbine_pdf())
    dataset = reply(run(CREATE_DATASET, api, tmp_path))
    assert dataset["name"] == "我的知识库"
    (document,) = reply(run(UPLOAD, api, tmp_path, dataset_id=dataset["id"]))
    assert document["name"] == "document.pdf"
    assert reply(run(RUN, api, tmp_path, dataset_id=dataset["id"], doc_id=document["id"])) is None
    done = api.wait(dataset["id"], document["id"])
    assert (done["run"], done["chunk_count"] > 0) == ("DONE", True)

    chat = reply(run(CREATE_CHAT, api, tmp_path, dataset_id=dataset["id"]))
    assert chat["name"] == "产品助手"
    printed = run(ASK, api, tmp_path, chat_id=chat["id"])
    frames = [
        json.loads(line.removeprefix("data:")) for line in re.findall(r"^data:.*$", printed, re.MULTILINE)
    ]
    assert frames[-1] == {"code": 0, "data": True}
    assert all(frame["code"] == 0 for frame in frames)
    assert "".join(frame["data"]["answer"] for frame in frames[:-1])

    printed = subprocess.run(
        [sys.executable, "-c", filled(OPENAI, api, chat_id=chat["id"])],
        capture_output=True, timeout=60, check=True, env={"NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"},
    ).stdout.decode()  # fmt: skip
    assert printed.strip()


def test_without_a_key_curl_is_told(api: Api, tmp_path: Path) -> None:
    printed = run(CREATE_DATASET.replace(" <API_KEY>", ""), api, tmp_path)
    assert json.loads(printed)["code"] == 109
