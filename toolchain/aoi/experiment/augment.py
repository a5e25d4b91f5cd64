"""How recordings are varied in training: small motions of the camera, lost, moved and mixed events."""

from __future__ import annotations

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
