"""The command line: `ragd COMMAND`. Each command is a module of `api.commands`.

Modules that take long to import are imported by the command that needs them, so that `ragd key create`
in a script costs a fraction of a second.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from api import exit_codes
from api.commands import check, key, reindex, serve, try_, user, worker
from api.commands.failures import explain

COMMANDS = (try_, serve, check, key, user, reindex, worker)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="ragd",
        description="A knowledge base server that speaks RAGFlow's HTTP API.",
        epilog="`ragd COMMAND --help` explains a command. Settings: docs/settings.md.",
    )
    parser.add_argument("--version", action="version", version=f"ragd {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code (`api.exit_codes`). Wrong usage raises SystemExit(2)."""
    arguments = build_parser().parse_args(argv)
    try:
        code: int = arguments.run(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough (`ragd key list | head -1`). Python would complain again
        # when it flushes at exit.
        sys.stdout = None
        return exit_codes.OK
    except Exception as error:  # the outermost edge: foreseen failures get a plain message
        explained = explain(error)
        if explained is None:
            raise
        message, code = explained
        print(f"ragd: {message}", file=sys.stderr)
    return code


def _version() -> str:
    try:
        return version("ragd")
    except PackageNotFoundError:  # run from a checkout that was never installed
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
