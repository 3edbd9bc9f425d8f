"""Failures that a user can do something about, as one message and an exit code."""

import errno
import sqlite3

from api import exit_codes


class CommandFailed(Exception):
    """A command cannot do what it was asked; the text says why and what would help."""

    def __init__(self, message: str, exit_code: int = exit_codes.FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def explain(error: Exception) -> tuple[str, int] | None:
    """(message, exit code); None for what nobody foresaw."""
    from peewee import DatabaseError

    import deepdoc.errors
    import rag.errors
    from api.errors import AppError
    from api.settings import SettingsError

    match error:
        case CommandFailed():
            return str(error), error.exit_code
        case SettingsError():
            return str(error), exit_codes.SETTINGS
        case AppError():
            return error.message, exit_codes.FAILED
        case rag.errors.RagError() | deepdoc.errors.ParseError():
            return str(error), exit_codes.FAILED
        case DatabaseError() | sqlite3.DatabaseError():
            return f"The database in the data folder does not work: {error}", exit_codes.DATA_FOLDER
        case OSError() if error.errno in (
            errno.EACCES,
            errno.EPERM,
            errno.EROFS,
            errno.ENOTDIR,
            errno.EEXIST,
        ):
            return f"Cannot write {error.filename}: {error.strerror}", exit_codes.DATA_FOLDER
        case OSError() if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "The disk is full.", exit_codes.FAILED
        case _:
            return None
