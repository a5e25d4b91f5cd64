"""What a regulariser looks at."""

from __future__ import annotations

from typing import NamedTuple

from models.blocks import LayerActivity


class Hidden(NamedTuple):
    """A hidden layer's activity with its threshold (SLAYER's units)."""

    activity: LayerActivity
    threshold: float
