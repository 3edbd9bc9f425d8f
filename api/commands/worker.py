"""`ragd worker`: workers without a server."""

import argparse
import asyncio
import signal
from typing import TYPE_CHECKING

from api import exit_codes
from api.commands.failures import CommandFailed
from api.commands.options import Commands, add_command, add_data_options, settings_of

if TYPE_CHECKING:
    from api.settings import Settings


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "worker",
        _run,
        help_text="Parse documents beside a running server, until SIGTERM or Ctrl-C. `ragd serve` starts workers "
        "of its own; these come on top, or instead of them after `ragd serve --workers 0`.",
        example="ragd worker --data ./ragd-data --workers 2",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        help="worker processes (default: executor.workers; else cores, at most 4)",
    )
    add_data_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    from api.data_folder import database_file
    from api.executor.executor import worker_count
    from api.logs import configure_logging

    settings = settings_of(arguments, executor__workers=arguments.workers)
    if worker_count(settings) == 0:
        raise CommandFailed(
            "There is nothing to run: executor.workers is 0. Say --workers 1 or more.", exit_codes.USAGE
        )
    if not database_file(settings).is_file():
        raise CommandFailed(
            f"{settings.data_dir.absolute()} holds no database yet: start the server first, "
            "or name its data folder with --data.",
            exit_codes.DATA_FOLDER,
        )
    configure_logging(settings.log)
    asyncio.run(_work(settings))
    return exit_codes.OK


async def _work(settings: "Settings") -> None:
    from api.document_locks import DocumentLocks
    from api.executor.executor import open_executor, worker_count
    from api.wiring import open_parts

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with (
        open_parts(settings, "writer") as parts,
        open_executor(
            settings,
            db=parts.db,
            queue=parts.queue,
            store=parts.chunks,
            storage=parts.storage,
            locks=DocumentLocks(),
            models=parts.models,
        ),
    ):
        print(f"{worker_count(settings)} workers on {settings.data_dir.absolute()}", flush=True)
        await stop.wait()
