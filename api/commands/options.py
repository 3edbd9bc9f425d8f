"""Options that commands share, and the settings that come of them."""

import argparse
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from api.settings import Settings

WIDTH = 78

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse gives the type no public name."""


def add_command(
    commands: Commands, name: str, run: Any, *, help_text: str, example: str
) -> argparse.ArgumentParser:
    """A subcommand with `--data` and `--config`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help_text[0].lower() + help_text[1:].split(". ")[0].removesuffix("."),
        description=fill(help_text, WIDTH),
        epilog="example:\n" + "\n".join(f"  {line}" for line in example.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """`--data` and `--config`."""
    parser.add_argument("--data", metavar="DIR", type=Path, help="the data folder (default: ./ragd-data)")
    add_config_option(parser)


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """`--config`."""
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="the settings (default: conf/ragd.yaml, if there is one)"
    )


def settings_of(arguments: argparse.Namespace, **flags: Any) -> "Settings":
    """The settings with the command line's flags (dotted path with `__` for the dot). Raises SettingsError."""
    from api.settings import load_settings

    named = {path.replace("__", "."): value for path, value in flags.items()}
    return load_settings(arguments.config, flags={"data_dir": getattr(arguments, "data", None), **named})


def data_flag(settings: "Settings") -> str:
    """` --data DIR` for messages that name a command; empty for the default folder."""
    return "" if settings.data_dir == Path("ragd-data") else f" --data {settings.data_dir}"
