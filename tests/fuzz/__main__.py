"""A campaign of mutated inputs against everything that reads what others wrote: ``make fuzz``.

    python -m tests.fuzz [--minutes 3] [--seed N] [--only net,nir] [--folder DIR]

Each input must be read or refused by an AoiError in one line, within 5 s of processor time and 1 GB of memory. Whatever
does otherwise is stored, with its seed, in the folder. Exits with 1 if there is such an input.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from aoi.errors import AoiError
from tests.fuzz.targets import TARGETS, Target

CPU_S = 5.0
MEMORY = 1 << 30
BATCH = 2000


class Slow(BaseException):
    """An input took more than CPU_S of processor time."""


def _too_slow(*_: object) -> None:
    raise Slow


def run_batch(
    target: Target, seeds: list[Any], numbers: range, campaign: int, folder: Path
) -> tuple[Counter[str], list[str]]:
    """Reads some inputs; the number of each outcome, and what was wrong."""
    outcomes: Counter[str] = Counter()
    found: list[str] = []
    signal.signal(signal.SIGPROF, _too_slow)
    for number in numbers:
        random = np.random.default_rng([campaign, number, len(target.name)])
        content = b""
        try:
            content = target.change(seeds[number % len(seeds)], random)
        except Exception:
            outcomes["not made"] += 1
            continue
        (folder / f"current-{os.getpid()}").write_bytes(content)
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        try:
            target.read(content)
            outcome = "read"
        except AoiError as error:
            outcome = "refused"
            if "\n" in str(error) or len(str(error)) > 2000:
                outcome = f"message of {str(error).count(chr(10)) + 1} lines, {len(str(error))} letters"
        except Slow:
            outcome = "slow"
        except BaseException as error:
            line = traceback.extract_tb(error.__traceback__)[-1]
            outcome = f"{type(error).__name__} at {Path(line.filename).name}:{line.lineno}: {str(error)[:80]}"
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        outcomes[outcome if outcome in ("read", "refused") else "faults"] += 1
        if outcome not in ("read", "refused"):
            (folder / f"{target.name}-{campaign}-{number}").write_bytes(content)
            found.append(f"{target.name} {campaign}/{number}: {outcome}")
    return outcomes, found


def _work(name: str, numbers: range, campaign: int, folder: Path, results: Any) -> None:
    """A process that reads one batch, with a limit on its memory."""
    target = next(each for each in TARGETS if each.name == name)
    os.environ["AOI_MAX_EVENTS"] = str(1 << 22)
    seeds = target.seeds()
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY + (1 << 31), -1))
    results.put((name, *run_batch(target, seeds, numbers, campaign, folder)))


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.fuzz")
    arguments.add_argument("--minutes", type=float, default=3.0)
    arguments.add_argument("--seed", type=int, default=int(time.time()))
    arguments.add_argument("--only", default="")
    arguments.add_argument("--folder", type=Path, default=Path("fuzz"))
    options = arguments.parse_args()
    chosen = [each for each in TARGETS if not options.only or each.name in options.only.split(",")]
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {options.seed}; {options.minutes:g} minutes on {', '.join(each.name for each in chosen)}", flush=True)
    context = multiprocessing.get_context("fork")
    for target in chosen:  # what they need is imported and compiled once, before the workers are made
        for seed in target.seeds():
            if isinstance(seed, bytes):
                target.read(seed)
    totals: dict[str, Counter[str]] = {each.name: Counter() for each in chosen}
    begun: Counter[str] = Counter()
    found: list[str] = []
    deadline = time.monotonic() + 60 * options.minutes
    while time.monotonic() < deadline:
        waiting = []
        for _ in range(os.cpu_count() or 1):
            target = min(chosen, key=lambda each: begun[each.name] / each.share)
            size = max(20, int(BATCH * min(1.0, target.share**2)))
            numbers = range(begun[target.name], begun[target.name] + size)
            begun[target.name] += size
            results = context.SimpleQueue()
            process = context.Process(target=_work, args=(target.name, numbers, options.seed, options.folder, results))
            process.start()
            waiting.append((target, numbers, process, results))
        for target, numbers, process, results in waiting:
            process.join(60 + CPU_S * len(numbers))
            if process.exitcode == 0:
                name, outcomes, faults = results.get()
                totals[name] += outcomes
                found += faults
                continue
            ended = "hangs" if process.exitcode is None else f"ends the interpreter ({process.exitcode})"
            process.kill()
            current = options.folder / f"current-{process.pid}"
            if current.exists():
                current.rename(options.folder / f"{target.name}-{options.seed}-{numbers.start}-crash")
            totals[target.name]["faults"] += 1
            found.append(f"{target.name} {options.seed}/{numbers.start}: {ended}")
        for leftover in options.folder.glob("current-*"):
            leftover.unlink()
    width = max(len(each.name) for each in chosen)
    for name, outcomes in totals.items():
        print(f"{name:{width}}  {sum(outcomes.values()):9,} inputs: {dict(outcomes)}")
    for line in found[:40]:
        print(line)
    total = sum(sum(each.values()) for each in totals.values())
    print(f"{total:,} inputs, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
