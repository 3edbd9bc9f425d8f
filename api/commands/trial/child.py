"""The throw-away server's own process: serves until its standard input closes, then deletes its folder.

Standard input is a pipe whose other end only `ragd try` holds: however that ends, this ends as well.
First line in: JSON with `folder`, `config` and `flags`. First line out: JSON with `address` and `key`.
"""

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path


def main() -> int:
    """Serve; returns the exit code."""
    from api.commands.accounts import ensure_first_user, open_accounts
    from api.db.accounts import insert_key
    from api.server import serve
    from api.settings import load_settings

    order = json.loads(sys.stdin.readline())
    folder = Path(order["folder"])
    # Until the server takes over: the folder is deleted also when this ends while it is still starting.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    try:
        settings = load_settings(
            Path(order["config"]) if order["config"] else None,
            flags=order["flags"] | {"data_dir": folder / "data"},
        )
        with open_accounts(settings) as opened:
            key = opened.transaction(lambda: insert_key(opened.vault, ensure_first_user()[0])[1])

        def on_ready(address: str) -> None:
            print(json.dumps({"address": address, "key": key}), flush=True)

        return serve(settings, on_ready=on_ready)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _stop_at_end_of_input() -> None:
    # Not sys.stdin: closing the interpreter would wait for the lock that a blocked read holds.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
