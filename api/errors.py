"""The tree of refusals, and the one table that maps rag's and deepdoc's errors to them.

AppError                      refused on purpose; `code` is for programs, the text for people
├── BadArgument      101/400  wrong type, range, form
├── NotFound         102/404  unknown, foreign or deleted
├── Conflict         102/409  against the state of things: taken name, running parse
├── Refused          102/400  a business rule
├── NoPermission     108/403  known caller, no right (dataset update, delete, list)
├── NotAuthenticated 109/401  no or bad credentials
├── RouteNotFound    404/404
├── WrongMethod      100/405
├── BodyTooLarge     101/413
├── BodyTimeout      101/408
├── TooManyRequests  429/429  Retry-After
├── Unexpected       100/500  a bug; the text is stable, the log has the traceback and the request id
├── ServerBusy       503/503  Retry-After
└── DiskFull         507/507

On the RAGFlow family the statuses of the first five are sent as 200 unless `http.status_codes` is
`semantic`; the others are always sent as they are (contract, decision 2).
"""

from enum import IntEnum
from typing import ClassVar

import deepdoc.errors
import rag.errors


class Code(IntEnum):
    """The `code` of an envelope."""

    SUCCESS = 0
    EXCEPTION = 100
    ARGUMENT = 101
    DATA = 102
    OPERATING = 103
    PERMISSION = 108
    AUTHENTICATION = 109
    NOT_FOUND = 404
    TOO_MANY = 429
    SERVER = 500
    BUSY = 503
    FULL = 507


class AppError(Exception):
    """A request we refuse on purpose: `code` is for programs, the text for people.

    status: the true HTTP status. is_status_sent: whether it is sent even where business errors are 200.
    """

    code: ClassVar[int] = Code.DATA
    status: ClassVar[int] = 400
    is_status_sent: ClassVar[bool] = False
    retry_after_s: float | None = None

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reply_code = int(self.code if code is None else code)


class BadArgument(AppError):
    """A value of the wrong type, range or form."""

    code = Code.ARGUMENT
    status = 400


class NotFound(AppError):
    """Unknown, foreign or deleted a moment ago: the three are not told apart."""

    status = 404


class Conflict(AppError):
    """Against the present state of things."""

    status = 409


class Refused(AppError):
    """A business rule."""

    status = 400


class NoPermission(AppError):
    """A known caller without the right."""

    code = Code.PERMISSION
    status = 403


class NotAuthenticated(AppError):
    """No or bad credentials."""

    code = Code.AUTHENTICATION
    status = 401
    is_status_sent = True


class RouteNotFound(AppError):
    """No such route."""

    code = Code.NOT_FOUND
    status = 404
    is_status_sent = True


class WrongMethod(AppError):
    """The route has other methods."""

    code = Code.EXCEPTION
    status = 405
    is_status_sent = True


class BodyTooLarge(AppError):
    """A request body over the limit."""

    code = Code.ARGUMENT
    status = 413
    is_status_sent = True


class BodyTimeout(AppError):
    """A request body that does not arrive."""

    code = Code.ARGUMENT
    status = 408
    is_status_sent = True


class TooManyRequests(AppError):
    """A key over its rate."""

    code = Code.TOO_MANY
    status = 429
    is_status_sent = True

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unexpected(AppError):
    """A bug, or a failure that nobody foresaw."""

    code = Code.EXCEPTION
    status = 500
    is_status_sent = True


class ServerBusy(AppError):
    """A bounded queue is full, or a backend is down."""

    code = Code.BUSY
    status = 503
    is_status_sent = True
    retry_after_s = 1.0


class DiskFull(AppError):
    """No space left; nothing that was acknowledged is lost."""

    code = Code.FULL
    status = 507
    is_status_sent = True

    def __init__(
        self, message: str = "The server's disk is full. Nothing was stored; please try again later."
    ) -> None:
        super().__init__(message)


def from_rag(error: rag.errors.RagError | deepdoc.errors.ParseError) -> AppError:
    """The reply for an error of the lower rooms, whose texts are written for clients."""
    text = str(error)
    match error:
        case rag.errors.Overloaded():
            busy = ServerBusy(text)
            busy.retry_after_s = error.retry_after_s
            return busy
        case rag.errors.ModelBusy():
            busy = ServerBusy(text)
            busy.retry_after_s = error.retry_after_s or 1.0
            return busy
        case rag.errors.StoreFull():
            return DiskFull()
        case rag.errors.StoreUnavailable():
            return ServerBusy(text)
        case rag.errors.BadFilter():
            return BadArgument(text)
        case _:
            return Refused(text)
