"""The plot of a study: accuracy over steps of each arm, and steps of each seed at equal drop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from aoi.files import atomic_path
from aoi.report.plots import SERIES_STYLES
from aoi.study.statistics import mean_interval

matplotlib.use("Agg")
from matplotlib import pyplot as plt


def plot_study(results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes a PNG with one row per experiment. Bands and bars are 95 % intervals of the mean over seeds.

    ``results``: from :func:`aoi.study.statistics.cell_result`, with ``experiment``, ``arm`` and ``seed``. Raises
    WriteError.
    """
    experiments = list(dict.fromkeys(result["experiment"] for result in results))
    figure, grid = plt.subplots(
        len(experiments), 2, figsize=(11, 3.8 * len(experiments)), layout="constrained", squeeze=False
    )
    for (left, right), experiment in zip(grid, experiments, strict=True):
        mine = [result for result in results if result["experiment"] == experiment]
        arms = sorted({result["arm"] for result in mine}, key=[result["arm"] for result in mine].index)
        for place, arm in enumerate(arms):
            color, marker, dash = SERIES_STYLES[place % len(SERIES_STYLES)]
            cells = sorted((result for result in mine if result["arm"] == arm), key=lambda each: each["seed"])
            at = np.array([cell["accuracy_at"] for cell in cells])
            t = np.arange(1, at.shape[1] + 1)
            left.plot(t, at.mean(axis=0), color=color, linestyle=dash, label=f"{arm} ({len(cells)} seeds)")
            if len(cells) > 1:
                ends = [mean_interval(column) for column in at.T.tolist()]
                left.fill_between(t, [e["low"] for e in ends], [e["high"] for e in ends], color=color, alpha=0.15)
            steps = [cell["steps_at_drop"] for cell in cells]
            mean = mean_interval(steps)
            right.plot(np.full(len(steps), place), steps, marker, color=color, alpha=0.45)
            half = 0.0 if mean["low"] is None else mean["mean"] - mean["low"]  # type: ignore[operator]
            right.errorbar([place + 0.18], [mean["mean"]], [half], fmt=marker, color=color, capsize=4)
        left.set(xlabel="step", ylabel="accuracy when all stop", title=experiment)
        low, high = left.get_ylim()  # an interval of few seeds can exceed the range of an accuracy
        left.set_ylim(max(0.0, low), min(1.005, high))
        left.legend(loc="lower right", frameon=False)
        drop = mine[0]["max_drop"]
        right.set(ylabel="mean decision step", title=f"at a drop of at most {drop:g} from the best point")
        right.set_xticks(range(len(arms)), arms)
        right.set_xlim(-0.5, len(arms) - 0.5)
        for axes in (left, right):
            axes.grid(alpha=0.25)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    plt.close(figure)
