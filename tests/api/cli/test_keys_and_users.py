"""`ragd key` and `ragd user` on a folder that no server has started on."""

import re
import stat
from pathlib import Path

import pytest

from tests.api.cli.shell import ragd

KEY = re.compile(r"ragflow-[A-Za-z0-9_-]{43}")


def test_create_prints_only_the_key_and_makes_what_is_needed(tmp_path: Path) -> None:
    data = tmp_path / "ragd-data"
    done = ragd("key", "create", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"ragd: made a new data folder at {data}\n")
    assert KEY.fullmatch(done.stdout.removesuffix("\n"))
    again = ragd("key", "create", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE((data / "secret").stat().st_mode) == 0o600


def test_list_masks_keys_unless_told_to_show_them(tmp_path: Path) -> None:
    keys = [ragd("key", "create", cwd=tmp_path).stdout.strip() for _ in range(2)]
    masked = ragd("key", "list", cwd=tmp_path).stdout
    assert not any(key in masked for key in keys)
    heads, *rows = [
        line.split("\t") for line in ragd("key", "list", "--show", cwd=tmp_path).stdout.splitlines()
    ]
    assert heads == ["id", "owner", "created (UTC)", "key"]
    assert [row[3] for row in rows] == keys
    assert {row[1] for row in rows} == {"admin@ragd.local"}
    assert all(re.fullmatch(r"[0-9a-f]{32}", row[0]) for row in rows)


@pytest.mark.parametrize("arguments", [("list",), ("delete", "ragflow-x")])
@pytest.mark.parametrize("is_there", [True, False])
def test_no_other_action_makes_a_data_folder(
    tmp_path: Path, arguments: tuple[str, ...], is_there: bool
) -> None:
    data = tmp_path / "ragd-data"
    if is_there:
        data.mkdir()
    done = ragd("key", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (5, "")
    assert f"{data} is not a data folder of ragd: it holds no database." in done.stderr
    assert list(tmp_path.rglob("*")) == ([data] if is_there else [])


@pytest.mark.parametrize("by_id", [True, False])
def test_delete(tmp_path: Path, by_id: bool) -> None:
    key = ragd("key", "create", cwd=tmp_path).stdout.strip()
    row_id = ragd("key", "list", cwd=tmp_path).stdout.splitlines()[1].split("\t")[0]
    assert ragd("key", "delete", row_id if by_id else key, cwd=tmp_path).returncode == 0
    assert ragd("key", "list", cwd=tmp_path).stdout == "id\towner\tcreated (UTC)\tkey\n"


def test_delete_is_all_or_nothing_and_shows_no_key(tmp_path: Path) -> None:
    key = ragd("key", "create", cwd=tmp_path).stdout.strip()
    stranger = "ragflow-" + "x" * 43
    done = ragd("key", "delete", key, stranger, cwd=tmp_path)
    assert done.returncode == 1
    assert "No such API key: ragflow-xxxx…xxxx. Nothing was deleted." in done.stderr
    assert stranger not in done.stderr
    assert len(ragd("key", "list", cwd=tmp_path).stdout.splitlines()) == 2


def test_keys_of_a_user(tmp_path: Path) -> None:
    made = ragd("user", "create", "ada@example.org", "--name", "Ada", cwd=tmp_path)
    assert re.fullmatch(r"[0-9a-f]{32}\n", made.stdout)
    key = ragd("key", "create", "--user", "ADA@example.org", cwd=tmp_path).stdout.strip()
    ragd("user", "create", "bob@example.org", cwd=tmp_path)
    ragd("key", "create", "--user", "bob@example.org", cwd=tmp_path)
    listed = ragd("key", "list", "--show", "--user", "ada@example.org", cwd=tmp_path).stdout
    assert [line.split("\t")[1::2] for line in listed.splitlines()[1:]] == [["ada@example.org", key]]
    assert ragd("key", "delete", key, "--user", "bob@example.org", cwd=tmp_path).returncode == 1


def test_unknown_user(tmp_path: Path) -> None:
    ragd("key", "create", cwd=tmp_path)
    done = ragd("key", "create", "--user", "eve@example.org", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "ragd: There is no user eve@example.org. `ragd user create eve@example.org` makes one.\n"
    )


def test_a_taken_e_mail_is_refused_whatever_its_case(tmp_path: Path) -> None:
    ragd("user", "create", "ada@example.org", cwd=tmp_path)
    done = ragd("user", "create", "Ada@Example.org", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is a user Ada@Example.org already." in done.stderr


@pytest.mark.parametrize("email", ["ada", "ada@", "@example.org", "ada@example", "a b@example.org", ""])
def test_not_an_e_mail_address(tmp_path: Path, email: str) -> None:
    done = ragd("user", "create", email, cwd=tmp_path)
    assert done.returncode == 2
    assert "is not an e-mail address" in done.stderr
    assert not (tmp_path / "ragd-data").exists()


def test_a_password_is_read_from_standard_input_and_hashed(tmp_path: Path) -> None:
    done = ragd(
        "user", "create", "ada@example.org", "--password-stdin", cwd=tmp_path, stdin="correct horse\n"
    )
    assert done.returncode == 0
    database = (tmp_path / "ragd-data" / "ragd.sqlite").read_bytes()
    assert b"scrypt:" in database
    assert b"correct horse" not in database
    short = ragd("user", "create", "b@example.org", "--password-stdin", cwd=tmp_path, stdin="short\n")
    assert short.returncode == 2
    assert "8 characters" in short.stderr


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = ragd("key", "create", "--data", tmp_path / "file" / "data", cwd=tmp_path)
    assert done.returncode == 5
    assert done.stderr.startswith("ragd: Cannot write ")


def test_a_damaged_secret_says_what_to_do(tmp_path: Path) -> None:
    ragd("key", "create", cwd=tmp_path)
    (tmp_path / "ragd-data" / "secret").write_text("short")
    done = ragd("key", "create", cwd=tmp_path)
    assert done.returncode == 3
    assert "Restore it from a backup" in done.stderr


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "ragd-data").mkdir()
    (tmp_path / "ragd-data" / "ragd.sqlite").write_bytes(b"not a database" * 100)
    done = ragd("key", "create", cwd=tmp_path)
    assert done.returncode == 5
    assert "file is not a database" in done.stderr
