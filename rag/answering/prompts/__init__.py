"""The prompts, one file each, `<name>.<language>.md`; in Chinese where the language matters."""

from functools import cache
from importlib import resources
from typing import Literal

PromptLanguage = Literal["en", "zh"]


@cache
def load_prompt(name: str, language: PromptLanguage = "en") -> str:
    """The prompt's text, its last line break dropped. Raises FileNotFoundError."""
    path = resources.files(__name__) / f"{name}.{language}.md"
    return path.read_text("utf-8").rstrip("\n")
