"""Why a remote model failed, finer than `rag.errors`, which callers may catch instead.

ModelRefused               trying again does not help
├── KeyRefused             no key, a wrong one, or one without the right
├── QuotaExhausted         the account has nothing left
├── RequestRefused         the provider does not take this request (length, parameters)
├── AddressRefused         the address is of this server's own network
└── ContentFiltered        the provider's filter stopped it
ModelBusy                  trying again may help
├── RateLimited
├── ServerFailed           5xx
├── ModelTimedOut
└── ModelUnreachable       no connection, or it broke
"""

from rag.errors import ModelBusy, ModelRefused


class KeyRefused(ModelRefused):
    """No key, a wrong one, or one without the right to use the model."""


class QuotaExhausted(ModelRefused):
    """The provider's account has nothing left."""


class RequestRefused(ModelRefused):
    """The provider does not take this request."""


class AddressRefused(ModelRefused):
    """The address is of this server's own network, or none at all."""


class ContentFiltered(ModelRefused):
    """The provider's content filter stopped request or reply."""


class RateLimited(ModelBusy):
    """Too many requests or tokens."""


class ServerFailed(ModelBusy):
    """The provider answered with a server error."""


class ModelTimedOut(ModelBusy):
    """No reply within the time-out."""


class ModelUnreachable(ModelBusy):
    """The provider could not be reached, or the connection broke."""
