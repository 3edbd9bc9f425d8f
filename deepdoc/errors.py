"""Why a file could not be read; every text is written for the person who uploaded it.

ParseError
├── UnsupportedFile     no parser for this type
├── MalformedFile       truncated, corrupt, or its content contradicts its name
├── EncryptedFile       needs a password
├── NoTextInFile        nothing to index: empty, or pages that are only pictures
└── FileTooLarge        over a limit: size, unpacked size, nesting, pages
"""


class ParseError(Exception):
    """A file that cannot be parsed, now or later: trying again gives the same result."""


class UnsupportedFile(ParseError):
    """No parser reads this type of file."""


class MalformedFile(ParseError):
    """The file is damaged or is not what its name says."""


class EncryptedFile(ParseError):
    """The file needs a password."""


class NoTextInFile(ParseError):
    """The file holds no text that could be searched."""


class FileTooLarge(ParseError):
    """The file, or what it unpacks to, is over a limit."""
