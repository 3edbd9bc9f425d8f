"""An executor in a process of its own, for tests that kill it: `python -m ... <data folder> owner|writer`.

Prints a line once it works.
"""

import asyncio
import sys
from pathlib import Path

from tests.api.executor.office import open_office


async def main(data_dir: Path, role: str) -> None:
    async with open_office(data_dir, role=role, lease_s=30) as office, office.working():
        sys.stdout.write("working\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
