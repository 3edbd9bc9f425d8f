"""From a model's error to the code that clients match."""

from rag.answering.events import Failed, FailureCode
from rag.errors import ModelBroken, ModelBusy, ModelError, ModelNotFound, ModelRefused
from rag.models.errors import (
    ContentFiltered,
    KeyRefused,
    ModelTimedOut,
    ModelUnreachable,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
)

# Finer classes before those they derive from.
_CODES: tuple[tuple[type[ModelError], FailureCode], ...] = (
    (RateLimited, FailureCode.RATE_LIMIT_EXCEEDED),
    (ServerFailed, FailureCode.SERVER_ERROR),
    (ModelTimedOut, FailureCode.TIMEOUT),
    (ModelUnreachable, FailureCode.CONNECTION_ERROR),
    (KeyRefused, FailureCode.AUTH_ERROR),
    (QuotaExhausted, FailureCode.QUOTA_EXCEEDED),
    (ContentFiltered, FailureCode.CONTENT_FILTERED),
    (ModelRefused, FailureCode.INVALID_REQUEST),
    (ModelBusy, FailureCode.RATE_LIMIT_EXCEEDED),
    (ModelBroken, FailureCode.MODEL_ERROR),
    (ModelNotFound, FailureCode.MODEL_ERROR),
)


def failure_of(error: ModelError) -> Failed:
    """The event of a model that failed in mid-answer."""
    code = next((code for kind, code in _CODES if isinstance(error, kind)), FailureCode.GENERIC_ERROR)
    return Failed(code, str(error), error.retry_after_s if isinstance(error, ModelBusy) else None)
