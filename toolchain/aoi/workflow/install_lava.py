"""Installs Lava into the running Python, whatever its version: ``aoi install-lava``.

Lava's last wheels (August 2024) are pure Python and, with :mod:`aoi.compat`, run on any Python from 3.10. But their
metadata requires Python 3.10 and old libraries: torch 2.3, numpy 1, OpenCV, unittest2. Therefore they are installed
without dependencies; the packages that they really need are listed as the extra ``lava`` of ``aoi-toolchain``.
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

# Runs in another process, because this one may hold modules of an earlier installation. Prints one JSON object.
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
    """The installed Lava, found by importing it in another process."""

    lava_nc: str
    lava_dl: str
    """Versions."""
    python: str
    """The interpreter into which it was installed."""
    slayer_lacks: str
    """Why SLAYER cannot be imported, empty if it can. Without torch, training does not work; everything else does."""


def install_commands() -> tuple[tuple[str, ...], ...]:
    """The command lines that install Lava, in order. Raises MissingDependency if there is neither pip nor uv."""
    needs = _needs()
    if find_spec("pip") is not None:
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        return (*pip, *needs), (*pip, "--no-deps", "--ignore-requires-python", *LAVA)
    uv = _find_uv()
    if uv is not None:  # ignores the upper limit of Python by itself
        install = (uv, "pip", "install", "--quiet", "--python", sys.executable)
        return (*install, *needs), (*install, "--no-deps", *LAVA)
    raise MissingDependency(
        f"installing Lava takes pip or uv, and {sys.executable} has neither; install one of them "
        f"('{shlex.join((sys.executable, '-m', 'ensurepip'))}' adds pip), then run 'aoi install-lava' again"
    )


def install_lava(*, run: Run = subprocess.run, progress: Callable[[str], None] | None = None) -> InstalledLava:
    """Installs lava-nc and lava-dl into the running Python, then imports them in a new process to check them.

    If everything is installed already, nothing changes. ``progress`` gets a line before each step. Raises
    MissingDependency if there is neither pip nor uv, and InstallError if a step fails.
    """
    report = progress or (lambda line: None)
    for command in install_commands():
        report(shlex.join(command))
        _run(run, command, f"'{shlex.join(command)}' failed")
    report("importing Lava")
    found = json.loads(_run(run, (sys.executable, "-c", _CHECK), "Lava is installed but cannot be imported"))
    return InstalledLava(python=sys.executable, **found)


def _needs() -> list[str]:
    """The requirements of Lava beyond the core, from the extra ``lava`` of this distribution's metadata."""
    listed = [line.partition(";") for line in requires("aoi-toolchain") or ()]
    return [name.strip() for name, _, marker in listed if marker.replace("'", '"').strip() == 'extra == "lava"']


def _find_uv() -> str | None:
    """Path of uv: on PATH, beside the interpreter, or in ``.tools`` beside the environment, from 'make setup'."""
    beside = (Path(sys.executable).with_name("uv"), Path(sys.prefix).parent / ".tools" / "bin" / "uv")
    return shutil.which("uv") or next((str(path) for path in beside if path.is_file()), None)


def _run(run: Run, command: tuple[str, ...], what: str) -> str:
    # Not in the working directory, whose files and folders Python would import if they are named like a module.
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "cwd": sys.prefix}
    result = run(command, **options)
    if result.returncode:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")] or said[-3:]
        raise InstallError(f"{what}: {' '.join(errors)[:400] or f'exit code {result.returncode}'}")
    return result.stdout
