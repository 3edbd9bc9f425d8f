"""`ragd try`: a question about files, answered by a throw-away server through the HTTP API."""

import argparse
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from api import exit_codes
from api.commands.default_models import check_default_models
from api.commands.failures import CommandFailed
from api.commands.options import Commands, add_command, add_config_option, settings_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from api.commands.trial.walk import Walk
    from api.settings import Settings

POLL_S = 0.05
PROVIDER = "try"
ERROR = "**ERROR**: "
LINE_START = re.compile(r"^(?:\d\d:\d\d:\d\d )?(?:Page\([^)]*\): )?(?:\[ERROR\])?")
"""What stands before the text in a line of `progress_msg`: for a log, not for a terminal."""


def add_parser(commands: Commands) -> None:
    """Describe the command."""
    parser = add_command(
        commands,
        "try",
        _run,
        help_text="Ask a question about files. Starts a server on a throw-away folder and a free port, uploads "
        "and parses the files through its HTTP API, prints the answer with its sources, and leaves nothing behind. "
        "The exit code is 1 also if only some of the files could be read; the others are asked all the same.",
        example='ragd try manual.pdf notes.docx "How do I reset the pump?"',
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="what the question is about")
    parser.add_argument("question", metavar="QUESTION", help="the last argument, in quotes")
    parser.add_argument(
        "--model", metavar="NAME", help="chat model of an OpenAI-compatible endpoint (default: as set)"
    )
    parser.add_argument("--base-url", metavar="URL", help="address of that endpoint, up to and including /v1")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help="its key; other users of this machine can see it while the command runs",
    )
    add_config_option(parser)


def _run(arguments: argparse.Namespace) -> int:
    check_arguments(arguments.files, arguments.question)
    flags = server_flags(settings_of(arguments), arguments.model, arguments.base_url, arguments.api_key)
    check_default_models(settings_of(arguments, **_model_flags(flags)))

    import httpx
    from rich.console import Console

    from api.commands.trial.server import throw_away_server
    from api.commands.trial.walk import Refused, Walk

    console = Console(stderr=True)
    with _interrupted_by_sigterm(), ExitStack() as stack:
        with console.status("Starting the server"):
            server = stack.enter_context(throw_away_server(arguments.config, flags))
            walk = Walk(server.address, server.key)
            stack.callback(walk.close)
        try:
            code = _walk(walk, arguments.files, arguments.question, console)
        except Refused as error:
            raise CommandFailed(str(error)) from error
        except httpx.HTTPError as error:
            raise CommandFailed(
                f"The server does not answer any more: {error or type(error).__name__}"
            ) from error
        finally:
            # A bug shows here, with its traceback; what is wrong with a file is no error of the server's.
            if errors := server.errors():
                console.print(errors, style="dim", markup=False, highlight=False, soft_wrap=True)
    return code


def check_arguments(files: Sequence[Path], question: str) -> None:
    """Raises CommandFailed, naming every file that cannot be read."""
    if not question.strip():
        raise CommandFailed("The question is empty", exit_codes.USAGE)
    if Path(question).is_file():
        raise CommandFailed(
            f"The last argument must be the question, but {question} is a file. "
            'Example: ragd try manual.pdf "How do I reset the pump?"',
            exit_codes.USAGE,
        )
    problems = [problem for file in files if (problem := _problem_of(file)) is not None]
    if problems:
        raise CommandFailed("\n".join(problems))


def _problem_of(file: Path) -> str | None:
    if file.is_dir():
        return f"{file} is a folder; name the files in it, for example {file}/*.pdf"
    try:
        with file.open("rb"):
            return None
    except FileNotFoundError:
        return f"There is no file {file}"
    except OSError as error:
        return f"Cannot read {file}: {error.strerror}"


