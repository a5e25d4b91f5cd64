"""The one table of the regularisers' names."""

from __future__ import annotations

from collections.abc import Callable

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden
from aoi_models.regularisers.rate import rate_penalty
from aoi_models.regularisers.rcs import rcs_penalty
from aoi_models.regularisers.str_factor import str_penalty

__all__ = ["PENALTIES", "Hidden", "Regulariser", "build"]

Regulariser = Callable[[list[Hidden], torch.Tensor, int], torch.Tensor]

PENALTIES = {"str": str_penalty, "rcs": rcs_penalty, "rate": rate_penalty}


def build(config: RegulariserConfig) -> Regulariser | None:
    """The penalty as a function of the hidden layers, of ``right`` bool (N, T), is the prediction correct at each
    step, and of the epoch, counted from 0. None where there is nothing to do."""
    if config.name == "none" or config.strength == 0:
        return None
    penalty = PENALTIES[config.name]

    def regulariser(layers: list[Hidden], right: torch.Tensor, epoch: int) -> torch.Tensor:
        strength = config.strength_in(epoch)
        return strength * penalty(layers, right, config) if strength else right.new_zeros((), dtype=torch.float32)

    return regulariser
