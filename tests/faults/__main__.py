"""A campaign of faults at random moments of every long command: ``make faults``.

    python -m tests.faults [--rounds 40] [--seed N] [--only signal,disk] [--folder DIR]

Each round starts a command, disturbs it (a signal, a full disk, few descriptors, a second instance), and checks what is
promised: an exit code of 0, 1, 2 or 130 (or the signal's), no traceback, no process and no shared memory left, no
half-written file, and that the same command succeeds afterwards. Exits with 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from aoi.command import aoi_command

AOI = list(aoi_command())
MARK = "AOI_FAULTS_ROUND"


@dataclass(frozen=True)
class Command:
    """A long command, and what has to be true of its folder at any time."""

    name: str
    arguments: Callable[[Path], list[str]]
    intact: Callable[[Path], str | None]
    """What is wrong with the folder; None: nothing."""
    again: Callable[[Path], list[str]] | None = None
    """How to go on; None: the same command."""


def _train(folder: Path) -> list[str]:
    return ["train", "configs/digits.yaml", "--run", str(folder / "run"), "--set", "training.epochs=3", "--continue"]


def _network_opens(folder: Path) -> str | None:
    """A network file is the old one or the new one."""
    import aoi

    for path in folder.rglob("*.net"):
        if path.name.startswith("."):
            continue
        try:
            aoi.load(path)
        except aoi.AoiError as error:
            return str(error)
    return None


def _results_are_whole(folder: Path) -> str | None:
    import json

    for path in folder.rglob("*.json*"):
        if path.name.startswith("."):
            continue
        for line in path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]:
            try:
                json.loads(line)
            except ValueError:
                return f"{path}: is not whole"
    return None


def _copy(folder: Path) -> Path:
    import aoi

    path = folder / "copy.net"
    if not path.exists():
        shutil.copyfile(aoi.load("zoo:digits").path, path)
    return path


COMMANDS = (
    Command("train", _train, _network_opens),
    Command("calibrate", lambda folder: ["calibrate", str(_copy(folder)), "--data", "digits"], _network_opens),
    Command(
        "deploy",
        lambda folder: ["deploy", "zoo:digits", "--data", "digits", "--samples", "150", "--out", str(folder / "out")],
        _results_are_whole,
    ),
    Command(
        "deploy stock",
        lambda folder: [
            *("deploy", "zoo:digits", "--data", "digits", "--samples", "25", "--model", "stock"),
            *("--out", str(folder / "out")),
        ],
        _results_are_whole,
    ),
    Command(
        "run",
        lambda folder: ["run", "zoo:digits", "--source", "digits", "--json", "--speed", "20", "--windows", "60"],
        lambda folder: None,
    ),
    Command(
        "import",
        lambda folder: ["import", str(_nir(folder)), "--out", str(folder / "imported.net"), "--data", "digits"],
        _network_opens,
    ),
    Command(
        "evaluate", lambda folder: ["evaluate", "zoo:digits", "--data", "digits", "--rules", "all"], lambda folder: None
    ),
)


def _nir(folder: Path) -> Path:
    import aoi

    path = folder / "digits.nir"
    return path if path.exists() else aoi.export_nir("zoo:digits", path)


@dataclass
class Ended:
    """How a disturbed command ended."""

    code: int
    said: str
    printed: str


def _start(command: list[str], environment: dict[str, str], shell: str = "") -> subprocess.Popen[str]:
    line = [*AOI, *command]
    if shell:
        line = ["bash", "-c", f'{shell}; exec "$@"', "bash", *line]
    return subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _end(process: subprocess.Popen[str], timeout: float = 240.0) -> Ended:
    try:
        printed, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        printed, said = process.communicate()
        return Ended(-999, said + "\nHANGS", printed)
    return Ended(process.returncode, said, printed)


def by_signal(
    command: Command, folder: Path, random: np.random.Generator, environment: dict[str, str]
) -> tuple[Ended, str]:
    """SIGINT, SIGTERM or SIGKILL after a random time."""
    number = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL][int(random.integers(3))]
    process = _start(command.arguments(folder), environment)
    time.sleep(float(random.exponential(2.5)))
    if process.poll() is None:
        process.send_signal(number)
    return _end(process), number.name


def by_descriptors(
    command: Command, folder: Path, random: np.random.Generator, environment: dict[str, str]
) -> tuple[Ended, str]:
    most = int(random.integers(12, 80))
    return _end(_start(command.arguments(folder), environment, f"ulimit -n {most}")), f"ulimit -n {most}"


def by_disk(
    command: Command, folder: Path, random: np.random.Generator, environment: dict[str, str]
) -> tuple[Ended, str]:
    """The folder is a file system of a few hundred KB."""
    size = int(random.choice([16, 64, 256, 700]))
    disk = folder / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", str(disk)], capture_output=True
    ).returncode:
        return Ended(0, "", ""), "no right to mount"
    try:
        for path in folder.glob("*.n*"):
            shutil.copy(path, disk)
        ended = _end(_start(command.arguments(disk), environment))
        wrong = command.intact(disk)
        if wrong:
            ended.said += f"\nBROKEN {wrong}"
        return ended, f"disk of {size} KB"
    finally:
        subprocess.run(["umount", "-l", str(disk)], capture_output=True)


def by_second(
    command: Command, folder: Path, random: np.random.Generator, environment: dict[str, str]
) -> tuple[Ended, str]:
    """The same command again while it runs."""
    first = _start(command.arguments(folder), environment)
    time.sleep(float(random.random()))
    second = _end(_start(command.arguments(folder), environment))
    ended = _end(first)
    if {ended.code, second.code} - {0, 2} or 0 not in (ended.code, second.code):
        ended.said += f"\nBROKEN they ended with {ended.code} and {second.code}"
    return Ended(second.code, second.said + ended.said, second.printed), "second instance"


DISTURBANCES = {"signal": by_signal, "descriptors": by_descriptors, "disk": by_disk, "second": by_second}


def faults(command: Command, folder: Path, ended: Ended, how: str, shared: set[str], mark: str) -> list[str]:
    """What was promised and is not so."""
    found = []
    allowed = {0, 1, 2, 130, 143, -signal.SIGINT, -signal.SIGTERM, -signal.SIGKILL}
    if ended.code not in allowed:
        found.append(f"exit code {ended.code}: {ended.said.strip()[-200:]}")
    words = ("Traceback", "HANGS", "BROKEN", "Exception ignored", "HDF5-DIAG")
    found += [f"{word}: {ended.said.strip()[-400:]}" for word in words if word in ended.said]
    deadline = time.monotonic() + 5
    while (left := _left(mark)) and time.monotonic() < deadline:
        time.sleep(0.1)
    found += [f"process left: {' '.join(each)[:100]}" for each in left]
    found += [f"shared memory left: {name}" for name in _shared() - shared]
    wrong = command.intact(folder)
    if wrong:
        found.append(wrong)
    if "SIGKILL" not in how:
        found += [f"left: {path}" for path in folder.rglob(".*.tmp")]
    return found


def _shared() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir()}


def _left(mark: str) -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark and process.status() != "zombie":
                found.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.faults")
    arguments.add_argument("--rounds", type=int, default=40)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--only", default="")
    arguments.add_argument("--folder", type=Path, default=None)
    options = arguments.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="aoi-faults-"))
    chosen = [name for name in DISTURBANCES if not options.only or name in options.only.split(",")]
    print(f"seed {options.seed}; {options.rounds} rounds of {', '.join(chosen)} in {root}", flush=True)
    random = np.random.default_rng(options.seed)
    counts: Counter[str] = Counter()
    broken = []
    for number in range(options.rounds):
        command = COMMANDS[number % len(COMMANDS)]
        name = chosen[int(random.integers(len(chosen)))]
        folder = root / str(number)
        folder.mkdir(parents=True)
        command.arguments(folder)  # makes its inputs
        mark = f"{options.seed}-{number}"
        environment = {**os.environ, MARK: mark, "AOI_CACHE_DIR": str(root / "cache")}
        shared = _shared()
        ended, how = DISTURBANCES[name](command, folder, random, environment)
        found = faults(command, folder, ended, how, shared, mark)
        if not found:
            after = _end(_start(command.arguments(folder), environment))
            if after.code:
                found = [f"afterwards exit code {after.code}: {after.said.strip()[-300:]}"]
        counts[name] += 1
        for each in found:
            broken.append(f"round {number}: {command.name}, {how}: {each}")
            print(broken[-1], flush=True)
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    print(f"{sum(counts.values())} rounds {dict(counts)}: {len(broken)} faults")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
