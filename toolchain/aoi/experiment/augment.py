"""Configuration of data augmentation: small camera motions; dropped, moved and mixed events."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class AugmentConfig(BaseModel):
    """Each sample draws its values uniformly within ± the given range. All zero: no augmentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    shift: float = Field(0.0, ge=0, le=4096, description="pixels")
    rotate: float = Field(0.0, ge=0, le=180, description="degrees")
    scale: float = Field(0.0, ge=0, lt=1, description="fraction of the size")
    shear: float = Field(0.0, ge=0, lt=1, description="pixels along x per pixel along y")
    drop: float = Field(0.0, ge=0, lt=1, description="largest share of a sample's spikes that is dropped")
    flip: float = Field(0.0, ge=0, le=1, description="share of samples that are mirrored, left to right")
    mirror: dict[str, str] = Field(
        default_factory=dict, description="pairs of classes that a mirror swaps; the others keep their label"
    )
    roll: int = Field(0, ge=0, le=4096, description="pixels; events that leave the sensor re-enter on the other side")
    jitter: float = Field(0.0, ge=0, le=4096, description="standard deviation of each event's time, in timesteps")
    mix: float = Field(
        0.0, ge=0, le=1, description="share of samples in which a box of pixels is replaced by another sample's"
    )
