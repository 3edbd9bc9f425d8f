"""`ragd try` as a stranger uses it; nothing may stay behind."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests import files
from tests.api.cli.shell import ragd, ragd_environment


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Some files, and a folder for temporary ones of its own."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "lighthouse.txt").write_text("\n".join(files.LIGHTHOUSE))
    (tmp_path / "wall.txt").write_text("\n".join(files.GREAT_WALL))
    (tmp_path / "manual.pdf").write_bytes(files.manual_pdf())
    (tmp_path / "report.docx").write_bytes(files.report_docx())
    (tmp_path / "scan.pdf").write_bytes(files.scanned_pdf())
    return tmp_path


def _try(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    done = ragd("try", *arguments, cwd=folder, TMPDIR=str(folder / "tmp"), **environment)
    assert "Traceback" not in done.stderr
    assert list((folder / "tmp").iterdir()) == []
    assert not (folder / "ragd-data").exists()
    return done


def test_answers_from_several_files_with_numbered_sources(folder: Path) -> None:
    done = _try(
        folder,
        "lighthouse.txt",
        "manual.pdf",
        "report.docx",
        "How many litres does the pump on page 2 deliver?",
    )
    assert done.returncode == 0, done.stderr
    answer, sources = done.stdout.split("\nSources\n")
    assert "20 litres" in answer
    assert re.search(r"\[\d\]", answer)
    assert re.search(r"^\[\d\] manual\.pdf, pages? \d(–\d)?, similarity 0\.\d\d$", sources, re.MULTILINE)
    assert "[ID:" not in done.stdout
    for name in ("lighthouse.txt", "manual.pdf", "report.docx"):
        assert f"upload {name}" in done.stderr
        assert f"parse  {name}" in done.stderr


def test_answers_in_chinese(folder: Path) -> None:
    done = _try(folder, "wall.txt", "山海关位于哪里？")
    assert done.returncode == 0, done.stderr
    assert "河北省秦皇岛市" in done.stdout


def test_a_file_that_fails_does_not_keep_the_others_from_being_asked(folder: Path) -> None:
    done = _try(folder, "scan.pdf", "lighthouse.txt", "When was the lighthouse built?")
    assert done.returncode == 1
    assert "1827" in done.stdout
    assert re.search(r"^scan\.pdf: [^\[\]]*Scanned pages cannot be read yet", done.stderr, re.MULTILINE)


def test_only_files_that_cannot_be_read(folder: Path) -> None:
    (folder / "song.xyz").write_bytes(b"\x00\x01")
    done = _try(folder, "song.xyz", "What is it about?")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.search(r"^song\.xyz: (?!song)", done.stderr, re.MULTILINE)
    assert "None of the files could be read" in done.stderr


def test_missing_files_are_all_named_before_anything_starts(folder: Path) -> None:
    began_s = time.monotonic()
    done = _try(folder, "lighthouse.txt", "a.txt", "b.txt", ".", "What?")
    assert done.returncode == 1
    assert "There is no file a.txt\nThere is no file b.txt\n. is a folder" in done.stderr
    assert time.monotonic() - began_s < 10


def test_a_forgotten_question(folder: Path) -> None:
    done = _try(folder, "manual.pdf", "lighthouse.txt")
    assert done.returncode == 2
    assert "The last argument must be the question, but lighthouse.txt is a file" in done.stderr


def test_a_model_that_cannot_be_reached(folder: Path) -> None:
    done = _try(
        folder, "--model", "gpt", "--base-url", "http://127.0.0.1:9/v1", "--api-key", "sk-secret-1234567890",
        "lighthouse.txt", "When was it built?", RAGD_LOG_LEVEL="DEBUG",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "ragd: The model failed: " in done.stderr
    assert "gpt@try cannot be reached" in done.stderr
    assert "sk-secret" not in done.stderr + done.stdout


def test_a_model_that_is_not_configured(folder: Path) -> None:
    done = _try(folder, "--model", "gpt-9", "lighthouse.txt", "When was it built?")
    assert (done.returncode, done.stdout) == (3, "")
    assert "No chat model gpt-9 is configured. Name one of: builtin-extractive@Builtin" in done.stderr
    assert "upload" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_stays_behind_when_it_is_stopped(folder: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "api", "try", "lighthouse.txt", "When was it built?"],
        cwd=folder,
        env=ragd_environment(TMPDIR=str(folder / "tmp")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    children: list[psutil.Process] = []
    while not children or not list((folder / "tmp").glob("*/data/ragd.sqlite")):
        assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    assert process.wait(20) == (-9 if number == signal.SIGKILL else 130)
    assert psutil.wait_procs(children, timeout=20)[1] == []
    assert list((folder / "tmp").iterdir()) == []
