"""Augmentation of the events behind spike tensors: flip, roll, time jitter, and mixing of two recordings.

Tonic's transforms do what tonic has, on the events of a whole batch at once: a spike is an event of its pixel and
polarity in its timestep. They draw from numpy's global generator, which is seeded for them and put back afterwards, so
that a step depends on its own generator alone and a resumed run repeats it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch.nn import functional

from aoi.errors import ConfigError
from aoi.events.sets import find_set
from aoi.experiment.augment import AugmentConfig

_FIELDS = np.dtype([("n", "<i8"), ("p", "<i8"), ("y", "<i8"), ("x", "<i8"), ("t", "<f8")])


def augment_events(
    spikes: torch.Tensor, labels: torch.Tensor, config: AugmentConfig, generator: torch.Generator, mirror: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Spikes 0/1 (N, C, H, W, T) float32 and labels int64 (N,) → the same shape, still 0 or 1, and the labels.

    ``mirror``: what becomes of each class when it is flipped, int64 (classes,). With ``mix`` the labels are shares
    float32 (N, classes). ``generator`` is the CPU's; where all of it is off it is not touched.
    """
    if config.flip or config.roll or config.jitter:
        flipped = torch.rand(len(spikes), generator=generator) < config.flip
        spikes = _moved(spikes, config, generator, flipped)
        labels = torch.where(flipped.to(labels.device), mirror.to(labels.device)[labels], labels)
    return _mixed(spikes, labels, config.mix, generator, len(mirror)) if config.mix else (spikes, labels)


def _moved(
    spikes: torch.Tensor, config: AugmentConfig, generator: torch.Generator, flipped: torch.Tensor
) -> torch.Tensor:
    from tonic.transforms import RandomFlipLR, TimeJitter

    samples, channels, height, width, steps = spikes.shape
    shift = torch.randint(-config.roll, config.roll + 1, (2, samples), generator=generator).numpy()
    seed = int(torch.randint(2**31, (), generator=generator))
    places = spikes.nonzero(as_tuple=True)
    events = np.empty(len(places[0]), dtype=_FIELDS)
    for name, place in zip(_FIELDS.names or (), places, strict=True):
        events[name] = place.cpu().numpy()
    with _numpy_seed(seed):
        if config.flip:
            chosen = flipped.numpy()[events["n"]]
            events[chosen] = RandomFlipLR((width, height, channels), p=1)(events[chosen])
        if config.roll:  # tonic has none
            for axis, size, by in (("x", width, shift[0]), ("y", height, shift[1])):
                events[axis] = (events[axis] + by[events["n"]]) % size
        if config.jitter:
            events["t"] += np.random.random_sample(len(events))  # noqa: NPY002 - where in its step nobody knows
            events = TimeJitter(config.jitter, clip_negative=True)(events)
            events = events[events["t"] < steps]
    moved = torch.zeros_like(spikes)
    moved[tuple(torch.from_numpy(events[name].astype(np.int64)) for name in _FIELDS.names or ())] = 1
    return moved


def _mixed(
    spikes: torch.Tensor, labels: torch.Tensor, share: float, generator: torch.Generator, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix (arXiv 1905.04899) on events: a box of pixels is another sample's at all steps, as each step is to be
    right; the labels are mixed by the share of the spikes that each gave."""
    samples, _, height, width, _ = spikes.shape
    chosen = torch.rand(samples, generator=generator) < share
    other = torch.randperm(samples, generator=generator).to(spikes.device)
    side = torch.rand(samples, 1, generator=generator).sqrt()  # of the box, which covers uniform shares of the area
    inside = chosen[:, None, None]
    for size, shape in ((height, (samples, height, 1)), (width, (samples, 1, width))):
        centre = torch.rand(samples, 1, generator=generator)
        if size > 1:  # a cochlea's only row is in every box
            pixels = (torch.arange(size) + 0.5) / size
            inside = inside & ((pixels - centre).abs() < side / 2).view(shape)
    box = inside.expand(samples, height, width)[:, None, :, :, None].to(spikes.device)
    theirs = spikes[other]
    given = (theirs * box).sum((1, 2, 3, 4))
    total = given + (spikes * ~box).sum((1, 2, 3, 4))
    weight = torch.where(total > 0, given / total.clamp(min=1), 0.0)[:, None]
    shares = functional.one_hot(labels, classes).float()
    return torch.where(box, theirs, spikes), (1 - weight) * shares + weight * shares[other]


@contextmanager
def _numpy_seed(seed: int) -> Iterator[None]:
    before = np.random.get_state()  # noqa: NPY002 - tonic's generator
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def mirror_table(mirror: Mapping[str, str], classes: Sequence[str]) -> torch.Tensor:
    """Pairs of classes that a mirror swaps → what becomes of each class, int64 (classes,). Raises ConfigError."""
    place = {name: index for index, name in enumerate(classes)}
    table = torch.arange(len(classes))
    for pair in mirror.items():
        for name in pair:
            if name not in place:
                raise ConfigError(f"training.augment.mirror: {name!r} is not one of the classes {', '.join(classes)}")
        left, right = (place[name] for name in pair)
        if left == right or int(table[left]) != left or int(table[right]) != right:
            raise ConfigError(f"training.augment.mirror: {pair[0]!r} or {pair[1]!r} is in two pairs; each has one")
        table[left], table[right] = right, left
    return table


def check_flip(config: AugmentConfig, source: str) -> None:
    """Raises ConfigError where a flip would make wrong labels of a known data set's."""
    known = find_set(source)
    if not config.flip or (known is None and source.lower() != "digits"):
        return
    if known is None or known.mirror is None:
        raise ConfigError(
            f"training.augment.flip = {config.flip:g}: a mirror image of {known.name if known else 'digits'} "
            "is of none of its classes; leave it out"
        )
    if dict(known.mirror) != config.mirror:
        pairs = ", ".join(f"{left}: {right}" for left, right in known.mirror.items())
        raise ConfigError(f"training.augment.mirror: a flip of {known.name} needs {{{pairs}}}")
