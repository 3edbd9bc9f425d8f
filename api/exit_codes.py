"""What `ragd` returns to the shell; documented in docs/cli.md."""

OK = 0
FAILED = 1
USAGE = 2
SETTINGS = 3
ADDRESS = 4
DATA_FOLDER = 5
INTERRUPTED = 130

MEANINGS = {
    OK: "done",
    FAILED: "failed; the message says why",
    USAGE: "the command line was not understood",
    SETTINGS: "a setting is unknown or has an impossible value",
    ADDRESS: "the address or port cannot be listened on",
    DATA_FOLDER: "the data folder cannot be written, or another server uses it",
    INTERRUPTED: "interrupted (Ctrl-C)",
}
