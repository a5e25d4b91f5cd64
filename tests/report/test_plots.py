"""The two plots of a run are complete and show their data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import image

from aoi.cutoff.rule import ConfidenceRule, decide
from aoi.evaluation.anytime import AnytimeResult, anytime_result
from aoi.report.plots import accuracy_figure, decision_figure, save


def result(threshold: float) -> AnytimeResult:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 80)
    rates = np.where(np.arange(4) == labels[:, None], 0.6, 0.2)
    scores = (generator.random((80, 4, 20)) < rates[..., None]).cumsum(-1)
    return anytime_result(scores, labels, decide(ConfidenceRule(threshold, 1.0), scores))


def test_plots_are_written(tmp_path: Path) -> None:
    for plot in (accuracy_figure, decision_figure):
        early, late = tmp_path / "early.png", tmp_path / "late.png"
        save(plot(result(0.5)), early)
        save(plot(result(0.99)), late)
        pixels = image.imread(early)
        assert pixels.shape[0] > 400
        assert pixels.std() > 0.05
        assert not np.array_equal(pixels, image.imread(late))
        assert sorted(path.name for path in tmp_path.iterdir()) == ["early.png", "late.png"]
