"""Writes the parts of docs/ that the code knows best: settings, command line, endpoints.

`python docs/generate.py` rewrites what stands between `<!-- generated: NAME -->` and `<!-- end -->`;
tests/test_docs.py fails when that was forgotten.
"""

import argparse
import os
import re
from collections.abc import Iterator
from pathlib import Path

from api import exit_codes
from api.app import create_app
from api.cli import build_parser
from api.openapi import described_routes
from api.settings import Settings, providers_table, settings_table

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command that does something, in order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from commands(child)
            return
    yield parser


def command_line() -> str:
    """The help of every command."""
    os.environ["COLUMNS"] = "110"  # as wide wherever this runs
    return "\n".join(
        f"### {c.prog}\n\n```text\n{c.format_help().strip()}\n```\n" for c in commands(build_parser())
    )


def exit_code_table() -> str:
    """What `ragd` returns to the shell."""
    rows = [f"| {code} | {meaning} |" for code, meaning in exit_codes.MEANINGS.items()]
    return "\n".join(["| exit code | meaning |", "|---|---|", *rows]) + "\n"


def endpoint_table() -> str:
    """Every route with what it does."""
    rows: dict[str, list[str]] = {}
    for path, method, operation, _ in described_routes(create_app(Settings())):
        if operation is not None:
            rows.setdefault(operation.tag, []).append(f"| {method} | `{path}` | {operation.summary} |")
    parts = [
        f"### {tag}\n\n| method | path | |\n|---|---|---|\n" + "\n".join(rows[tag]) for tag in sorted(rows)
    ]
    return "\n\n".join(parts) + "\n"


def decision_list() -> str:
    """Every decision by number."""
    lines = []
    for file in sorted((DOCS / "decisions").glob("[0-9]*.md")):
        title = file.read_text("utf-8").splitlines()[0].removeprefix("# ")
        number, _, text = title.partition(" ")
        lines.append(f"- [{number.rstrip(':')}]({file.name}) {text[0].upper()}{text[1:]}")
    return "\n".join(lines) + "\n"


GENERATORS = {
    "decisions": decision_list,
    "settings": settings_table,
    "providers": providers_table,
    "commands": command_line,
    "exit_codes": exit_code_table,
    "endpoints": endpoint_table,
}


def rewritten(text: str) -> str:
    """The text with its generated parts made anew."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{GENERATORS[block[2]]()}\n{block[3]}", text)


def main() -> None:
    """Rewrite every file of docs/."""
    for file in DOCS.glob("**/*.md"):
        text = file.read_text("utf-8")
        if (new := rewritten(text)) != text:
            file.write_text(new, "utf-8")


if __name__ == "__main__":
    main()
