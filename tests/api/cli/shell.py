"""Runs `ragd` as a shell would: a process of its own, with nothing of this environment's settings."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def ragd_environment(**extra: str) -> dict[str, str]:
    """The environment without RAGD_ variables, and with the checkout first on the path."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAGD_")}
    return kept | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"} | extra


def ragd(
    *arguments: str | Path, cwd: Path, stdin: str = "", timeout_s: float = 60, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run to the end; output and errors as text."""
    return subprocess.run(
        [sys.executable, "-m", "api", *map(str, arguments)],
        cwd=cwd,
        env=ragd_environment(**environment),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
