"""File names and folders as clients send them, made harmless."""

import re
import unicodedata

from api.errors import BadArgument

MAX_NAME_BYTES = 255

_NOT_IN_FOLDERS = re.compile(r"[^A-Za-z0-9_\-/]")


def clean_name(name: str) -> str:
    """The last component of the name, without control characters; "" if nothing is left."""
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(c for c in base if unicodedata.category(c) not in ("Cc", "Cs")).strip()
    return "" if kept in (".", "..") else kept


def check_name(name: str) -> str:
    """A name that can be stored. Raises BadArgument."""
    if not name:
        raise BadArgument("No file selected!")
    if len(name.encode()) > MAX_NAME_BYTES:
        raise BadArgument("File name must be 255 bytes or less.")
    return name


def clean_folder(folder: str) -> str:
    """`a\\..\\b c/` -> `a/bc`."""
    parts = [part for part in folder.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(filter(None, (_NOT_IN_FOLDERS.sub("", part) for part in parts)))
