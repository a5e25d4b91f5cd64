"""Event augmentation: each kind, binary spikes, and random draws only from the given generator."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aoi.errors import ConfigError
from aoi.experiment.augment import AugmentConfig
from aoi.experiment.loss import LossConfig
from aoi_models.losses import readout_loss
from aoi_models.training.event_augment import augment_events, check_flip, mirror_table

SPIKES = (torch.rand(8, 2, 6, 9, 12, generator=torch.Generator().manual_seed(0)) < 0.1).float()
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
CLASSES = ("a", "left", "right", "b")
MIRROR = mirror_table({"left": "right"}, CLASSES)


def apply(seed: int = 1, spikes: torch.Tensor = SPIKES, **values: float) -> tuple[torch.Tensor, torch.Tensor]:
    return augment_events(spikes, LABELS, AugmentConfig(**values), torch.Generator().manual_seed(seed), MIRROR)


def test_switched_off_it_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    spikes, labels = augment_events(SPIKES, LABELS, AugmentConfig(shift=2, drop=0.1), generator, MIRROR)
    assert spikes is SPIKES
    assert labels is LABELS
    assert torch.equal(generator.get_state(), before)


def test_repeats_by_seed_and_restores_numpys_generator() -> None:
    values = {"flip": 0.5, "roll": 3, "jitter": 1.0, "mix": 0.7}
    before = str(np.random.get_state())  # noqa: NPY002
    first, again, other = apply(**values), apply(**values), apply(seed=2, **values)
    assert str(np.random.get_state()) == before  # noqa: NPY002
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert set(first[0].unique().tolist()) == {0.0, 1.0}


def test_flip_mirrors_and_swaps_labels() -> None:
    spikes, labels = apply(flip=1)
    assert torch.equal(spikes, SPIKES.flip(3))
    assert labels.tolist() == [0, 2, 1, 3, 0, 2, 1, 3]
    spikes, labels = apply(flip=0.5)
    flipped = [not torch.equal(a, b) for a, b in zip(spikes, SPIKES, strict=True)]
    assert 0 < sum(flipped) < 8
    assert torch.equal(labels, torch.where(torch.tensor(flipped), MIRROR[LABELS], LABELS))
    for index, flip in enumerate(flipped):
        assert torch.equal(spikes[index], SPIKES[index].flip(2) if flip else SPIKES[index])


def test_roll_keeps_every_spike() -> None:
    rolled, labels = apply(roll=2)
    assert torch.equal(labels, LABELS)
    for index, spikes in enumerate(SPIKES):
        shifts = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
        assert any(torch.equal(rolled[index], spikes.roll(shift, (1, 2))) for shift in shifts)


def test_jitter_moves_only_in_time_and_without_bias() -> None:
    one = torch.zeros(400, 1, 1, 4, 101)
    one[..., 50] = 1
    config, generator = AugmentConfig(jitter=2), torch.Generator().manual_seed(0)
    moved, _ = augment_events(one, torch.zeros(400, dtype=torch.int64), config, generator, MIRROR)
    steps = moved.nonzero()[:, -1].float()
    assert len(steps) == 1600
    assert abs(float(steps.mean()) - 50) < 0.2
    assert float(steps.std()) == pytest.approx(2.03, abs=0.15)
    jittered, _ = apply(jitter=1.0)
    assert (jittered.sum(-1) <= SPIKES.sum(-1)).all()  # some leave the window, some merge in one step


def test_mix_takes_a_box_and_weighs_labels_by_spikes() -> None:
    mixed, shares = apply(mix=1)
    assert shares.shape == (8, 4)
    assert torch.allclose(shares.sum(1), torch.ones(8))
    assert ((shares > 0).sum(1) == 2).any()
    for index in range(8):
        matches = []
        for other in range(8):
            same, theirs = (mixed[index] == spikes for spikes in (SPIKES[index], SPIKES[other]))
            differs = ~same.all(0).all(-1)  # pixels that come from another sample
            rows, columns = differs.nonzero().unbind(1)
            box = torch.zeros(6, 9, dtype=torch.bool)
            if len(rows):
                box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
            share = SPIKES[other][:, box].sum() / mixed[index].sum()
            matches.append(theirs[:, box].all() and abs(float(shares[index, LABELS[index]] - (1 - share))) < 0.2)
        assert any(matches)
    assert torch.equal(apply(mix=0.0)[1], LABELS)


def test_mix_of_a_single_row_takes_channels() -> None:
    row = (torch.rand(8, 1, 1, 50, 6, generator=torch.Generator().manual_seed(0)) < 0.3).float()
    mixed, shares = apply(spikes=row, mix=1)
    assert not torch.equal(mixed, row)
    empty, shares = apply(spikes=torch.zeros_like(row), mix=1)
    assert not empty.any()
    assert torch.equal(shares.argmax(1), LABELS)


@pytest.mark.parametrize("name", ["tet", "mean", "trt"])
def test_one_hot_shares_give_the_loss_of_the_label(name: str) -> None:
    scores = torch.randn(8, 4, 12, generator=torch.Generator().manual_seed(0))
    config = LossConfig(name=name, mse_weight=0.2)
    hard = readout_loss(scores, LABELS, config)
    soft = readout_loss(scores, torch.nn.functional.one_hot(LABELS, 4).float(), config)
    assert float(hard) == pytest.approx(float(soft), rel=1e-6)


def test_impossible_mirrors_are_refused() -> None:
    with pytest.raises(ConfigError, match="'up' is not one of the classes a, left"):
        mirror_table({"left": "up"}, CLASSES)
    with pytest.raises(ConfigError, match="two pairs"):
        mirror_table({"left": "right", "a": "left"}, CLASSES)
    check_flip(AugmentConfig(), "digits")
    check_flip(AugmentConfig(flip=0.5), "CIFAR10DVS")
    for source in ("digits", "NMNIST", "shd"):
        with pytest.raises(ConfigError, match=r"flip = 0\.5: mirror images of .* leave flip out"):
            check_flip(AugmentConfig(flip=0.5), source)
    with pytest.raises(ConfigError, match="Right hand wave: Left hand wave"):
        check_flip(AugmentConfig(flip=0.5), "dvsgesture")
