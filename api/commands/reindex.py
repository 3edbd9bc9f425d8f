"""`ragd reindex`: the search indexes anew from the database."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from api import exit_codes
from api.commands.options import Commands, add_command, add_data_options, settings_of

if TYPE_CHECKING:
    from api.settings import Settings


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "reindex",
        _run,
        help_text="Throw the search indexes away and build them again from the database. Nothing else is "
        "touched, and documents are not parsed again. The server must not run.",
        example="ragd reindex --data ./ragd-data",
    )
    add_data_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    from api.commands.failures import CommandFailed
    from api.data_folder import database_file
    from api.server import CannotStart, data_folder

    settings = settings_of(arguments)
    if not database_file(settings).is_file():
        raise CommandFailed(
            f"{settings.data_dir.absolute()} is not a data folder of ragd: it holds no database. Name one with --data.",
            exit_codes.DATA_FOLDER,
        )
    try:
        with data_folder(settings.data_dir):
            chunk_count = asyncio.run(_rebuild(settings))
    except CannotStart as error:
        raise CommandFailed(str(error), exit_codes.DATA_FOLDER) from error
    print(f"{chunk_count} chunks indexed")
    return exit_codes.OK


async def _rebuild(settings: "Settings") -> int:
    from api.data_folder import chunk_folder
    from rag.stores.embedded import open_embedded_store

    async with open_embedded_store(chunk_folder(settings), role="owner") as store:
        return await store.rebuild()
