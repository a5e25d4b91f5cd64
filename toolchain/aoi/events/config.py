"""Where recordings come from and how they are split: part of a configuration and of a network file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from aoi.events.digits import DigitsOptions
from aoi.events.splits import SplitOptions


class DataConfig(BaseModel):
    """A source of recordings and its division into splits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field("digits", min_length=1, description="name of a data set, or a folder Train|Test/<label>/*")
    splits: SplitOptions = SplitOptions()
    digits: DigitsOptions = DigitsOptions()
