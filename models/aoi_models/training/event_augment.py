"""Event augmentation of spike tensors: flip, roll, time jitter, and mixing of two recordings.

Tonic's transforms are used where they exist, on the events of a whole batch at once; each spike is an event at its
pixel, polarity and timestep. They draw from numpy's global generator, which is seeded before and restored afterwards:
a training step depends only on its own generator, and a resumed run repeats it.
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
    """Augments spikes float32 (N, C, H, W, T), 0 or 1, with labels int64 (N,).

    Returns spikes of the same shape, 0 or 1, and labels: int64 (N,), or with ``mix`` class shares float32 (N, classes).
    ``mirror``: the class of each class's mirror image, int64 (classes,). ``generator``: a CPU generator; nothing is
    drawn from it if all augmentation is off.
    """
    if config.flip or config.roll or config.jitter:
        flipped = torch.rand(len(spikes), generator=generator) < config.flip
        spikes = _move_events(spikes, config, generator, flipped)
        labels = torch.where(flipped.to(labels.device), mirror.to(labels.device)[labels], labels)
    return _cutmix(spikes, labels, config.mix, generator, len(mirror)) if config.mix else (spikes, labels)


def _move_events(
    spikes: torch.Tensor, config: AugmentConfig, generator: torch.Generator, flipped: torch.Tensor
) -> torch.Tensor:
    from tonic.transforms import RandomFlipLR, TimeJitter

    samples, channels, height, width, steps = spikes.shape
    shift = torch.randint(-config.roll, config.roll + 1, (2, samples), generator=generator).numpy()
    seed = int(torch.randint(2**31, (), generator=generator))
    indices = spikes.nonzero(as_tuple=True)
    events = np.empty(len(indices[0]), dtype=_FIELDS)
    for name, index in zip(_FIELDS.names or (), indices, strict=True):
        events[name] = index.cpu().numpy()
    with _numpy_seed(seed):
        if config.flip:
            chosen = flipped.numpy()[events["n"]]
            events[chosen] = RandomFlipLR((width, height, channels), p=1)(events[chosen])
        if config.roll:  # tonic has no roll
            for axis, size, by in (("x", width, shift[0]), ("y", height, shift[1])):
                events[axis] = (events[axis] + by[events["n"]]) % size
        if config.jitter:
            events["t"] += np.random.random_sample(len(events))  # noqa: NPY002 - its time within the step is unknown
            events = TimeJitter(config.jitter, clip_negative=True)(events)
            events = events[events["t"] < steps]
    moved = torch.zeros_like(spikes)
    moved[tuple(torch.from_numpy(events[name].astype(np.int64)) for name in _FIELDS.names or ())] = 1
    return moved


def _cutmix(
    spikes: torch.Tensor, labels: torch.Tensor, share: float, generator: torch.Generator, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """CutMix (arXiv 1905.04899) on events: a box of pixels comes from another sample, at all steps.

    The labels are mixed by the share of spikes from each of the two samples.
    """
    samples, _, height, width, _ = spikes.shape
    chosen = torch.rand(samples, generator=generator) < share
    other = torch.randperm(samples, generator=generator).to(spikes.device)
    side = torch.rand(samples, 1, generator=generator).sqrt()  # of the box; its share of the area is uniform
    inside = chosen[:, None, None]
    for size, shape in ((height, (samples, height, 1)), (width, (samples, 1, width))):
        centre = torch.rand(samples, 1, generator=generator)
        if size > 1:  # the only row of a cochlea is in every box
            pixels = (torch.arange(size) + 0.5) / size
            inside = inside & ((pixels - centre).abs() < side / 2).view(shape)
    box = inside.expand(samples, height, width)[:, None, :, :, None].to(spikes.device)
    theirs = spikes[other]
    their_spikes = (theirs * box).sum((1, 2, 3, 4))
    total = their_spikes + (spikes * ~box).sum((1, 2, 3, 4))
    weight = torch.where(total > 0, their_spikes / total.clamp(min=1), 0.0)[:, None]
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
    """The class of each class's mirror image, int64 (classes,), from the pairs of classes that a mirror swaps.

    Raises ConfigError if a pair names an unknown class, or a class is in two pairs.
    """
    index_of = {name: index for index, name in enumerate(classes)}
    table = torch.arange(len(classes))
    for pair in mirror.items():
        for name in pair:
            if name not in index_of:
                raise ConfigError(f"training.augment.mirror: {name!r} is not one of the classes {', '.join(classes)}")
        left, right = (index_of[name] for name in pair)
        if left == right or int(table[left]) != left or int(table[right]) != right:
            raise ConfigError(
                f"training.augment.mirror: {pair[0]!r} or {pair[1]!r} is in two pairs; name each class once"
            )
        table[left], table[right] = right, left
    return table


def check_flip(config: AugmentConfig, source: str) -> None:
    """Raises ConfigError if flipping recordings of a known data set would make their labels wrong."""
    known = find_set(source)
    if not config.flip or (known is None and source.lower() != "digits"):
        return
    if known is None or known.mirror is None:
        raise ConfigError(
            f"training.augment.flip = {config.flip:g}: mirror images of {known.name if known else 'digits'} "
            "belong to none of its classes; leave flip out"
        )
    if dict(known.mirror) != config.mirror:
        pairs = ", ".join(f"{left}: {right}" for left, right in known.mirror.items())
        raise ConfigError(f"training.augment.mirror: flipping {known.name} swaps classes; set it to {{{pairs}}}")
