"""Which regulariser, how strong. No torch here: a configuration is checked before anything slow is imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(gt=0, lt=1)]


class RegulariserConfig(BaseModel):
    """One table for all: ``strength`` and the epochs hold for each of them, the rest for those that it names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: Literal["str", "rcs", "rate", "none"] = "str"
    strength: float = Field(0.5, ge=0)
    target: Share | Annotated[tuple[Share, ...], Field(min_length=1)] = Field(
        0.1, description="STF (str) or spikes a neuron and step (rate) aimed at; one number, or one a hidden layer"
    )
    early_target: Share | None = Field(
        None, description="str: STF aimed at in the first step, from where it falls to target; left out: target"
    )
    fall_steps: float = Field(3.0, gt=0, description="str: steps in which that distance falls to 1/e")
    weight_steps: float | None = Field(
        None, gt=0, description="str: steps in which the weight of a step falls to 1/e; left out: all weigh the same"
    )
    correct: Literal["end", "step"] = Field(
        "end", description="str: a prediction counts as correct if it is at T, or step by step"
    )
    wrong: bool = Field(False, description="str: treat wrong predictions too")
    wrong_target: Share | None = Field(None, description="str: STF aimed at for them; left out: as for correct ones")
    warmup_epochs: int = Field(0, ge=0, description="epochs before it acts")
    ramp_epochs: int = Field(0, ge=0, description="epochs after those in which its strength grows from 0")

    def strength_in(self, epoch: int) -> float:
        """Strength in an epoch, counted from 0."""
        acting = epoch - self.warmup_epochs
        if acting < 0:
            return 0.0
        return self.strength * min(1.0, (acting + 1) / (self.ramp_epochs + 1))

    def targets(self, layers: int) -> tuple[float, ...]:
        """One a hidden layer; ValueError where their number is another."""
        if not isinstance(self.target, tuple):
            return (self.target,) * layers
        if len(self.target) != layers:
            raise ValueError(f"{len(self.target)} targets for {layers} hidden layers; give one number, or one a layer")
        return self.target
