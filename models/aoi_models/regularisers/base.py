"""The table of regularisers, and the penalty that a configuration names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from aoi.experiment.regulariser import RegulariserConfig
from aoi_models.regularisers.hidden import Hidden
from aoi_models.regularisers.rate import rate_penalty
from aoi_models.regularisers.rcs import rcs_penalty
from aoi_models.regularisers.str_factor import str_penalty

__all__ = ["PENALTIES", "Regulariser", "build"]

Regulariser = Callable[[Sequence[Hidden], torch.Tensor, int], torch.Tensor]


def _str(layers: Sequence[Hidden], correct: torch.Tensor, config: RegulariserConfig) -> torch.Tensor:
    return str_penalty(
        layers,
        correct,
        target=config.target,
        early_target=config.early_target,
        fall_steps=config.fall_steps,
        weight_steps=config.weight_steps,
        correct_at=config.correct,
        wrong=config.wrong,
        wrong_target=config.wrong_target,
    )


PENALTIES: dict[str, Callable[[Sequence[Hidden], torch.Tensor, RegulariserConfig], torch.Tensor]] = {
    "str": _str,
    "rcs": lambda layers, correct, _: rcs_penalty(layers, correct),
    "rate": lambda layers, _, config: rate_penalty(layers, target=config.target),
}


def build(config: RegulariserConfig) -> Regulariser | None:
    """The penalty that a configuration names, times its strength; None if there is none.

    The result is a function of the hidden layers, of ``correct``, bool (N, T): whether the prediction is correct at
    each step, and of the epoch, from 0. It returns a scalar.
    """
    if config.name == "none" or config.strength == 0:
        return None
    penalty = PENALTIES[config.name]

    def regulariser(layers: Sequence[Hidden], correct: torch.Tensor, epoch: int) -> torch.Tensor:
        strength = config.strength_in(epoch)
        return strength * penalty(layers, correct, config) if strength else correct.new_zeros((), dtype=torch.float32)

    return regulariser
