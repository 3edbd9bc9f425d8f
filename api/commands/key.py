"""`ragd key`: make, list and delete API keys, beside a running server or before its first start."""

import argparse
from typing import TYPE_CHECKING

from api import exit_codes
from api.commands.options import Commands, add_command, add_data_options, settings_of

if TYPE_CHECKING:
    from api.commands.accounts import Accounts

HEADS = ("id", "owner", "created (UTC)", "key")
UNREADABLE = "(sealed with another secret: it no longer works)"


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "key",
        None,
        help_text="Make, list and delete API keys. Works while the server runs and before its first start.",
        example="ragd key create\nragd key list\nragd key delete KEY",
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    create = add_command(
        actions,
        "create",
        _create,
        help_text="Make an API key and print it, and nothing else, on standard output. It can be used at once. "
        "A data folder that is not there yet is made, which standard error tells.",
        example="API_KEY=$(ragd key create --data ./ragd-data)",
    )
    create.add_argument("--user", metavar="EMAIL", help="whose key it is (default: the first user)")
    add_data_options(create)

    listing = add_command(
        actions,
        "list",
        _list,
        help_text="List the API keys, tab-separated under a line of heads. The key is masked without --show.",
        example="ragd key list --show",
    )
    listing.add_argument("--user", metavar="EMAIL", help="only the keys of this user")
    listing.add_argument("--show", action="store_true", help="show whole keys")
    add_data_options(listing)

    delete = add_command(
        actions,
        "delete",
        _delete,
        help_text="Delete API keys. A running server refuses them within two seconds.",
        example="ragd key delete ragflow-...\nragd key delete 0b3cf6e2c6b611f0a4a0325096b39f47",
    )
    delete.add_argument("keys", metavar="KEY", nargs="+", help="an API key, or its id in `ragd key list`")
    delete.add_argument("--user", metavar="EMAIL", help="only if it belongs to this user")
    add_data_options(delete)


def _create(arguments: argparse.Namespace) -> int:
    from api.commands.accounts import ensure_first_user, get_user, open_accounts
    from api.db.accounts import insert_key

    with open_accounts(settings_of(arguments), announce_new=True) as opened:

        def create() -> str:
            first_id, _ = ensure_first_user()
            owner_id = str(get_user(arguments.user).id) if arguments.user else first_id
            return insert_key(opened.vault, owner_id)[1]

        print(opened.transaction(create))
    return exit_codes.OK


def _list(arguments: argparse.Namespace) -> int:
    from api.commands.accounts import get_user, open_accounts, require_database
    from api.db.accounts import list_keys

    settings = settings_of(arguments)
    require_database(settings)
    with open_accounts(settings) as opened:
        owner_id = str(get_user(arguments.user).id) if arguments.user else None
        rows = [row for row in list_keys(opened.vault) if owner_id in (None, row.tenant_id)]
    print("\t".join(HEADS))
    for row in rows:
        key = row.key if arguments.show or row.key is None else _masked(row.key)
        print("\t".join((row.id, row.email, _utc(row.create_time), key or UNREADABLE)))
    return exit_codes.OK


def _delete(arguments: argparse.Namespace) -> int:
    from api.commands.accounts import get_user, open_accounts, require_database
    from api.commands.failures import CommandFailed

    settings = settings_of(arguments)
    require_database(settings)
    with open_accounts(settings) as opened:
        owner_id = str(get_user(arguments.user).id) if arguments.user else None

        def delete() -> None:
            # All or none: a script that names five keys must not have to find out which three went.
            unknown = [key for key in dict.fromkeys(arguments.keys) if not _delete_one(opened, key, owner_id)]
            if unknown:
                shown = ", ".join(_masked(key) if key.startswith("ragflow-") else key for key in unknown)
                raise CommandFailed(
                    f"No such API key: {shown}. Nothing was deleted. `ragd key list` shows them."
                )

        opened.transaction(delete)
    return exit_codes.OK


def _delete_one(opened: "Accounts", key: str, owner_id: str | None) -> bool:
    from api.db.accounts import delete_key, find_key

    found = find_key(opened.vault, key)
    if found is None or owner_id not in (None, found.tenant_id):
        return False
    return delete_key(opened.vault, key) > 0


def _masked(key: str) -> str:
    return f"{key[:12]}…{key[-4:]}" if len(key) > 24 else "…"


def _utc(time_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
