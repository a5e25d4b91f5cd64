"""What a regulariser is, and the one table of their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from models.blocks import LayerActivity
from toolchain.training.regularisers.config import RegulariserConfig
from toolchain.training.regularisers.rate import rate_penalty
from toolchain.training.regularisers.str_factor import str_penalty


class Hidden(NamedTuple):
    """A hidden layer's activity with its threshold (SLAYER's units)."""

    activity: LayerActivity
    threshold: float


Regulariser = Callable[[list[Hidden], torch.Tensor], torch.Tensor]


def build(config: RegulariserConfig) -> Regulariser | None:
    """The penalty as a function of the hidden layers and of which samples are predicted correctly, bool (N,)."""
    if config.name == "none" or config.strength == 0:
        return None
    penalty = {"str": str_penalty, "rate": rate_penalty}[config.name]
    return lambda layers, correct: (
        config.strength
        * torch.stack([penalty(layer.activity, layer.threshold, correct, config.target) for layer in layers]).mean()
    )
