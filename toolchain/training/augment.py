"""Augmentation of spike tensors: small affine motions of the camera and dropped events, deterministic by seed.

What moves or mixes events is in :mod:`~toolchain.training.event_augment`.
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field


class AugmentConfig(BaseModel):
    """Each sample draws its own values, uniformly within ± the given range. All zero: no augmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shift: float = Field(0.0, ge=0, le=4096, description="pixels")
    rotate: float = Field(0.0, ge=0, le=180, description="degrees")
    scale: float = Field(0.0, ge=0, lt=1, description="fraction of the size")
    shear: float = Field(0.0, ge=0, lt=1)
    drop: float = Field(0.0, ge=0, lt=1, description="largest share of a sample's spikes that is left out")
    flip: float = Field(0.0, ge=0, le=1, description="share of samples that are mirrored, left to right")
    mirror: dict[str, str] = Field(default_factory=dict, description="classes that a mirror swaps; the others stay")
    roll: int = Field(0, ge=0, le=4096, description="pixels; what leaves the sensor comes back on its other side")
    jitter: float = Field(0.0, ge=0, le=4096, description="standard deviation of each event's time, in timesteps")
    mix: float = Field(0.0, ge=0, le=1, description="share of samples in which a box of pixels is another sample's")


def augment(spikes: torch.Tensor, config: AugmentConfig, generator: torch.Generator) -> torch.Tensor:
    """Spikes (N, C, H, W, T) float32 → the same shape, still 0 or 1 (nearest pixel). ``generator`` is the CPU's."""
    samples, channels, height, width, steps = spikes.shape

    def draw(reach: float) -> torch.Tensor:
        return (torch.rand(samples, generator=generator) * 2 - 1) * reach

    angle, size, shear = draw(math.radians(config.rotate)), 1 + draw(config.scale), draw(config.shear)
    theta = torch.zeros(samples, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = torch.cos(angle) * size
    theta[:, 0, 1] = shear - torch.sin(angle) * size
    theta[:, 1, 0] = torch.sin(angle) * size
    theta[:, 0, 2] = draw(2 * config.shift / width)
    theta[:, 1, 2] = draw(2 * config.shift / height) * (height > 1)  # a cochlea has one row, which stays
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
