"""What can go wrong in rag; `api.errors` maps each to a reply, once.

RagError
├── UnknownChunkMethod    the method is not there, or does not take this type of file
├── ModelError            a model failed
│   ├── ModelNotFound     no such model is configured
│   ├── ModelRefused      bad key, bad request, content filter: trying again does not help
│   ├── ModelBusy         rate limit, overload, time-out: `retry_after_s` says when to try again
│   └── ModelBroken       a reply that cannot be used (wrong shape, wrong vector length)
├── StoreError
│   ├── StoreUnavailable  the chunk store cannot be reached or is being closed
│   └── StoreFull         no space left where the chunk store writes
├── MixedEmbeddings       datasets with different embedding models in one question
├── BadFilter             a metadata condition that cannot be evaluated
├── MissingVariable       the system prompt needs a value that the request does not give
└── Overloaded            a bounded queue is full: `retry_after_s` says when to try again
"""


class RagError(Exception):
    """Anything that rag refuses or fails at; the text is fit for a client."""


class UnknownChunkMethod(RagError):
    """The chunk method is not there, or does not take this type of file."""


class ModelError(RagError):
    """A model could not do what it was asked."""


class ModelNotFound(ModelError):
    """No such model is configured."""


class ModelRefused(ModelError):
    """The provider refuses: bad key, bad request, content filter, quota."""


class ModelBusy(ModelError):
    """Rate limit, overload or time-out; worth another try."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ModelBroken(ModelError):
    """The provider's reply cannot be used."""


class StoreError(RagError):
    """The chunk store failed."""


class StoreUnavailable(StoreError):
    """The chunk store cannot be reached."""


class StoreFull(StoreError):
    """The disk below the chunk store is full."""


class MixedEmbeddings(RagError):
    """Datasets that were embedded by different models cannot be asked together."""


class BadFilter(RagError):
    """A metadata condition is not well formed."""


class MissingVariable(RagError):
    """The system prompt needs a value that the request does not give."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Miss parameter: {key}")
        self.key = key


class Overloaded(RagError):
    """A bounded queue is full."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
