"""TET against its formula, written out."""

from __future__ import annotations

import math

import pytest
import torch

from toolchain.training.losses import LossConfig, step_outputs, tet_loss


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
    config = LossConfig(read=read, gain=1.7)
    expected = {
        "sum": spikes.cumsum(-1),
        "mean": spikes.cumsum(-1) / torch.arange(1, 7),
        "step": spikes,
    }[read] * 1.7
    assert torch.allclose(step_outputs(spikes.cumsum(-1), config), expected)
    assert float(tet_loss(spikes.cumsum(-1), labels, config)) == pytest.approx(naive_cross_entropy(expected, labels))


def test_mse_term() -> None:
    scores = torch.tensor([[[1.0, 2.0], [0.0, 4.0]]])
    labels = torch.tensor([1])
    config = LossConfig(read="sum", mse_weight=0.25, mse_target=3.0)
    mse = ((1 - 0) ** 2 + (2 - 0) ** 2 + (0 - 3) ** 2 + (4 - 3) ** 2) / 4
    expected = 0.75 * naive_cross_entropy(scores, labels) + 0.25 * mse
    assert float(tet_loss(scores, labels, config)) == pytest.approx(expected)


def test_gradient_reaches_every_step() -> None:
    scores = torch.zeros(2, 3, 5, requires_grad=True)
    tet_loss(scores, torch.tensor([0, 1]), LossConfig()).backward()
    assert scores.grad is not None
    assert (scores.grad.abs().sum((0, 1)) > 0).all()
