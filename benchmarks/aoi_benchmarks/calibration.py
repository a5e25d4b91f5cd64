"""How often the certified drop holds: computes the tables of docs/calibration.md."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.choices import RuleName, Split
from aoi.cutoff.validity import DISTRIBUTIONS, Runs, allowance_table, division_table, validity_table
from aoi.errors import DataError
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import load
from aoi.workflow.progress import log
from aoi.workflow.recordings import Selection, open_selection
from aoi_benchmarks.report import Report

_RULES: tuple[RuleName, ...] = ("confidence", "entropy", "gap", "int-confidence", "patience", "fixed")
_CAMERAS = 12
"""Number of simulated cameras, each with its own noise. This many recordings of each digit measure a drop to 0.002."""
_UNSEEN: tuple[Split, ...] = ("calibration", "test")
_TRIALS = ((1500, 0.005), (1500, 0.01), (398, 0.01))


def bench(*, network: Path, quick: bool = False) -> Report:
    """Runs the benchmark; ``network`` is trained on the digits, and its rows are left out if there is no such file."""
    distributions = {name: make(4000, np.random.default_rng(1)) for name, make in DISTRIBUTIONS.items()}
    unseen = _unseen(network, cameras=2 if quick else _CAMERAS) if network.is_file() else None
    if unseen is not None:
        distributions["digits"] = unseen[0]
    if quick:
        distributions = dict(list(distributions.items())[:1])
    repetitions = 10 if quick else 2000
    log.info(f"calibrate-then-test, {repetitions} times on each of {', '.join(distributions)}: about 20 seconds each")
    tables = {"allowances": allowance_table(), "simulate": validity_table(distributions, repetitions=repetitions)}
    if unseen is not None:
        digits, object_of = unseen
        rules, divisions = (_RULES[:1], 2) if quick else (_RULES, 20)
        trials = ((398, 0.01),) if quick else _TRIALS
        tables["recordings"] = division_table(digits, rules=rules, trials=trials, divisions=divisions)
        tables["digits"] = division_table(
            digits, rules=rules, trials=((398, 0.01),), object_of=object_of, divisions=divisions
        )
    text = "\n\n".join(f"<!-- {name} -->\n{table}" for name, table in tables.items())
    if unseen is None:
        text += f"\n\n{network} does not exist, so the rows on digits are left out; make it with 'aoi demo'"
    return Report(text=text, more=tables)


def _unseen(path: Path, cameras: int) -> tuple[Runs, np.ndarray]:
    """Runs of digits not used in training, each recorded by all cameras, and the index of each run's digit."""
    network = load(path)
    if network.metadata is None or network.metadata.data is None or network.metadata.data.source != "digits":
        raise DataError(f"{path}: was not trained on the digits; use a network of 'aoi demo'")
    runs, labels = [], []
    shown: list[str] = []
    for camera in range(cameras):
        for split in _UNSEEN:
            data = open_selection(network, Selection(split=split, camera=camera))
            runs.append(run_engine(network, data, f"camera {camera + 1} of {cameras}", None).scores)
            labels.append(data.labels)
            shown += data.ids
    return Runs(np.concatenate(runs), np.concatenate(labels)), np.unique(np.array(shown), return_inverse=True)[1]
