"""`ragd check`: tries every configured part and says in a table what works, and what to do where it does not."""

import argparse
import asyncio
from typing import TYPE_CHECKING

from api import exit_codes
from api.commands.options import Commands, add_command, add_data_options, settings_of

if TYPE_CHECKING:
    from api.commands.probes.result import Finding


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "check",
        _run,
        help_text="Try every configured part: data folder, secret, database, files, search index, models, port, "
        "workers. Prints a table of what works, with what to do where it does not; the exit code is 1 if "
        "anything does not. Works beside a running server.",
        example="ragd check --data ./ragd-data",
    )
    add_data_options(parser)


def _run(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)

    from rich.console import Console

    from api.commands.probes import probe_all

    with Console(stderr=True).status("Trying every part"):
        findings = asyncio.run(probe_all(settings))
    _show(findings)
    return exit_codes.FAILED if any(finding.state == "failed" for finding in findings) else exit_codes.OK


def _show(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    styles = {"ok": "green", "failed": "bold red", "skipped": "dim"}
    table = Table("part", "state", "detail")
    for finding in findings:
        detail = Text(finding.detail)
        if finding.advice:
            detail.append(f"\n→ {finding.advice}", "bold")
        table.add_row(finding.part, Text(finding.state, styles[finding.state]), detail)
    Console().print(table)
