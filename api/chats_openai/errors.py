"""A model's failure as an HTTP error, so that OpenAI's clients raise their own exceptions."""

from api.errors import AppError, Code, Refused, TooManyRequests
from rag.answering.events import Failed, FailureCode


class ModelUnavailable(AppError):
    """The model behind the chat failed."""

    code = Code.SERVER
    status = 502
    is_status_sent = True


class ModelTimeout(ModelUnavailable):
    """The model behind the chat did not answer in time."""

    status = 504


_TOO_MANY = (FailureCode.RATE_LIMIT_EXCEEDED, FailureCode.QUOTA_EXCEEDED, FailureCode.MAX_RETRIES_EXCEEDED)
_REFUSED = (FailureCode.INVALID_REQUEST, FailureCode.CONTENT_FILTERED)


def failure_error(failed: Failed) -> AppError:
    """The refusal for a failure. A key that the provider does not take is our fault, not the caller's: 502."""
    text = f"{failed.code} - {failed.detail}"
    if failed.code in _TOO_MANY:
        return TooManyRequests(text, failed.retry_after_s or 1.0)
    if failed.code in _REFUSED:
        return Refused(text)
    error = ModelTimeout(text) if failed.code == FailureCode.TIMEOUT else ModelUnavailable(text)
    error.retry_after_s = failed.retry_after_s
    return error
