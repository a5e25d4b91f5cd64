"""The Pythons that this machine has, and what runs in an environment of its own."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "bin" / "uv"
VERSIONS = ("3.10", "3.11", "3.12", "3.13")


@cache
def find_python(version: str) -> str | None:
    """An interpreter that uv finds, or one of pyenv's, which uv sees only while it is activated."""
    if not UV.exists():
        return None
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for candidate in (version, *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        command = [UV, "python", "find", "--no-project", "--no-python-downloads", "--system", candidate]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return result.stdout.strip()
    return None


def newest() -> str | None:
    """The newest of the versions that this machine has."""
    return next((version for version in reversed(VERSIONS) if find_python(version)), None)


def run(*command: Any, cwd: Path, timeout: float = 600, **environment: str) -> str:
    """What the command prints; it must succeed. Nothing of the checkout is on its path."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    result = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        cwd=cwd,
        env={**inherited, **environment},
    )
    assert result.returncode == 0, f"{command}: {result.stderr[-3000:]}"
    return result.stdout
