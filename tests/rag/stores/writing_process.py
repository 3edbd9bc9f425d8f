"""A process that writes into a store folder until it is killed, and says what was acknowledged.

python -m tests.rag.stores.writing_process FOLDER ROLE FIRST_NUMBER
"""

import asyncio
import sys
from pathlib import Path

from rag.stores.embedded import open_embedded_store
from tests.rag.stores.suite import chunk


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def write(folder: Path, role: str, number: int) -> None:
    async with open_embedded_store(folder, role=role) as store:  # type: ignore[arg-type]
        say("ready")
        while True:
            document = f"d{number}"
            if number % 3 == 0:
                await store.upsert([chunk(f"c{number}", f"n{number} alpha", document=document)])
            else:
                for part in range(3):
                    await store.stage(
                        f"run{number}", [chunk(f"c{number}-{part}", f"n{number}", document=document)]
                    )
                await store.publish(f"run{number}", "set", document)
            if number % 5 == 4:
                await store.delete_documents("set", [f"d{number - 1}"])
                say(f"gone {number - 1}")
            say(f"kept {number}")
            number += 1


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
