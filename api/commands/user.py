"""`ragd user`: make accounts."""

import argparse
import re
import sys

from api import exit_codes
from api.commands.failures import CommandFailed
from api.commands.options import Commands, add_command, add_data_options, settings_of

_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_BYTES = 1024


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "user",
        None,
        help_text="Make users. Each has datasets, chats and API keys of its own.",
        example="ragd user create ada@example.org --name Ada",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    create = add_command(
        actions,
        "create",
        _create,
        help_text="Make a user and print its id. `ragd key create --user EMAIL` then makes its API keys.",
        example="ragd user create ada@example.org --name Ada\nragd key create --user ada@example.org",
    )
    create.add_argument("email", metavar="EMAIL", help="the user's e-mail address, by which it is found")
    create.add_argument("--name", metavar="NAME", help="shown name (default: what stands before the @)")
    create.add_argument(
        "--password-stdin",
        action="store_true",
        help="read a password, one line, from standard input (API keys work without one)",
    )
    add_data_options(create)


def _create(arguments: argparse.Namespace) -> int:
    from peewee import IntegrityError
    from werkzeug.security import generate_password_hash  # scrypt

    from api.commands.accounts import open_accounts
    from api.db.accounts import insert_user

    email = arguments.email.strip()
    if not _EMAIL.fullmatch(email) or len(email) > 255:
        raise CommandFailed(f"{email!r} is not an e-mail address like ada@example.org", exit_codes.USAGE)
    name = (arguments.name or email.split("@")[0]).strip()[:100]
    if not name:
        raise CommandFailed("--name must not be blank", exit_codes.USAGE)
    password_hash = generate_password_hash(_read_password()) if arguments.password_stdin else None
    with open_accounts(settings_of(arguments), announce_new=True) as opened:
        try:
            print(opened.transaction(insert_user, email, name, password_hash=password_hash))
        except IntegrityError as error:
            raise CommandFailed(f"There is a user {email} already.") from error
    return exit_codes.OK


def _read_password() -> str:
    password = sys.stdin.readline(MAX_PASSWORD_BYTES + 2).rstrip("\r\n")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise CommandFailed(
            f"The password must have {MIN_PASSWORD_LENGTH} characters or more", exit_codes.USAGE
        )
    if len(password.encode()) > MAX_PASSWORD_BYTES:
        raise CommandFailed(f"The password must have at most {MAX_PASSWORD_BYTES} bytes", exit_codes.USAGE)
    return password
