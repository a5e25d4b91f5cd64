"""Losses against their formulas, computed step by step."""

from __future__ import annotations

import math

import pytest
import torch

from aoi.experiment.loss import LossConfig
from aoi_models.losses import readout_loss, step_outputs, tet_loss, trt_penalty


def naive_cross_entropy(outputs: torch.Tensor, labels: torch.Tensor) -> float:
    samples, classes, steps = outputs.shape
    total = 0.0
    for n in range(samples):
        for t in range(steps):
            row = [float(outputs[n, k, t]) for k in range(classes)]
            total += math.log(sum(math.exp(x) for x in row)) - row[int(labels[n])]
    return total / samples / steps


@pytest.mark.parametrize("read", ["sum", "mean", "step"])
def test_cross_entropy_over_time(read: str) -> None:
    spikes = (torch.rand(4, 3, 6, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    labels = torch.tensor([0, 2, 1, 1])
    expected = {
        "sum": spikes.cumsum(-1),
        "mean": spikes.cumsum(-1) / torch.arange(1, 7),
        "step": spikes,
    }[read] * 1.7
    assert torch.allclose(step_outputs(spikes.cumsum(-1), read=read, gain=1.7), expected)
    assert float(tet_loss(spikes.cumsum(-1), labels, read=read, gain=1.7)) == pytest.approx(
        naive_cross_entropy(expected, labels)
    )


def test_mse_term() -> None:
    scores = torch.tensor([[[1.0, 2.0], [0.0, 4.0]]])
    labels = torch.tensor([1])
    mse = ((1 - 0) ** 2 + (2 - 0) ** 2 + (0 - 3) ** 2 + (4 - 3) ** 2) / 4
    expected = 0.75 * naive_cross_entropy(scores, labels) + 0.25 * mse
    assert float(tet_loss(scores, labels, mse_weight=0.25, mse_target=3.0)) == pytest.approx(expected)


def test_early_steps_can_weigh_more() -> None:
    scores, labels = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 3, 1])
    weight = [math.exp(-t / 2.0) for t in range(5)]
    each = [naive_cross_entropy(scores[..., t : t + 1], labels) for t in range(5)]
    expected = sum(w * loss for w, loss in zip(weight, each, strict=True)) / sum(weight)
    assert float(tet_loss(scores, labels, weight_steps=2.0)) == pytest.approx(expected, rel=1e-5)


def test_gradient_reaches_every_step() -> None:
    scores = torch.zeros(2, 3, 5, requires_grad=True)
    tet_loss(scores, torch.tensor([0, 1])).backward()
    assert scores.grad is not None
    assert (scores.grad.abs().sum((0, 1)) > 0).all()


def test_mean_output_loss_uses_only_the_last_step() -> None:
    scores = torch.tensor([[[5.0, 2.0], [0.0, 4.0]]], requires_grad=True)
    loss = readout_loss(scores, torch.tensor([1]), LossConfig(name="mean", gain=3.0))
    assert float(loss.detach()) == pytest.approx(math.log(1 + math.exp(3 * (2 - 4) / 2)))
    loss.backward()
    assert scores.grad is not None
    assert scores.grad[..., 0].abs().sum() == 0
    assert scores.grad[..., 1].abs().sum() > 0


def test_trt_penalty_by_hand() -> None:
    weight = torch.tensor([[0.5, -2.0]])
    by_hand = 0.0
    for t in range(3):
        by_hand += sum(w**2 * 0.1 / (1 + (math.exp(0.7 * t) - 1) * (abs(w) + 1e-5)) for w in (0.5, 2.0)) / 3
    assert float(trt_penalty([weight], 3, strength=0.1, decay=0.7)) == pytest.approx(by_hand)
    # Without decay over time it equals weight decay.
    assert float(trt_penalty([weight, weight], 5, strength=0.1, decay=0.0)) == pytest.approx(2 * 0.1 * 4.25)
    assert math.isfinite(float(trt_penalty([weight], 2000, strength=0.1, decay=0.7)))  # exp(1400) overflows


def test_trt_is_tet_plus_penalty() -> None:
    scores, labels, weight = torch.randn(2, 3, 4), torch.tensor([0, 2]), torch.ones(2, 2)
    tet = readout_loss(scores, labels, LossConfig(mse_weight=0.1), [weight])
    trt = readout_loss(scores, labels, LossConfig(name="trt", mse_weight=0.1, trt_strength=0.01), [weight])
    assert float(trt - tet) == pytest.approx(float(trt_penalty([weight], 4, strength=0.01)), rel=1e-3)
    assert float(tet) == pytest.approx(float(tet_loss(scores, labels, mse_weight=0.1)))
