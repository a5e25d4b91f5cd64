"""What this machine has for training and deployment, and what each part lacks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

OLDEST, NEWEST_TESTED = (3, 10), (3, 13)


@dataclass(frozen=True)
class Check:
    """One part of the installation: what there is of it, and what it lacks."""

    name: str
    state: Literal["ok", "missing", "broken"]
    found: str
    lacks: str = ""
    needed: bool = False
    """Nothing works without it."""


def examine() -> list[Check]:
    """All checks, in the order in which a user needs the parts."""
    first = [_python(), _cache(), _lava(), _slayer(), _gpu()]
    extension, cluster = _extension(), _slurm()
    return [*first, extension, cluster, *_boards(extension, cluster), _compiler()]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    tested = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST_TESTED))}"
    if sys.version_info[:2] < OLDEST:
        return Check("Python", "broken", version, f"needs {'.'.join(map(str, OLDEST))} or newer", needed=True)
    lacks = f"tested are {tested}" if sys.version_info[:2] > NEWEST_TESTED else ""
    return Check("Python", "ok", version, lacks, needed=True)


def _cache() -> Check:
    from tempfile import TemporaryFile

    from aoi.events.spikes import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return Check("cache", "ok", str(folder), needed=True)
    except OSError:
        pass
    return Check("cache", "broken", str(folder), "cannot be written; set AOI_CACHE_DIR to another folder", needed=True)


def _lava() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    from aoi.compat import enable_netx

    try:
        found = f"lava-nc {version('lava-nc')}, lava-dl {version('lava-dl')}"
    except PackageNotFoundError as error:
        return Check("Lava", "missing", "", f"{error.name}; 'aoi install-lava' installs it")
    try:
        enable_netx()
        from lava.lib.dl.netx.hdf5 import Network

        assert Network is not None
    except Exception as error:  # whatever an installation raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Check("Lava", "broken", found, f"{reason}; 'aoi install-lava' installs what it needs", needed=True)
    return Check("Lava", "ok", found, needed=True)


def _slayer() -> Check:
    from importlib.metadata import version

    lacks = "nothing can be trained; pip install 'aoi-toolchain[train]', then aoi install-lava"
    try:
        if _is_here("torch") and _is_here("lava.lib.dl.slayer"):
            return Check("SLAYER", "ok", f"in lava-dl, on torch {version('torch')}")
    except Exception as error:  # whatever an installation raises
        return Check("SLAYER", "broken", "", f"{type(error).__name__}: {error}; {lacks}")
    return Check("SLAYER", "missing", "", lacks)


def _gpu() -> Check:
    try:
        import torch

        if torch.cuda.is_available():
            return Check("GPU", "ok", torch.cuda.get_device_name())
        built = torch.version.cuda
    except ModuleNotFoundError:
        return Check("GPU", "missing", "", "torch, which only training needs, is not installed")
    except Exception as error:  # whatever an installation raises
        return Check("GPU", "broken", "", f"torch: {type(error).__name__}: {error}")
    why = f"torch sees no CUDA device (built for CUDA {built})" if built else "torch is built without CUDA"
    return Check("GPU", "missing", "", f"{why}; training runs on the CPU")


def _extension() -> Check:
    name = "Loihi extension"
    module = "lava.utils.loihi2_profiler"  # by which Lava itself tells
    if not _is_here(module):
        return Check(
            name, "missing", "", f"{module}, of Intel's lava-loihi (INRC members); no board can be used without it"
        )
    if not _is_here("lava.proc.embedded_io"):
        return Check(name, "broken", module, "lava.proc.embedded_io: no spikes reach a chip without its adapters")
    return Check(name, "ok", module)


def _is_here(module: str) -> bool:
    """Is the module installed? Its parent packages are imported, it is not."""
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False


def _slurm() -> Check:
    from aoi_deploy.cluster import slurm

    reason = slurm.unavailable()
    if reason is None and not _is_here("submitit"):
        reason = "submitit; pip install 'aoi-toolchain[cluster]'"
    if reason:
        return Check("Slurm", "missing", "", reason)
    found = ", ".join(f"{name} (at most {limit})" for name, limit in slurm.partitions().items())
    return Check("Slurm", "ok", f"partitions {found or 'none'}")


def _boards(extension: Check, cluster: Check) -> list[Check]:
    from aoi.boards.board import board_names, load_board
    from aoi_deploy.cluster import slurm

    here = slurm.partitions() if cluster.state == "ok" else {}
    checks = []
    for name in board_names():
        board = load_board(name)
        lacks = [] if extension.state == "ok" else ["the Loihi extension"]
        if board.chip.format == "loihi1":
            lacks.append("a compiler: Lava has one for Loihi 2 alone")
        if board.partition not in here:
            lacks.append(f"Slurm's partition {board.partition}, or the address of its host for target loihi")
        found = f"Slurm's partition {board.partition}" if board.partition in here else ""
        checks.append(Check(f"board {name}", "missing" if lacks else "ok", found, "; ".join(lacks)))
    return checks


def _compiler() -> Check:
    from shutil import which

    found = which("gcc") or which("cc")
    if found:
        return Check("C compiler", "ok", found)
    return Check("C compiler", "missing", "", "gcc; to compile what 'aoi export-monitor' writes")
