"""Lava into the running Python, whatever its version: what ``aoi install-lava`` does.

Lava's last wheels (August 2024) are pure Python and run on any Python from 3.10 with :mod:`aoi.compat`, but their
metadata asks for 3.10 alone and for libraries of that time: torch 2.3, numpy 1, OpenCV, unittest2. So they come without
their dependencies, and what they really need comes from the list ``lava`` of ``aoi-toolchain``'s own metadata.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aoi.errors import AoiError, MissingDependency

LAVA = ("lava-nc==0.10.0", "lava-dl==0.6.0")

Run = Callable[..., "subprocess.CompletedProcess[str]"]

# In a process of its own: this one may hold modules of before. Prints what it found as one JSON object.
_CHECK = """
import json
from importlib.metadata import version
from aoi.errors import AoiError
import aoi_deploy.lava.api
found = {"lava_nc": version("lava-nc"), "lava_dl": version("lava-dl"), "slayer_lacks": ""}
try:
    from aoi.compat import enable_slayer
    enable_slayer()
except AoiError as error:
    found["slayer_lacks"] = str(error)
print(json.dumps(found))
"""


class InstallError(AoiError):
    """Lava could not be installed, or does not work: exit code 1."""

    exit_code = 1


@dataclass(frozen=True)
class InstalledLava:
    """What is installed now, found by importing it in a process of its own."""

    lava_nc: str
    lava_dl: str
    """Versions."""
    python: str
    """The interpreter into which it was installed."""
    slayer_lacks: str
    """Why SLAYER cannot be imported, empty where it can. Without torch nothing can be trained; all else works."""


def install_commands() -> tuple[tuple[str, ...], ...]:
    """The command lines that install Lava, in their order. Raises MissingDependency without pip and uv."""
    needs = _needs()
    if find_spec("pip") is not None:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        return (*pip, *needs), (*pip, "--no-deps", "--ignore-requires-python", *LAVA)
    uv = _find_uv()
    if uv is not None:  # passes over the upper limit on Python by itself
        install = (uv, "pip", "install", "--quiet", "--python", sys.executable)
        return (*install, *needs), (*install, "--no-deps", *LAVA)
    raise MissingDependency(
        f"Lava needs pip or uv to be installed, and {sys.executable} has neither; install one of them "
        f"('{shlex.join((sys.executable, '-m', 'ensurepip'))}' adds pip), then run 'aoi install-lava' again"
    )


def install_lava(*, run: Run = subprocess.run, progress: Callable[[str], None] | None = None) -> InstalledLava:
    """Installs lava-nc and lava-dl into the running Python, then imports them in a new process.

    Where all is there already, nothing changes. ``progress`` gets a line before each step. Raises MissingDependency
    without pip and uv, InstallError where a step fails.
    """
    report = progress or (lambda line: None)
    for command in install_commands():
        report(shlex.join(command))
        _run(run, command, f"'{shlex.join(command)}' failed")
    report("importing Lava")
    found = json.loads(_run(run, (sys.executable, "-c", _CHECK), "Lava is installed but cannot be imported"))
    return InstalledLava(python=sys.executable, **found)


def _needs() -> list[str]:
    """What Lava needs besides the core, as this distribution's metadata lists it."""
    listed = [line.partition(";") for line in requires("aoi-toolchain") or ()]
    return [name.strip() for name, _, marker in listed if marker.replace("'", '"').strip() == 'extra == "lava"']


def _find_uv() -> str | None:
    """uv on PATH, beside the interpreter, or in ``.tools`` beside the environment, where 'make setup' puts it."""
    beside = (Path(sys.executable).with_name("uv"), Path(sys.prefix).parent / ".tools" / "bin" / "uv")
    return shutil.which("uv") or next((str(path) for path in beside if path.is_file()), None)


def _run(run: Run, command: tuple[str, ...], what: str) -> str:
    # Not in the working directory: a file or folder there that is called like a module would be taken for it.
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "cwd": sys.prefix}
    result = run(command, **options)
    if result.returncode:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")] or said[-3:]
        raise InstallError(f"{what}: {' '.join(errors)[:400] or f'exit code {result.returncode}'}")
    return result.stdout
