"""STR and rate control on activities small enough to work out by hand."""

from __future__ import annotations

import pytest
import torch

from models.blocks import LayerActivity
from toolchain.training.regularisers.base import Hidden, build
from toolchain.training.regularisers.config import RegulariserConfig
from toolchain.training.regularisers.str_factor import spatial_temporal_factor


def activity(voltage: list[list[list[float]]], threshold: float = 1.0) -> LayerActivity:
    v = torch.tensor(voltage)  # (N, neurons, T), before the reset
    spikes = (v > threshold).float()
    return LayerActivity(torch.zeros_like(v), v, spikes, spikes)


def test_factor_weighs_what_is_sent_against_what_is_kept() -> None:
    # Step 1: one neuron fires (1.5), one keeps 0.5. Step 2: none fires, 0.25 is kept, -3 counts nothing. Step 3: both.
    layer = activity([[[1.5, 0.25, 2.0], [0.5, -3.0, 1.1]]])
    assert torch.allclose(spatial_temporal_factor(layer, 1.0), torch.tensor([[1 / 1.52, 0.0, 2 / 2.02]]))


def test_a_silent_layer_has_factor_zero() -> None:
    assert spatial_temporal_factor(activity([[[0.0, -1.0]]]), 1.0).tolist() == [[0.0, 0.0]]


def test_only_correct_predictions_count() -> None:
    layer = activity([[[1.5, 1.5]], [[0.5, 0.5]]])  # factors 1 / 1.01 and 0
    config = RegulariserConfig(name="str", strength=2.0, target=0.25)
    penalty = build(config)
    assert penalty is not None

    def value(correct: list[bool]) -> float:
        return float(penalty([Hidden(layer, 1.0)], torch.tensor(correct)))

    assert value([True, False]) == pytest.approx(2 * (1 / 1.01 - 0.25) ** 2)
    assert value([False, True]) == pytest.approx(2 * 0.25**2)
    assert value([False, False]) == 0.0


def test_rate_penalty_pulls_towards_its_target() -> None:
    layer = activity([[[1.5, 0.5, 0.5, 0.5]]])  # rate 0.25
    penalty = build(RegulariserConfig(name="rate", strength=1.0, target=0.5))
    assert penalty is not None
    assert float(penalty([Hidden(layer, 1.0)], torch.tensor([True]))) == pytest.approx(0.25**2 / 0.5**2)


@pytest.mark.parametrize("config", [RegulariserConfig(name="none"), RegulariserConfig(name="str", strength=0)])
def test_nothing_to_do_is_none(config: RegulariserConfig) -> None:
    assert build(config) is None
