"""`ragd check`: what works, what does not, and what to do."""

import shutil
import signal
import socket
from pathlib import Path

import pytest

from tests.api.cli.shell import ragd
from tests.api.cli.test_serve import serving


def rows(printed: str) -> list[str]:
    """The table's rows, each on one line."""
    found: list[str] = []
    for line in printed.splitlines():
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        if len(cells) == 3 and cells[0]:
            found.append(" ".join(cells))
        elif len(cells) == 3:
            found[-1] += " " + cells[2]
    return found


def row(printed: str, part: str) -> str:
    [found] = [line for line in rows(printed) if line.startswith(part)]
    return found


def test_before_the_first_start_and_nothing_is_made(tmp_path: Path) -> None:
    done = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT="0")
    assert done.returncode == 0, done.stdout
    for part in ("secret", "database", "files", "search index"):
        assert row(done.stdout, part) == f"{part} skipped not there yet; the first start makes it"
    for part in ("data folder", "chat model", "embedding model", "port", "workers"):
        assert row(done.stdout, part).startswith(f"{part} ok")
    assert list(tmp_path.iterdir()) == []


def test_after_a_start_and_beside_a_running_server(tmp_path: Path) -> None:
    with serving(tmp_path) as (_, address, process):
        done = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT=address.rsplit(":", 1)[1])
        assert done.returncode == 0, done.stdout
        assert row(done.stdout, "server") == f"server ok process {process.pid} answers at {address}"
        assert "skipped" not in done.stdout
        elsewhere = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT="1")
        assert elsewhere.returncode == 0, "it looks where the server is and not where the settings say"
        assert row(elsewhere.stdout, "server") == f"server ok process {process.pid} answers at {address}"
        process.send_signal(signal.SIGSTOP)
        hung = ragd("check", cwd=tmp_path)
        process.send_signal(signal.SIGCONT)
        assert hung.returncode == 1
        assert "runs on this data folder but does not answer" in row(hung.stdout, "server")
    done = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT="0")
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout


WAKE = shutil.ignore_patterns("wake")
"""A named pipe, which cannot be copied and is made anew."""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder that a server has been started on."""
    folder = tmp_path_factory.mktemp("started")
    with serving(folder):
        pass
    return folder / "ragd-data"


@pytest.mark.parametrize(
    ("part", "file", "content", "advice"),
    [
        ("secret", "secret", b"short", "restore the file from a backup"),
        ("database", "ragd.sqlite", b"no database" * 999, "restore the data folder from a backup"),
        ("search index", "chunks/chunks.sqlite", b"no database" * 999, "ragd reindex"),
    ],
)
def test_damage(tmp_path: Path, started: Path, part: str, file: str, content: bytes, advice: str) -> None:
    data = shutil.copytree(started, tmp_path / "ragd-data", ignore=WAKE)
    for old in data.glob(f"{file}-*"):  # write-ahead log
        old.unlink()
    (data / file).write_bytes(content)
    done = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT="0")
    assert done.returncode == 1
    assert row(done.stdout, part).startswith(f"{part} failed")
    assert advice in row(done.stdout, part)
    assert "Traceback" not in done.stderr


def test_a_secret_that_others_may_read(tmp_path: Path, started: Path) -> None:
    data = shutil.copytree(started, tmp_path / "ragd-data", ignore=WAKE)
    (data / "secret").chmod(0o644)
    done = ragd("check", cwd=tmp_path, RAGD_HTTP_PORT="0")
    assert done.returncode == 1
    assert "chmod 600" in row(done.stdout, "secret")


def test_models_that_do_not_answer_and_a_taken_port(tmp_path: Path) -> None:
    key = "sk-secret-1234567890"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = ragd(
            "check",
            cwd=tmp_path,
            RAGD_HTTP_PORT=str(taken.getsockname()[1]),
            RAGD_MODELS_PROVIDERS=f'[{{"name": "Far", "base_url": "http://127.0.0.1:9/v1", "api_key": "{key}", '
            '"chat_models": ["c"], "embedding_models": ["e"]}]',
            RAGD_MODELS_DEFAULT_CHAT="d@Far",
            COLUMNS="300",
        )
    assert done.returncode == 1
    assert row(done.stdout, "default chat model").startswith(
        "default chat model failed d@Far is not configured"
    )
    assert "c@Far cannot be reached" in done.stdout
    assert "e@Far cannot be reached" in done.stdout
    assert row(done.stdout, "port").startswith("port failed")
    assert key not in done.stdout + done.stderr
