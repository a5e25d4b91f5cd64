"""Networks and stopping rules side by side, at equal accuracy drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aoi.cutoff.calibration import fit_rule
from aoi.cutoff.checks import check_max_drop
from aoi.cutoff.rule import RULES, Rule, parse_rule
from aoi.errors import DataError
from aoi.evaluation.bootstrap import interval
from aoi.evaluation.comparison import RuleOperatingPoints, compare_rules
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import Network, load, network_path
from aoi.workflow.progress import Progress
from aoi.workflow.recordings import Recordings, Selection, open_selection, refuse_seen

ALL_RULES = ("confidence", "entropy", "gap", "conformal", "patience", "fixed")


def rule_names(text: str) -> tuple[str, ...]:
    """``all`` or names with commas; each once, in the order given. Raises DataError."""
    names = ALL_RULES if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in RULES:
            raise DataError(f"rules {text}: there is no rule {name!r}; choose all or some of {', '.join(RULES)}")
    return names


def compare_networks(
    sources: Sequence[str | Path],
    selection: Selection,
    names: Sequence[str] = ALL_RULES,
    *,
    max_drop: float = 0.005,
    progress: Progress | None = None,
) -> tuple[dict[str, tuple[RuleOperatingPoints, ...]], list[dict[str, Any]]]:
    """Title of each network → its rules at their earliest operating point within ``max_drop``; and the table's rows.

    A look-back: each threshold is the best one on these very recordings. What rules need besides a threshold comes from
    the network file or is fitted on its calibration split. Raises DataError, NetXError.
    """
    check_max_drop(max_drop)
    paths = [network_path(source) for source in sources]
    for index, path in enumerate(paths):
        if path.resolve() in [each.resolve() for each in paths[:index]]:
            raise DataError(f"{sources[index]}: is named twice; name each network once")
    compared: dict[str, tuple[RuleOperatingPoints, ...]] = {}
    marks: list[bytes] = []
    for title, path in zip(_titles(paths), paths, strict=True):
        network = load(path)
        data = open_selection(network, selection, progress)
        scores = run_engine(network, data, f"{title} on the engine", progress).scores
        compared[title] = compare_on(network, data, scores, names, max_drop, progress)
        marks.append(data.spikes.fingerprints.tobytes())
    return compared, table(compared, marks)


def compare_on(
    network: Network,
    data: Recordings,
    scores: np.ndarray,
    names: Sequence[str],
    max_drop: float,
    progress: Progress | None = None,
) -> tuple[RuleOperatingPoints, ...]:
    """Rules of these names on the readout (samples, classes, T) of ``data``."""
    check_max_drop(max_drop)
    return compare_rules(_fitted_rules(network, data, names, progress), scores, data.labels, max_drop)


def table(compared: Mapping[str, tuple[RuleOperatingPoints, ...]], marks: Sequence[bytes]) -> list[dict[str, Any]]:
    """One row a network and rule, with its difference to a reference on the same recordings, as far as there is one.

    The reference of a rule is the network's first rule, that of a first rule is the first rule of the first network on
    the same recordings. ``marks``: what tells each network's recordings.
    """
    rows = []
    for (title, rules), mark in zip(compared.items(), marks, strict=True):
        top = list(compared)[marks.index(mark)]
        for each in rules:
            row = {"network": title} | each.summary()
            base, reference = (title, rules[0]) if each is not rules[0] else (top, compared[top][0])
            if reference is not each:
                row["difference"] = {
                    "network": base,
                    "rule": reference.rule.name,
                    "mean_decision_step": each.best.mean_decision_step - reference.best.mean_decision_step,
                    "interval": list(interval(each.best.draws - reference.best.draws)),
                }
            rows.append(row)
    return rows


def _fitted_rules(network: Network, data: Recordings, names: Sequence[str], progress: Progress | None) -> list[Rule]:
    """The file's own rule as it is; what others need besides a threshold is fitted on the calibration split."""
    policy = network.metadata.policy if network.metadata else None
    known = {network.rule.name: network.rule} if network.rule else {}
    known |= {name: parse_rule(f"{name}:{RULES[name].example}", policy) for name in names if not RULES[name].fitted}
    missing = [name for name in names if name not in known]
    if missing:
        calibration = _calibration_split(network, data, missing, progress)
        scores = run_engine(network, calibration, "calibration on the engine", progress).scores
        known |= {name: fit_rule(name, scores, calibration.labels) for name in missing}
    return [known[name] for name in names]


def _calibration_split(
    network: Network, data: Recordings, missing: Sequence[str], progress: Progress | None
) -> Recordings:
    remedy = f"or leave {', '.join(missing)} out of the rules"
    if data.split == "calibration" or data.config is None:
        raise DataError(
            f"split {data.split}: {', '.join(missing)} are fitted on the split calibration; report on another split of "
            f"a data set, {remedy}"
        )
    try:
        found = open_selection(network, replace(data.selection, split="calibration", samples=None), progress)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from None
    purpose = f" that {', '.join(missing)} would be fitted on"
    refuse_seen(network, found.spikes, purpose, f"give other recordings, {remedy}")
    return found


def _titles(files: Sequence[Path]) -> list[str]:
    """Short names that differ: the folder, the file, or the whole path."""
    for name in (lambda file: file.resolve().parent.name, lambda file: file.stem, str):
        titles = [name(file) for file in files]
        if len(set(titles)) == len(titles):
            return titles
    return [f"{index}: {file}" for index, file in enumerate(files, 1)]
