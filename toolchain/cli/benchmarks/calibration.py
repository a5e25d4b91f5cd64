"""Does the certified drop hold? The tables of docs/calibration.md, computed anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from toolchain.cli.benchmarks.report import Report
from toolchain.cli.console import say
from toolchain.cli.recordings import Request, load_split, scores_of
from toolchain.cutoff.validity import DISTRIBUTIONS, Runs, allowances, simulate, tabulate
from toolchain.netx.read import read_network

_RULES = ("confidence", "entropy", "gap", "int-confidence", "patience", "fixed")


def bench(*, network: Path, quick: bool = False) -> Report:
    """``network``: trained on the digits; where there is no such file, its rows are left out."""
    worlds = {name: make(4000, np.random.default_rng(1)) for name, make in DISTRIBUTIONS.items()}
    digits = None
    if network.is_file():
        say(f"scores of {network}")
        digits = _unseen(network)
        worlds["digits"] = digits
    if quick:
        worlds = dict(list(worlds.items())[:1])
    repetitions = 10 if quick else 2000
    say(f"calibrate-then-test, {repetitions} times on each of {', '.join(worlds)}: about 20 seconds each")
    tables = {"allowances": allowances(), "simulate": simulate(worlds, repetitions=repetitions)}
    if digits is not None:
        tables["tabulate"] = tabulate(
            digits, rules=_RULES[:1] if quick else _RULES, max_drops=(0.01, 0.02), divisions=2 if quick else 20
        )
    text = "\n\n".join(f"<!-- {name} -->\n{table}" for name, table in tables.items())
    if digits is None:
        text += f"\n\n{network} is not there, so the rows on digits are left out: 'aoi demo' makes it"
    return Report(text=text, more=tables)


def _unseen(network: Path) -> Runs:
    """Runs of the recordings that the network was not trained on."""
    file = read_network(network)
    splits = [load_split(file, Request(None, split)) for split in ("calibration", "test")]
    scores = [scores_of(file, split, "running on the engine") for split in splits]
    return Runs(np.concatenate(scores), np.concatenate([split.labels for split in splits]))
