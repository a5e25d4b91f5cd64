"""A plot that compares rules and networks: accuracy over mean decision step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import matplotlib
import numpy as np

from aoi.evaluation.comparison import RuleOperatingPoints
from aoi.files import atomic_path
from aoi.report.plots import GREY, SERIES_STYLES

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot_comparison(networks: Mapping[str, Sequence[RuleOperatingPoints]], path: Path) -> None:
    """One panel per network, one curve of operating points per rule; a marker is its earliest point within the drop.

    Raises WriteError.
    """
    columns = min(len(networks), 3)
    rows = ceil(len(networks) / columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(1.2 + 5.4 * columns, 4.2 * rows), layout="constrained", squeeze=False
    )
    for axes in grid.flat[len(networks) :]:
        axes.set_visible(False)
    for axes, (title, compared) in zip(grid.flat, networks.items(), strict=False):
        for each, (color, marker, dash) in zip(
            compared, (SERIES_STYLES[i % len(SERIES_STYLES)] for i in range(len(compared))), strict=True
        ):
            order = np.lexsort((each.points.accuracy, each.points.mean_decision_step))
            steps, accuracy = each.points.mean_decision_step[order], each.points.accuracy[order]
            axes.plot(steps, accuracy, color=color, linestyle=dash, linewidth=1.6, alpha=0.85)
            axes.plot(
                [each.best.mean_decision_step], [each.best.accuracy], color=color, marker=marker, markersize=9,
                linestyle=dash, label=f"{each.rule.name}: {each.best.mean_decision_step:.2f} steps",
            )  # fmt: skip
        points, best = compared[0].points, compared[0].best
        floor = float(points.full_correct.mean()) - best.max_drop
        axes.axhline(floor, color=GREY, linestyle=":", label=f"accuracy at T − {best.max_drop:g}")
        axes.set(xlabel="mean decision step", ylabel="accuracy", title=f"{title} (T = {points.steps})")
        axes.set_ylim(max(0.0, floor - 0.2), min(1.005, floor + 0.06))
        axes.set_xlim(0.5, points.steps + 0.5)
        axes.legend(loc="lower right", frameon=False)
        axes.grid(alpha=0.25)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
