"""Which regulariser, how strong. No torch here: a configuration is checked before anything slow is imported."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RegulariserConfig(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["str", "rate", "none"] = "str"
    strength: float = Field(0.5, ge=0)
    target: float = Field(0.1, gt=0, lt=1, description="STF (str) or spikes a neuron and step (rate) aimed at")
    warmup_epochs: int = Field(0, ge=0, description="epochs before it acts")