def server_flags(
    settings: "Settings", model: str | None, base_url: str | None, api_key: str | None
) -> dict[str, Any]:
    """Settings of the throw-away server as JSON values. Raises CommandFailed for options that do not fit together."""
    flags: dict[str, Any] = {
        "http.host": "127.0.0.1",
        "http.port": 0,
        "http.rate_limit_per_minute": 0,
        "log.level": "ERROR",
    }
    if base_url is None:
        if api_key is not None:
            raise CommandFailed("--api-key needs --base-url and --model", exit_codes.USAGE)
        if model is not None:  # one of the settings
            flags["models.default_chat"] = model
        return flags
    if model is None:
        raise CommandFailed("--base-url needs --model", exit_codes.USAGE)
    providers = [
        provider.model_dump(mode="json") | {"api_key": provider.api_key.get_secret_value()}
        for provider in settings.models.providers
        if provider.name != PROVIDER
    ]
    own = {"name": PROVIDER, "base_url": base_url, "api_key": api_key or "", "chat_models": [model]}
    flags["models.providers"] = [*providers, own]
    flags["models.default_chat"] = f"{model}@{PROVIDER}"
    return flags


def _model_flags(flags: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in flags.items() if name.startswith("models.")}


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does: cleaning up."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    earlier = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _walk(walk: "Walk", files: Sequence[Path], question: str, console: "Console") -> int:
    from api.commands.trial.output import clean

    walk.create_dataset()
    failures = _upload_and_parse(walk, files, console)
    for name, message in failures:
        text = clean(f"{name}: {message.removeprefix(f'{name}: ')}")
        console.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    if len(failures) == len(files):
        raise CommandFailed("None of the files could be read, so there is nothing to ask.")
    _answer(walk, question)
    return exit_codes.FAILED if failures else exit_codes.OK


def _upload_and_parse(walk: "Walk", files: Sequence[Path], console: "Console") -> list[tuple[str, str]]:
    """Returns (file name, message) of the files that failed."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from api.commands.trial.output import clean
    from api.commands.trial.walk import Refused

    failures: list[tuple[str, str]] = []
    bars: dict[str, tuple[Any, Path]] = {}
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[phase]}", markup=False),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for file in files:
            size = file.stat().st_size
            sending = progress.add_task(f"upload {clean(file.name)}", total=max(1, size), phase="")
            try:
                document_id = walk.upload(file, partial(progress.advance, sending))
                progress.update(sending, completed=max(1, size), phase="uploaded")
                walk.parse(document_id)
            except Refused as error:
                progress.update(sending, phase="refused")
                failures.append((file.name, str(error)))
                continue
            parsing = progress.add_task(f"parse  {clean(file.name)}", total=1.0, phase="waiting")
            bars[document_id] = (parsing, file)
        failures += _watch(walk, bars, progress)
    return failures


def _watch(
    walk: "Walk", bars: "dict[str, tuple[TaskID, Path]]", progress: "Progress"
) -> list[tuple[str, str]]:
    """Follow the documents until each has ended; returns (file name, message) of those that failed."""
    from api.commands.trial.output import counted

    failures: list[tuple[str, str]] = []
    left = dict(bars)
    while left:
        states = walk.states()
        for document_id, (bar, file) in list(left.items()):
            state = states.get(document_id)
            if state is None or state.run in ("FAIL", "CANCEL"):
                failures.append((file.name, _last_message(state.message if state else "")))
                progress.update(bar, phase="failed")
                del left[document_id]
            elif state.run == "DONE":
                progress.update(bar, completed=1.0, phase=counted(state.chunk_count, "chunk"))
                del left[document_id]
            elif state.progress > 0:
                progress.update(bar, completed=state.progress, phase="parsing")
        if left:
            time.sleep(POLL_S)
    return failures


def _last_message(messages: str) -> str:
    """The last line of a document's progress messages, which says why it failed."""
    lines = [line for line in messages.splitlines() if line.strip()]
    return (LINE_START.sub("", lines[-1].strip()) if lines else "") or "parsing failed"


def _answer(walk: "Walk", question: str) -> None:
    """Print the answer as it comes, then its sources, on standard output.

    Raises CommandFailed if the model failed, which the API tells within the stream.
    """
    from rich.console import Console

    from api.commands.trial.output import Numbered, clean, show_sources
    from api.commands.trial.walk import Answer

    answer, numbered = Answer(), Numbered()
    failure = ""
    for piece in walk.ask(question, answer):
        if failure or piece.startswith(ERROR):
            failure += piece
        else:
            print(numbered.feed(piece), end="", flush=True)
    shown = numbered.rest()
    if not failure or answer.text != failure:
        print(shown, flush=True)
    if failure:
        raise CommandFailed(f"The model failed: {clean(failure.removeprefix(ERROR))}")
    show_sources(Console(), answer.chunks, answer.cited_text)
