"""Wrong command lines and wrong settings: a message, an exit code, no traceback."""

from pathlib import Path

import pytest

from tests.api.cli.shell import ragd

COMMANDS = [
    ("try",),
    ("serve",),
    ("check",),
    ("key",),
    ("key", "create"),
    ("key", "list"),
    ("key", "delete"),
    ("user",),
    ("user", "create"),
    ("reindex",),
    ("worker",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_has_an_example(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = ragd(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert f"example:\n  {'' if command == ('key', 'create') else 'ragd'}" in done.stdout


def test_version(tmp_path: Path) -> None:
    done = ragd("--version", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "ragd 0.1.0\n")


@pytest.mark.parametrize(
    "arguments", [(), ("sevre",), ("key",), ("serve", "--prot", "1"), ("serve", "--port", "x")]
)
def test_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = ragd(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ragd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (("serve",), {"RAGD_HTTP_PROT": "1"}, "did you mean RAGD_HTTP_PORT?"),
        (
            ("serve", "--port", "70000"),
            {},
            "Setting http.port: Input should be less than or equal to 65535, got 70000",
        ),
        (("key", "create"), {"RAGD_LOG_LEVEL": "LOUD"}, "Setting log.level"),
        (("key", "list", "--config", "missing.yaml"), {}, "Cannot read the settings in missing.yaml"),
        (("check", "--config", "missing.yaml"), {}, "Cannot read the settings in missing.yaml"),
        (("reindex",), {"RAGD_CONFIG": "missing.yaml"}, "Cannot read the settings in missing.yaml"),
    ],
)
def test_wrong_settings(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    done = ragd(*arguments, cwd=tmp_path, **environment)
    assert (done.returncode, done.stdout) == (3, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_unknown_setting_in_the_file_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "ragd.yaml").write_text("http:\n  prt: 1\n")
    done = ragd("key", "create", cwd=tmp_path)
    assert done.returncode == 3
    assert "unknown setting http.prt; did you mean http.port?" in done.stderr
