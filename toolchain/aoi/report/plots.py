"""Two plots: accuracy over timesteps with the operating point, and the distribution of decision steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aoi.evaluation.anytime import AnytimeResult
from aoi.files import atomic_path

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#666666"  # distinguishable without colour vision
SERIES_STYLES = (
    (BLUE, "o", "-"), (ORANGE, "s", "--"), ("#009e73", "^", "-."), ("#cc79a7", "D", ":"),
    ("#56b4e9", "v", "-"), ("#e69f00", "P", "--"), ("#000000", "X", "-."), (GREY, "*", ":"),
)  # fmt: skip
"""Colour (Okabe and Ito), marker and dash of each series: distinguishable without colour vision, and without colour."""


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG. Raises WriteError."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=144)


def accuracy_figure(result: AnytimeResult) -> Figure:
    """Accuracy over timesteps; the cutoff's operating point is at its mean decision step."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, result.steps + 1)
    axes.plot(steps, result.accuracy_at, color=BLUE, linewidth=2, label="all samples stop at step t")
    axes.axhline(
        result.full_accuracy, color=GREY, linestyle=":", label=f"at T = {result.steps}: {result.full_accuracy:.3f}"
    )
    axes.plot(
        [result.mean_decision_step], [result.accuracy], marker="*", markersize=16, linestyle="none", color=ORANGE,
        label=f"cutoff: {result.accuracy:.3f} after {result.mean_decision_step:.1f} steps on average",
    )  # fmt: skip
    axes.set(xlabel="timestep t", ylabel="accuracy", xlim=(0, result.steps + 0.5), ylim=(0, 1.02))
    axes.set_title(f"{result.steps / result.mean_decision_step:.1f} times fewer steps with the cutoff")
    axes.legend(loc="lower right", frameon=False)
    axes.grid(alpha=0.25)
    return figure


def decision_figure(result: AnytimeResult) -> Figure:
    """Histogram of decision steps, wrong answers stacked on top of correct ones."""
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    correct = result.decisions.prediction == result.labels
    counts = [np.bincount(result.decisions.step[mask], minlength=result.steps + 1)[1:] for mask in (correct, ~correct)]
    steps = np.arange(1, result.steps + 1)
    axes.bar(steps, counts[0], color=BLUE, label="correct")
    axes.bar(steps, counts[1], bottom=counts[0], color=ORANGE, hatch="//", label="wrong")
    axes.axvline(result.mean_decision_step, color=GREY, linestyle="--", label=f"mean {result.mean_decision_step:.1f}")
    axes.set(xlabel="decision step", ylabel="samples", xlim=(0, result.steps + 1))
    axes.set_title(f"Decision steps of {len(result.labels)} samples (T = {result.steps})")
    axes.legend(frameon=False)
    axes.grid(axis="y", alpha=0.25)
    return figure
