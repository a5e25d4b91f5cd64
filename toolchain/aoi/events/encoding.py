"""How events become a spike tensor. The network file stores it, so that a deployment encodes identically."""

from __future__ import annotations

from math import prod
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_BITS = 1 << 33  # of one encoded recording: 1 GB
_Pixels = Annotated[int, Field(ge=1, le=32768)]
_Polarities = Annotated[int, Field(ge=1, le=2)]


class Encoding(BaseModel):
    """Events of one recording → spikes, uint8 (C, H, W, T), the timestep axis last (NCHWT without N).

    A pixel spikes in a bin if at least one event of its polarity falls into the bin: Loihi's input spikes are binary.
    Bin ``k`` holds the events with ``k * window_us / bins <= t - t_first < (k + 1) * window_us / bins``. Later events
    are dropped.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensor_size: tuple[_Pixels, _Pixels, _Polarities] = Field(description="width, height, polarities of the camera")
    window_us: int = Field(gt=0, description="length of the encoded window, µs")
    bins: int = Field(gt=0, le=4096, description="timesteps T")
    merge_polarities: bool = Field(False, description="one channel instead of ON and OFF")
    downsample: int = Field(1, ge=1, le=64, description="integer factor that reduces the resolution")
    denoise_us: int | None = Field(None, gt=0, description="drop events without a neighbour within this time, µs")

    @model_validator(mode="after")
    def _fits_in_memory(self) -> Encoding:
        if prod(self.shape) > MAX_BITS:
            raise ValueError(
                f"{'x'.join(map(str, self.shape))} spikes (C, H, W, T) are more than {MAX_BITS}; use fewer bins"
            )
        return self

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, H, W, T) of the spike tensor."""
        width, height, polarities = self.sensor_size
        channels = 1 if self.merge_polarities else polarities
        return channels, -(-height // self.downsample), -(-width // self.downsample), self.bins
