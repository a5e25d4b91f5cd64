"""Regularisers on the activity of layers over time, as functions for any training loop.

With stock ``lava.lib.dl.slayer`` blocks in your own module:

    from aoi_models.losses import tet_loss
    from aoi_models.regularisers import observe, str_penalty

    with observe(net) as layers:
        scores = net(spikes).cumsum(-1)
    correct = scores.argmax(1) == labels[:, None]
    loss = tet_loss(scores, labels) + 0.5 * str_penalty(layers.hidden, correct)

Names are imported on first use, because importing SLAYER takes seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aoi_models.regularisers.base import Regulariser, build
    from aoi_models.regularisers.hidden import Hidden
    from aoi_models.regularisers.observed import Observed, observe
    from aoi_models.regularisers.rate import rate_penalty
    from aoi_models.regularisers.rcs import rcs_penalty
    from aoi_models.regularisers.str_factor import spatial_temporal_factor, str_penalty

__all__ = [
    "Hidden",
    "Observed",
    "Regulariser",
    "build",
    "observe",
    "rate_penalty",
    "rcs_penalty",
    "spatial_temporal_factor",
    "str_penalty",
]

_HOMES = {
    "Hidden": "hidden",
    "Observed": "observed",
    "Regulariser": "base",
    "build": "base",
    "observe": "observed",
    "rate_penalty": "rate",
    "rcs_penalty": "rcs",
    "spatial_temporal_factor": "str_factor",
    "str_penalty": "str_factor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
