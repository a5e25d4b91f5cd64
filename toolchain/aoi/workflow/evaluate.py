"""Accuracy at every step and with the cutoff, on the bit-exact engine: ``aoi.evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aoi.cutoff.rule import Decisions, Rule, decide, softmax_peak
from aoi.engine import Engine, Run
from aoi.evaluation.anytime import AnytimeResult, anytime_result
from aoi.evaluation.robustness import compare_with_clean
from aoi.evaluation.summary import summarise
from aoi.events.corrupt import Corruption
from aoi.workflow.network import Network, choose_rule
from aoi.workflow.progress import Progress, counter
from aoi.workflow.recordings import Recordings, check_reported, open_selection
from aoi.workflow.result import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Result):
    """Accuracy and decision steps of a network and a rule. Accuracies and drops are fractions; steps count from 1."""

    samples: int
    steps: int
    """T."""
    full_accuracy: float
    """Accuracy at T."""
    accuracy: float
    """Accuracy at the decisions."""
    accuracy_drop: float
    """Accuracy at T minus accuracy at the decisions."""
    mean_decision_step: float
    speedup_steps: float
    """T / mean decision step."""
    accuracy_at: list[float]
    """Accuracy if all recordings stop at step 1, 2, … T."""
    rule: Rule | None
    split: str
    summary: dict[str, Any]
    """All numbers, intervals and tables, with the names of ``aoi evaluate --json``."""
    anytime: AnytimeResult
    run: Run
    """All T steps of all recordings, without traces."""

    def to_dict(self) -> dict[str, Any]:
        return self.summary

    def rows(self) -> Sequence[tuple[str, str]]:
        interval = self.summary["intervals"]

        def shown(value: float, name: str, digits: int = 4) -> str:
            low, high = interval[name]
            return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

        rows = [
            ("recordings", f"{self.samples} ({self.split})"),
            (f"accuracy at T = {self.steps}", shown(self.full_accuracy, "full_accuracy")),
        ]
        if self.rule is None:
            return [*rows, ("rule", "none: all steps run")]
        return [
            *rows,
            ("rule", f"{self.rule.name} >= {self.rule.threshold:.6g}"),
            ("accuracy with the rule", shown(self.accuracy, "accuracy")),
            ("mean decision step", shown(self.mean_decision_step, "mean_decision_step", 2)),
            ("fewer steps", f"{self.speedup_steps:.2f} times"),
        ]

    def plot(self, path: str | PathLike[str] | None = None) -> Figure:
        """Plots accuracy over timesteps with the rule's operating point.

        Returns the matplotlib figure, and writes it to ``path`` unless that is None.
        """
        from aoi.report.plots import accuracy_figure, save

        figure = accuracy_figure(self.anytime)
        if path is not None:
            save(figure, Path(path))
        return figure


def evaluate(
    network: Network, data: Recordings, *, rule: Rule | str | None = "own", progress: Progress | None = None
) -> Evaluation:
    """Runs all T steps of all recordings on the engine; measures accuracy at every step and with a rule.

    Args:
        network: the network, from :func:`aoi.load`.
        data: the recordings, from :func:`aoi.open_data`.
        rule: "own": the rule in the file, if it has one; a rule; a text such as ``confidence:0.9``; None: all steps.
        progress: called with (label, done, total).

    Raises:
        DataError: the rule's text is not a rule, or the recordings do not fit the network.

    Example:
        >>> aoi.evaluate(net, aoi.open_data("digits", net), rule="confidence:0.9").accuracy
        0.9771689497716894
    """
    check_reported(network, data)
    chosen = choose_rule(network, rule)
    return evaluate_run(network, data, run_engine(network, data, "running on the engine", progress), chosen)


def run_engine(network: Network, data: Recordings, label: str, progress: Progress | None) -> Run:
    """Runs all T steps of all recordings on the engine: scores, spikes and operations at each step."""
    advance = counter(progress, label)
    return Engine(network).run_stream(len(data), data.batch, progress=lambda done: advance(done, len(data)))


def evaluate_run(network: Network, data: Recordings, run: Run, rule: Rule | None) -> Evaluation:
    """Evaluates a run of the engine."""
    decisions = decide(rule, run.scores)
    summary = summarise(
        run.scores,
        data.labels,
        decisions,
        confidence_at(rule, run.scores),
        data.classes,
        spikes=run.spikes,
        operations=run.operations,
        neurons=[prod(layer.shape) for layer in network.description.layers],
    )
    summary |= {
        "rule": rule.name if rule else None,
        "threshold": rule.threshold if rule else None,
        "scale": rule.scale if rule else None,
        "split": data.split,
        "skipped": len(data.spikes.skipped),
    }
    named = ("samples", "steps", "full_accuracy", "accuracy", "accuracy_drop", "mean_decision_step", "speedup_steps")
    return Evaluation(
        **{name: summary[name] for name in named},
        accuracy_at=summary["accuracy_at"],
        rule=rule,
        split=data.split,
        summary=summary,
        anytime=anytime_result(run.scores, data.labels, decisions),
        run=run,
    )


def confidence_at(rule: Rule | None, scores: np.ndarray) -> np.ndarray:
    """Confidence at each step, float64 (samples, T), as ``decide`` reports it: with the rule's scale, otherwise 1.

    ``scores``: accumulated readout (samples, classes, T).
    """
    by_step = np.moveaxis(scores, -1, 1)
    if rule is None:
        return softmax_peak(by_step)
    return rule.confidence(by_step, np.arange(1, by_step.shape[1] + 1))


def corrupted(
    network: Network,
    data: Recordings,
    evaluation: Evaluation,
    corruptions: Sequence[Corruption],
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Evaluates the same recordings with corrupted events and compares with clean ones: one row per corruption.

    ``data`` has to come from a data set, because events are corrupted before they are encoded.
    """

    def with_decisions(scores: np.ndarray) -> tuple[np.ndarray, Decisions]:
        return scores, decide(evaluation.rule, scores)

    clean = with_decisions(evaluation.run.scores)
    rows = []
    for corruption in corruptions:
        corrupted_data = open_selection(network, replace(data.selection, corruption=corruption), progress)
        scores = run_engine(network, corrupted_data, f"running on {corruption}", progress).scores
        level = compare_with_clean(clean, with_decisions(scores), data.labels)
        about = {"corruption": str(corruption), "kind": corruption.kind, "strength": corruption.strength}
        rows.append(about | asdict(level))
    return rows
