"""Configuration of the regulariser. Does not import torch, so that a configuration is checked quickly."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_Fraction = Annotated[float, Field(gt=0, lt=1)]


class RegulariserConfig(BaseModel):
    """Options of all regularisers. ``strength`` and the epochs apply to each; the others name those they apply to."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["str", "rcs", "rate", "none"] = "str"
    strength: float = Field(0.5, ge=0)
    target: _Fraction | Annotated[tuple[_Fraction, ...], Field(min_length=1)] = Field(
        0.1, description="target STF (str) or spikes per neuron and step (rate); one number, or one per hidden layer"
    )
    early_target: _Fraction | None = Field(
        None, description="str: target STF in the first step, from which it decays to target; left out: target"
    )
    fall_steps: float = Field(3.0, gt=0, description="str: time constant of that decay, in steps")
    weight_steps: float | None = Field(
        None, gt=0, description="str: time constant, in steps, of the decaying step weights; left out: equal weights"
    )
    correct: Literal["end", "step"] = Field(
        "end", description="str: whether a prediction counts as correct by its last step, or at each step"
    )
    wrong: bool = Field(False, description="str: regularise wrong predictions too")
    wrong_target: _Fraction | None = Field(
        None, description="str: target STF of wrong predictions; left out: as for correct ones"
    )
    warmup_epochs: int = Field(0, ge=0, description="first epochs, without regulariser")
    ramp_epochs: int = Field(0, ge=0, description="epochs after the warmup in which the strength grows from 0")

    def strength_in(self, epoch: int) -> float:
        """Strength in this epoch, from 0."""
        active_epochs = epoch - self.warmup_epochs
        if active_epochs < 0:
            return 0.0
        return self.strength * min(1.0, (active_epochs + 1) / (self.ramp_epochs + 1))

    def targets(self, layers: int) -> tuple[float, ...]:
        """One target per hidden layer. Raises ValueError if their number differs."""
        if not isinstance(self.target, tuple):
            return (self.target,) * layers
        if len(self.target) != layers:
            raise ValueError(
                f"{len(self.target)} targets for {layers} hidden layers; give one number, or one per layer"
            )
        return self.target
