"""`ragd serve`: the server and its workers."""

import argparse
from typing import TYPE_CHECKING

from api.commands.options import Commands, add_command, add_data_options, data_flag, settings_of

if TYPE_CHECKING:
    from api.settings import Settings


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "serve",
        _run,
        help_text="Start the server and its workers. The first start makes the data folder, a user and an API "
        "key, which it prints once. SIGTERM or Ctrl-C stops server and workers.",
        example="ragd serve\nragd serve --host 0.0.0.0 --port 8080 --data /var/lib/ragd",
    )
    parser.add_argument(
        "--host", metavar="HOST", help="address to listen on (default: 127.0.0.1; 0.0.0.0 for all)"
    )
    parser.add_argument(
        "--port", metavar="PORT", type=int, help="port to listen on (default: 9380; 0 takes a free one)"
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="worker processes that parse documents (default: cores, at most 4)",
    )
    add_data_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(
        arguments, http__host=arguments.host, http__port=arguments.port, executor__workers=arguments.workers
    )
    from api.server import serve

    def on_ready(address: str) -> None:
        print(f"Address      {address}")
        print(f"API docs     {address}/docs", flush=True)

    return serve(settings, on_held=lambda: greet(settings), on_ready=on_ready)


def greet(settings: "Settings") -> None:
    """Make what the first start needs and print its API key; later starts say how to make more.

    Raises SettingsError where a default model is not configured.
    """
    from api.commands.accounts import ensure_first_user, open_accounts
    from api.commands.default_models import check_default_models
    from api.db.accounts import insert_key
    from api.db.tenant_models import list_enabled_kinds

    with open_accounts(settings) as opened:
        check_default_models(settings, opened.transaction(list_enabled_kinds))

        def first_key() -> str | None:
            owner_id, is_new = ensure_first_user()
            return insert_key(opened.vault, owner_id)[1] if is_new else None

        key = opened.transaction(first_key)
    print(f"Data folder  {settings.data_dir.absolute()}")
    if key is None:
        print(f"API keys     keys exist already; `ragd key create{data_flag(settings)}` makes another")
    else:
        # Printed before the port is tried: should that fail, the key has been seen all the same.
        print(f"API key      {key}")
        print(f"             shown only this once; `ragd key create{data_flag(settings)}` makes more")
