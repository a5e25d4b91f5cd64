"""Compares networks and stopping rules at equal accuracy drop."""

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
from aoi.workflow.recordings import Recordings, Selection, open_selection, refuse_trained_on

ALL_RULES = ("confidence", "entropy", "gap", "conformal", "patience", "fixed")


def rule_names(text: str) -> tuple[str, ...]:
    """Rules from ``all`` or names separated by commas, without repetitions. Raises DataError for an unknown name."""
    names = ALL_RULES if text == "all" else tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in RULES:
            raise DataError(f"rules {text}: no such rule as {name!r}; choose all, or some of {', '.join(RULES)}")
    return names


def compare_networks(
    sources: Sequence[str | Path],
    selection: Selection,
    names: Sequence[str] = ALL_RULES,
    *,
    max_drop: float = 0.005,
    progress: Progress | None = None,
) -> tuple[dict[str, tuple[RuleOperatingPoints, ...]], list[dict[str, Any]]]:
    """The operating points of each network's rules, and the rows of a table.

    For each rule, the threshold is the one that stops earliest within ``max_drop`` on these very recordings: it
    overestimates every rule. Other parameters of rules come from the network file, or are fitted on its calibration
    split.

    Args:
        sources: network files, run folders or ``zoo:NAME``; their names become the titles.
        selection: which recordings.
        names: the rules.
        max_drop: largest accuracy drop from T.
        progress: called with (label, done, total).

    Returns:
        The rules of each network by title, and one row per network and rule, see :func:`comparison_rows`.

    Raises:
        DataError: the request makes no sense, or the recordings do not fit a network.
        NetXError: a network file is damaged or not supported.
    """
    check_max_drop(max_drop)
    paths = [network_path(source) for source in sources]
    for index, path in enumerate(paths):
        if path.resolve() in [each.resolve() for each in paths[:index]]:
            raise DataError(f"{sources[index]}: is given twice; give each network once")
    compared: dict[str, tuple[RuleOperatingPoints, ...]] = {}
    fingerprints: list[bytes] = []
    for title, path in zip(_titles(paths), paths, strict=True):
        network = load(path)
        data = open_selection(network, selection, progress)
        scores = run_engine(network, data, f"{title} on the engine", progress).scores
        compared[title] = compare_on_recordings(network, data, scores, names, max_drop, progress)
        fingerprints.append(data.spikes.fingerprints.tobytes())
    return compared, comparison_rows(compared, fingerprints)


def compare_on_recordings(
    network: Network,
    data: Recordings,
    scores: np.ndarray,
    names: Sequence[str],
    max_drop: float,
    progress: Progress | None = None,
) -> tuple[RuleOperatingPoints, ...]:
    """Operating points of rules on ``scores``, the accumulated readout (samples, classes, T) of ``data``."""
    check_max_drop(max_drop)
    return compare_rules(_fitted_rules(network, data, names, progress), scores, data.labels, max_drop)


def comparison_rows(
    compared: Mapping[str, tuple[RuleOperatingPoints, ...]], fingerprints: Sequence[bytes]
) -> list[dict[str, Any]]:
    """One row per network and rule, with the difference in steps to a reference on the same recordings.

    The reference of a rule is the first rule of its network; that of a first rule is the first rule of the first
    network that ran the same recordings, which has none itself. ``fingerprints``: identify each network's recordings.
    """
    rows = []
    for (title, rules), fingerprint in zip(compared.items(), fingerprints, strict=True):
        top = list(compared)[fingerprints.index(fingerprint)]
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
    """The file's own rule unchanged; parameters of others, except thresholds, are fitted on the calibration split."""
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
    remedy = f"or leave out the rules {', '.join(missing)}"
    if data.split == "calibration" or data.config is None:
        raise DataError(
            f"split {data.split}: the rules {', '.join(missing)} are fitted on the split calibration; compare on "
            f"another split of a data set, {remedy}"
        )
    try:
        found = open_selection(network, replace(data.selection, split="calibration", samples=None), progress)
    except DataError as error:
        raise DataError(f"{error}; {remedy}") from None
    purpose = f" for fitting {', '.join(missing)}"
    refuse_trained_on(network, found.spikes, purpose, f"use other recordings, {remedy}")
    return found


def _titles(files: Sequence[Path]) -> list[str]:
    """Short distinct names: the folders, the files, or the whole paths."""
    for name in (lambda file: file.resolve().parent.name, lambda file: file.stem, str):
        titles = [name(file) for file in files]
        if len(set(titles)) == len(titles):
            return titles
    return [f"{index}: {file}" for index, file in enumerate(files, 1)]
