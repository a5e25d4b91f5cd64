"""Augmentation of spike tensors by small affine motions of the camera and dropped events, deterministic by seed.

:mod:`~aoi_models.training.event_augment` flips, rolls, jitters and mixes events.
"""

from __future__ import annotations

import math

import torch

from aoi.experiment.augment import AugmentConfig


def augment(spikes: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Augments spikes float32 (N, C, H, W, T), 0 or 1, to the same shape and values (nearest-pixel interpolation).

    ``generator``: a CPU generator.
    """
    samples, channels, height, width, steps = spikes.shape

    def draw(largest: float) -> torch.Tensor:
        return (torch.rand(samples, generator=generator) * 2 - 1) * largest

    angle, size, shear = draw(math.radians(config.rotate)), 1 + draw(config.scale), draw(config.shear)
    theta = torch.zeros(samples, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * size
    theta[:, 0, 1] = shear - torch.sin(angle) * size
    theta[:, 1, 0] = torch.sin(angle) * size
    theta[:, 0, 2] = draw(2 * config.shift / width)
    theta[:, 1, 2] = draw(2 * config.shift / height) * (height > 1)  # a cochlea has a single row
    drop = torch.rand(samples, 1, 1, 1, 1, generator=generator) * config.drop
    if config.shift or config.rotate or config.scale or config.shear:
        grid = torch.nn.functional.affine_grid(
            theta.to(spikes.device), [samples, 1, height, width], align_corners=False
        )
        frames = spikes.movedim(-1, 2).reshape(samples, channels * steps, height, width)
        frames = torch.nn.functional.grid_sample(frames, grid, mode="nearest", align_corners=False)
        spikes = frames.view(samples, channels, steps, height, width).movedim(2, -1)
    if config.drop:
        spikes = spikes * (torch.rand(spikes.shape, generator=generator) >= drop).to(spikes.device)
    return spikes
