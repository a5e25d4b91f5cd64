"""Calibration error: by hand, and against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from aoi.cutoff.rule import ConfidenceRule
from aoi.evaluation.anytime import correct_at
from aoi.evaluation.reliability import reliability, reliability_at
from tests.evaluation.streams import streams


def test_by_hand() -> None:
    confidence = np.array([0.1, 0.2, 0.55, 0.6, 1.0])
    right = np.array([False, True, True, False, True])
    diagram = reliability(confidence, right, bins=5)
    assert diagram.edges.tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert diagram.count.tolist() == [2, 0, 2, 0, 1]  # an edge belongs to the bin below it
    assert diagram.accuracy.tolist() == [0.5, 0, 0.5, 0, 1]
    assert diagram.confidence.tolist() == pytest.approx([0.15, 0, 0.575, 0, 1])
    assert diagram.error == pytest.approx((2 * 0.35 + 2 * 0.075) / 5)


def test_no_samples_have_no_error() -> None:
    assert reliability(np.empty(0), np.empty(0, dtype=bool)).error == 0.0


@pytest.mark.parametrize("bins", [10, 15])
@pytest.mark.parametrize("scale", [0.2, 1.0, 3.0])
def test_equals_torchmetrics_at_each_step(bins: int, scale: float) -> None:
    scores, labels = streams()
    by_step = np.moveaxis(scores, -1, 1)
    # Off the grid of whole counts, so that no confidence lies on the edge of a bin, which torchmetrics counts upwards.
    by_step = by_step + np.random.default_rng(1).random(by_step.shape) * 0.01
    right = correct_at(np.moveaxis(by_step, 1, -1), labels)
    found = reliability_at(ConfidenceRule(1.0, scale).confidence(by_step), right, bins)
    assert len(found) == scores.shape[-1]
    for t, diagram in enumerate(found):
        probabilities = torch.softmax(torch.from_numpy(scale * by_step[:, t]), dim=-1)
        expected = multiclass_calibration_error(
            probabilities, torch.from_numpy(labels), num_classes=scores.shape[1], n_bins=bins, norm="l1"
        )
        assert diagram.error == pytest.approx(float(expected), abs=1e-6)
        assert diagram.count.sum() == len(labels)
