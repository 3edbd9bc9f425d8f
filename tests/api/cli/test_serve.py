"""`ragd serve`: first start, later starts, keys made beside it, and what keeps it from starting."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from api.commands.accounts import open_accounts
from api.commands.default_models import check_default_models
from api.db.tenant_models import list_enabled_kinds, upsert_model
from api.settings import SettingsError, load_settings
from tests.api.cli.shell import ragd, ragd_environment

KEY = re.compile(r"ragflow-[A-Za-z0-9_-]{43}")


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[tuple[list[str], str, "subprocess.Popen[str]"]]:
    """(what it printed until it was ready, its address, the process) of `ragd serve` on a free port."""
    command = [sys.executable, "-m", "api", "serve", "--port", "0", "--workers", "0", *arguments]
    with (folder / "serve.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=ragd_environment(), stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    printed: list[str] = []
    try:
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if line.startswith("API docs"):
                break
        else:
            raise AssertionError((folder / "serve.log").read_text())
        yield printed, printed[-2].split()[-1], process
    finally:
        process.terminate()
        try:
            process.wait(15)
        finally:
            process.kill()
            process.stdout.close()


def _datasets(address: str, key: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    code: int = httpx.get(f"{address}/api/v1/datasets", headers=headers, trust_env=False).json()["code"]
    return code


def test_the_first_start_prints_one_key_and_later_ones_how_to_make_more(tmp_path: Path) -> None:
    with serving(tmp_path) as (printed, address, process):
        text = "\n".join(printed)
        assert f"Data folder  {tmp_path / 'ragd-data'}" in text
        assert f"API docs     {address}/docs" in text
        [key] = KEY.findall(text)
        assert "shown only this once; `ragd key create` makes more" in text
        assert _datasets(address, key) == 0
        assert httpx.get(f"{address}/docs", trust_env=False, follow_redirects=True).status_code == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0
    with serving(tmp_path) as (printed, address, _):
        text = "\n".join(printed)
        assert not KEY.search(text)
        assert "API keys     keys exist already; `ragd key create` makes another" in text
        assert _datasets(address, key) == 0


def test_no_key_is_printed_when_one_was_made_before_the_first_start(tmp_path: Path) -> None:
    key = ragd("key", "create", cwd=tmp_path).stdout.strip()
    with serving(tmp_path) as (printed, address, _):
        assert not KEY.search("\n".join(printed))
        assert _datasets(address, key) == 0


def test_keys_made_and_deleted_beside_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--data", "here") as (_, address, _process):
        key = ragd("key", "create", "--data", "here", cwd=tmp_path).stdout.strip()
        assert _datasets(address, key) == 0
        assert ragd("key", "delete", key, "--data", "here", cwd=tmp_path).returncode == 0
        fresh = ragd("key", "create", "--data", "here", cwd=tmp_path).stdout.strip()
        assert _datasets(address, fresh) == 0


def test_a_second_server_on_the_same_folder(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, address, process):
        second = ragd("serve", "--port", "0", cwd=tmp_path)
        assert (second.returncode, second.stdout) == (5, "")
        assert f"is in use by another server (process {process.pid})" in second.stderr
        assert "Traceback" not in second.stderr
        assert httpx.get(f"{address}/v1/system/ping", trust_env=False).text == "pong"


@pytest.mark.parametrize("kind", ["chat", "embedding"])
def test_a_default_model_that_is_not_configured(tmp_path: Path, kind: str) -> None:
    name = f"RAGD_MODELS_DEFAULT_{kind.upper()}"
    done = ragd("serve", "--port", "0", cwd=tmp_path, timeout_s=20, **{name: "gpt-9@Nowhere"})
    assert (done.returncode, done.stdout) == (3, "")
    assert f"models.default_{kind}: No {kind} model gpt-9@Nowhere is configured. Name one of: " in done.stderr
    assert ("builtin-extractive@Builtin" if kind == "chat" else "wordllama-256@Builtin") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_default_model_that_tenants_may_have(caplog: pytest.LogCaptureFixture) -> None:
    settings = load_settings(environment={}, flags={"models.default_chat": "gpt-9@Nowhere"})
    check_default_models(settings, frozenset({"chat"}))
    assert "No chat model gpt-9@Nowhere is configured" in caplog.text
    with pytest.raises(SettingsError):
        check_default_models(settings, frozenset({"embedding"}))


def test_the_kinds_of_models_that_tenants_have(tmp_path: Path) -> None:
    settings = load_settings(environment={}, flags={"data_dir": tmp_path / "data"})
    values = {"is_enabled": True}
    with open_accounts(settings) as opened:
        assert opened.transaction(list_enabled_kinds) == frozenset()
        opened.transaction(upsert_model, "t", "Ollama", "chat", "qwen3", values)
        opened.transaction(upsert_model, "t", "Ollama", "embedding", "bge", {"is_enabled": False})
        assert opened.transaction(list_enabled_kinds) == {"chat"}


@pytest.mark.parametrize("command", [("serve",), ("key", "create"), ("user", "create", "a@b.de")])
def test_a_data_folder_that_cannot_be_made(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = ragd(*command, "--data", "/proc/ragd", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert "Cannot write to the data folder /proc/ragd: No such file or directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ragd("serve", "--port", str(taken.getsockname()[1]), cwd=tmp_path)
    assert done.returncode == 4
    assert "is taken by another program" in done.stderr
    assert KEY.search(done.stdout), "the only sight of the first key must not be lost"
    assert "Traceback" not in done.stderr


def test_an_address_that_this_machine_has_not(tmp_path: Path) -> None:
    done = ragd("serve", "--host", "192.0.2.1", cwd=tmp_path)
    assert done.returncode == 4
    assert "192.0.2.1" in done.stderr


def test_the_workers_go_with_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, "--workers", "1") as (_, _address, process):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        assert psutil.wait_procs(children, timeout=10)[1] == []
