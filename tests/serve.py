"""`python -m tests.serve SETTINGS` runs the server as the command line does, and prints its address.

With `--account EMAIL` it makes a user with a key instead, and prints both.
"""

import json
import sys
from pathlib import Path

from api.settings import load_settings


def make_account(data_dir: Path, email: str) -> dict[str, str]:
    """A user of its own tenant with an API key; also while the server runs."""
    from api.db import accounts
    from api.db.database import Database, connect
    from api.secrets import Vault, load_secret

    settings = load_settings(flags={"data_dir": str(data_dir)}, environment={})
    vault = Vault(load_secret(settings))
    connection = connect(data_dir / "ragd.sqlite")
    database = Database(connection, 1)
    try:
        user_id = database.transaction_now(accounts.insert_user, email, email.split("@")[0])
        _, key = database.transaction_now(accounts.insert_key, vault, user_id)
    finally:
        connection.close()
    return {"email": email, "key": key, "user_id": user_id}


def main() -> int:
    from api.server import serve

    flags = json.loads(sys.argv[1])
    settings = load_settings(flags=flags, environment={})
    if "--account" in sys.argv:
        print(json.dumps(make_account(settings.data_dir, sys.argv[3])))  # noqa: T201
        return 0
    return serve(settings, on_ready=lambda url: print(url, flush=True))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
