"""How a process of ours starts another one: never with the working directory first on Python's path."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def aoi_command() -> list[str]:
    """The command line that runs ``aoi`` in this Python, wherever it is started.

    ``python -m`` would import a user's own folder of a module's name from the working directory: the console script
    does not, nor does ``python -P``, which Python 3.10 lacks.
    """
    script = Path(sysconfig.get_path("scripts")) / "aoi"
    if script.is_file():
        return [sys.executable, str(script)]
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-m", "aoi.cli"]
