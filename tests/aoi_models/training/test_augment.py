"""Augmentation moves spikes, keeps them binary and depends only on its generator."""

from __future__ import annotations

import torch

from aoi.experiment.augment import AugmentConfig
from aoi_models.training.augment import augment

SPIKES = (torch.rand(6, 2, 17, 15, 8, generator=torch.Generator().manual_seed(0)) < 0.2).float()


def apply(config: AugmentConfig, seed: int = 1) -> torch.Tensor:
    return augment(SPIKES, config, torch.Generator().manual_seed(seed))


def test_no_augmentation_changes_nothing() -> None:
    assert torch.equal(apply(AugmentConfig()), SPIKES)


def test_spikes_stay_binary_and_repeat_by_seed() -> None:
    config = AugmentConfig(shift=2, rotate=15, scale=0.2, shear=0.1, drop=0.3)
    moved = apply(config)
    assert set(moved.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(moved, apply(config))
    assert not torch.equal(moved, apply(config, seed=2))
    assert not torch.equal(moved, SPIKES)


def test_a_shift_moves_all_steps_of_a_sample_alike() -> None:
    moved = apply(AugmentConfig(shift=3))
    for sample in range(len(SPIKES)):
        found = [
            (dy, dx)
            for dy in range(-4, 5)
            for dx in range(-4, 5)
            if torch.equal(_shifted(SPIKES[sample], dy, dx), moved[sample])
        ]
        assert found, f"sample {sample} is not a shift of the original"


def _shifted(spikes: torch.Tensor, dy: int, dx: int) -> torch.Tensor:
    """spikes[y + dy, x + dx], zero outside."""
    padded = torch.nn.functional.pad(spikes, (0, 0, 4, 4, 4, 4))
    _, height, width, _ = spikes.shape
    return padded[:, 4 + dy : 4 + dy + height, 4 + dx : 4 + dx + width]


def test_dropping_adds_no_spike() -> None:
    dropped = apply(AugmentConfig(drop=0.5))
    assert (dropped <= SPIKES).all()
    assert 0.5 < float(dropped.sum() / SPIKES.sum()) < 0.95


def test_one_row_of_channels_stays_a_row() -> None:
    row = torch.zeros(6, 1, 1, 40, 3)
    row[..., 20, :] = 1
    moved = augment(row, AugmentConfig(shift=5), torch.Generator().manual_seed(0))
    assert (moved.sum((1, 2, 3, 4)) == 3).all()
    assert not torch.equal(moved, row)
