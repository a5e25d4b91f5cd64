"""Which loss on the readout: TET (arXiv 2202.11946), TRT (arXiv 2506.19256), or the plain mean output."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class LossConfig(BaseModel):
    """Which loss, on which reading of the readout.

    ``tet``: ``mean_t [(1 - mse_weight) * CE(o(t), y) + mse_weight * MSE(o(t), mse_target * onehot(y))]``, so that
    each timestep learns to be right; ``weight_steps`` makes the early ones count more. ``trt``: the same, plus the
    time-decaying penalty on the weights of :func:`~aoi_models.losses.trt_penalty`. ``mean``: ``CE(gain * mean output
    over all T steps, y)``, where only the end counts.

    ``o(t)`` is ``gain`` times what ``read`` names: ``sum``, the accumulated readout up to t, which is what the
    cutoff reads; ``mean``, the same divided by t; ``step``, what step t adds, as in the TET paper.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["tet", "trt", "mean"] = "tet"
    read: Literal["sum", "mean", "step"] = "sum"
    gain: float = Field(1.0, gt=0, description="factor on the readout before the softmax")
    weight_steps: float | None = Field(
        None, gt=0, description="steps in which the weight of a step falls to 1/e (tet, trt); left out: all the same"
    )
    mse_weight: float = Field(0.0, ge=0, le=1, description="TET's lambda")
    mse_target: float = Field(1.0, gt=0, description="TET's phi, the output wanted for the right class")
    trt_strength: float = Field(5e-5, ge=0, description="TRT's lambda")
    trt_decay: float = Field(0.5, ge=0, description="TRT's delta, for each step")
