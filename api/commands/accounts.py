"""The accounts in a data folder, for commands that run beside the server or before its first start."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from api import exit_codes
from api.commands.failures import CommandFailed
from api.data_folder import database_file
from api.db import accounts
from api.db.database import Database, connect
from api.db.models import User
from api.secrets import Vault, load_secret
from api.settings import Settings

T = TypeVar("T")
P = ParamSpec("P")

FIRST_EMAIL = "admin@ragd.local"
FIRST_NICKNAME = "admin"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The open database and the vault of its secret."""

    database: Database
    vault: Vault

    def transaction(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run queries that commit together."""
        return self.database.transaction_now(work, *args, **kwargs)


def require_database(settings: Settings) -> None:
    """Raises CommandFailed where nothing has been made yet."""
    if not database_file(settings).is_file():
        raise CommandFailed(
            f"{settings.data_dir.absolute()} is not a data folder of ragd: it holds no database. "
            "Name one with --data.",
            exit_codes.DATA_FOLDER,
        )


@contextmanager
def open_accounts(settings: Settings, *, announce_new: bool = False) -> Iterator[Accounts]:
    """Open the database; folder, secret and tables are made where they are not there yet.

    announce_new: say so on standard error, since whoever meant another folder must find out.
    """
    is_new = not database_file(settings).is_file()
    try:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the secret
    except OSError as error:
        raise CommandFailed(
            f"Cannot write to the data folder {settings.data_dir.absolute()}: {error.strerror}. "
            "Name another with --data, or give this user the right to write there.",
            exit_codes.DATA_FOLDER,
        ) from error
    vault = Vault(load_secret(settings))
    connection = connect(database_file(settings))
    if is_new and announce_new:
        print(f"ragd: made a new data folder at {settings.data_dir.absolute()}", file=sys.stderr)
    try:
        yield Accounts(Database(connection, queue_limit=1), vault)
    finally:
        connection.close()


def ensure_first_user() -> tuple[str, bool]:
    """(id of the oldest user, whether it was made just now). Inside a transaction."""
    user = accounts.first_user()
    if user is not None:
        return str(user.id), False
    return accounts.insert_user(FIRST_EMAIL, FIRST_NICKNAME, is_superuser=True), True


def get_user(email: str) -> User:
    """A user by e-mail. Raises CommandFailed."""
    user = accounts.find_user(email)
    if user is None:
        raise CommandFailed(f"There is no user {email}. `ragd user create {email}` makes one.")
    return user
