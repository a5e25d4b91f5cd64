"""A picture of rules and networks side by side: accuracy over mean decision steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import matplotlib
import numpy as np

from aoi.evaluation.comparison import RuleOperatingPoints
from aoi.files import atomic_path

matplotlib.use("Agg")
from matplotlib import pyplot as plt

# Told apart without colour vision (Okabe and Ito), and by marker and dash where there is no colour at all.
_STYLES = (
    ("#0072b2", "o", "-"), ("#d55e00", "s", "--"), ("#009e73", "^", "-."), ("#cc79a7", "D", ":"),
    ("#56b4e9", "v", "-"), ("#e69f00", "P", "--"), ("#000000", "X", "-."), ("#666666", "*", ":"),
)  # fmt: skip
_GREY = "#666666"


def plot_comparison(networks: Mapping[str, Sequence[RuleOperatingPoints]], path: Path) -> None:
    """One panel a network; each rule's operating points as a curve, marked where it stays within the allowed drop."""
    columns = min(len(networks), 3)
    rows = ceil(len(networks) / columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.2 + 5.4 * columns, 4.2 * rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(networks) :]:
        axes.set_visible(False)
    for axes, (title, compared) in zip(grid.flat, networks.items(), strict=False):
        for each, (color, marker, dash) in zip(compared, _cycle(len(compared)), strict=True):
            order = np.lexsort((each.points.accuracy, each.points.mean_decision_step))
            steps, accuracy = each.points.mean_decision_step[order], each.points.accuracy[order]
            axes.plot(steps, accuracy, color=color, linestyle=dash, linewidth=1.6, alpha=0.85)
            axes.plot(
                [each.best.mean_decision_step], [each.best.accuracy], color=color, marker=marker, markersize=9,
                linestyle=dash, label=f"{each.rule.name}: {each.best.mean_decision_step:.2f} steps",
            )  # fmt: skip
        points, best = compared[0].points, compared[0].best
        floor = float(points.full_correct.mean()) - best.max_drop
        axes.axhline(floor, color=_GREY, linestyle=":", label=f"accuracy at T − {best.max_drop:g}")
        axes.set(xlabel="mean decision step", ylabel="accuracy", title=f"{title} (T = {points.steps})")
        axes.set_ylim(max(0.0, floor - 0.2), min(1.005, floor + 0.06))
        axes.set_xlim(0.5, points.steps + 0.5)
        axes.legend(loc="lower right", frameon=False)
        axes.grid(alpha=0.25)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)


def _cycle(count: int) -> list[tuple[str, str, str]]:
    return [_STYLES[i % len(_STYLES)] for i in range(count)]
