"""The prompts, one file each, `<name>.<language>.md`; in Chinese where the language matters."""

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Literal

PromptLanguage = Literal["en", "zh"]

_PLACEHOLDER = re.compile(r"\{[a-z_]+\}")


class BadPrompt(Exception):
    """A prompt of the override folder cannot be used; the text says which and why."""


@cache
def load_prompt(name: str, language: PromptLanguage = "en") -> str:
    """The built-in prompt's text, its last line break dropped; English where there is no Chinese one.

    Raises FileNotFoundError.
    """
    folder = resources.files(__name__)
    path = folder / f"{name}.{language}.md"
    if not path.is_file():
        path = folder / f"{name}.en.md"
    return path.read_text("utf-8").rstrip("\n")


def prompt_files() -> list[str]:
    """Names of the built-in files: what an override folder may hold."""
    return sorted(entry.name for entry in resources.files(__name__).iterdir() if entry.name.endswith(".md"))


class Prompts:
    """The built-in prompts, with some of them replaced."""

    def __init__(self, overrides: Mapping[tuple[str, str], str] | None = None) -> None:
        self._overrides = dict(overrides or {})

    def load(self, name: str, language: PromptLanguage = "en") -> str:
        """The prompt's text. A replaced English prompt does not replace a built-in Chinese one."""
        return self._overrides.get((name, language)) or load_prompt(name, language)


def open_prompts(folder: Path | None) -> Prompts:
    """The built-in prompts and, in their place, the files of the same names in the folder.

    Raises BadPrompt for a file of another name, and for one that lacks a `{placeholder}` of the built-in one.
    """
    if folder is None:
        return Prompts()
    if not folder.is_dir():
        raise BadPrompt(f"{folder} is not a folder")
    known = prompt_files()
    overrides: dict[tuple[str, str], str] = {}
    for path in sorted(folder.glob("*.md")):
        if path.name not in known:
            raise BadPrompt(f"{path} replaces no prompt; the prompts are {', '.join(known)}")
        name, language, _ = path.name.split(".")
        try:
            text = path.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadPrompt(f"{path} cannot be read as UTF-8 text ({type(error).__name__})") from error
        built_in = load_prompt(name, "zh" if language == "zh" else "en")
        missing = sorted(set(_PLACEHOLDER.findall(built_in)) - set(_PLACEHOLDER.findall(text)))
        if missing:
            raise BadPrompt(f"{path} lacks {', '.join(missing)}")
        overrides[name, language] = text
    return Prompts(overrides)
