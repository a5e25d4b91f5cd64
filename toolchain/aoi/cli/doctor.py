"""aoi doctor"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import Literal

import typer

from aoi.cli.console import JsonFlag, print_json, print_table

OLDEST, NEWEST = (3, 10), (3, 13)


@dataclass(frozen=True)
class Finding:
    """What there is of one thing, and what it lacks."""

    name: str
    state: Literal["ok", "missing", "broken"]
    found: str
    lacks: str = ""
    needed: bool = False
    """Nothing works without it."""


def command(json: JsonFlag = False) -> None:
    """What this machine has for training and deployment, and what each part lacks. Exit code 1 where a part that
    everything needs is broken.

    Example: aoi doctor
    """
    findings = examine()
    broken = [each.name for each in findings if each.needed and each.state != "ok"]
    if json:
        print_json({"ok": not broken, "findings": [asdict(each) for each in findings]})
    else:
        print_table(
            "what is here",
            ["", "", "found", "lacks"],
            [[each.name, each.state, each.found, each.lacks] for each in findings],
        )
    if broken:
        raise typer.Exit(1)


def examine() -> list[Finding]:
    """All findings, in the order in which a user needs the parts."""
    first = [_python(), _cache(), _lava(), _slayer(), _gpu()]
    extension, cluster = _extension(), _slurm()
    return [*first, extension, cluster, *_boards(extension, cluster), _compiler()]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return Finding("Python", "ok", version, needed=True)
    supported = f"{'.'.join(map(str, OLDEST))} to {'.'.join(map(str, NEWEST))}"
    return Finding("Python", "broken", version, f"supported are {supported}", needed=True)


def _cache() -> Finding:
    from tempfile import TemporaryFile

    from aoi.events.spikes import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return Finding("cache", "ok", str(folder), needed=True)
    except OSError:
        pass
    return Finding(
        "cache", "broken", str(folder), "cannot be written; set AOI_CACHE_DIR to another folder", needed=True
    )


def _lava() -> Finding:
    from importlib.metadata import version

    from aoi.compat import enable_netx

    try:
        enable_netx()
        from lava.lib.dl.netx.hdf5 import Network

        assert Network is not None
        found = f"lava-nc {version('lava-nc')}, lava-dl {version('lava-dl')}"
    except Exception as error:  # whatever an installation of anybody's raises
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return Finding("Lava", "broken", "", f"{reason}; set the environment up anew with 'make setup'", needed=True)
    return Finding("Lava", "ok", found, needed=True)


def _slayer() -> Finding:
    from importlib.metadata import version
    from importlib.util import find_spec

    try:
        if find_spec("lava.lib.dl.slayer") is not None:
            return Finding("SLAYER", "ok", f"in lava-dl, on torch {version('torch')}")
    except Exception as error:
        return Finding("SLAYER", "broken", "", f"{type(error).__name__}: {error}; nothing can be trained")
    return Finding("SLAYER", "missing", "", "nothing can be trained; set the environment up anew with 'make setup'")


def _gpu() -> Finding:
    try:
        import torch

        if torch.cuda.is_available():
            return Finding("GPU", "ok", torch.cuda.get_device_name())
        built = torch.version.cuda
    except Exception as error:
        return Finding("GPU", "broken", "", f"torch: {type(error).__name__}: {error}")
    why = f"torch sees no CUDA device (built for CUDA {built})" if built else "torch is built without CUDA"
    return Finding("GPU", "missing", "", f"{why}; training runs on the CPU")


def _extension() -> Finding:
    from importlib.util import find_spec

    name = "Loihi extension"
    module = "lava.utils.loihi2_profiler"  # by which Lava itself tells
    if find_spec(module) is None:
        return Finding(
            name, "missing", "", f"{module}, of Intel's lava-loihi (INRC members); no board can be used without it"
        )
    if find_spec("lava.proc.embedded_io") is None:
        return Finding(name, "broken", module, "lava.proc.embedded_io: no spikes reach a chip without its adapters")
    return Finding(name, "ok", module)


def _slurm() -> Finding:
    from aoi_deploy.cluster import slurm

    reason = slurm.missing()
    if reason:
        return Finding("Slurm", "missing", "", reason)
    found = ", ".join(f"{name} (at most {limit})" for name, limit in slurm.partitions().items())
    return Finding("Slurm", "ok", f"partitions {found or 'none'}")


def _boards(extension: Finding, cluster: Finding) -> list[Finding]:
    from aoi.boards.board import board_names, load_board
    from aoi_deploy.cluster import slurm

    here = slurm.partitions() if cluster.state == "ok" else {}
    findings = []
    for name in board_names():
        board = load_board(name)
        lacks = [] if extension.state == "ok" else ["the Loihi extension"]
        if board.chip.format == "loihi1":
            lacks.append("a compiler: Lava has one for Loihi 2 alone")
        if board.partition not in here:
            lacks.append(f"Slurm's partition {board.partition}, or its address for --target loihi --host")
        found = f"Slurm's partition {board.partition}" if board.partition in here else ""
        findings.append(Finding(f"board {name}", "missing" if lacks else "ok", found, "; ".join(lacks)))
    return findings


def _compiler() -> Finding:
    from shutil import which

    found = which("gcc") or which("cc")
    if found:
        return Finding("C compiler", "ok", found)
    return Finding("C compiler", "missing", "", "gcc; to compile what 'aoi export-monitor' writes")
