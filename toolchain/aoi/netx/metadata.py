"""The ``/aoi`` group of a network file: all that a deployment needs beyond what NetX holds."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from aoi.choices import Readout
from aoi.events.config import DataConfig
from aoi.events.encoding import Encoding

SCHEMA_VERSION = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CutoffPolicy(_Frozen):
    """The stopping rule and the evidence of its calibration; ``cutoff.rule.rule_of_policy`` makes it a rule."""

    rule: str = Field("confidence", pattern="^[a-z-]{1,40}$", description="name of the rule, without its threshold")
    threshold: float = Field(gt=0.0, allow_inf_nan=False, description="smallest statistic that stops the run")
    scale: float = Field(
        gt=0.0,
        allow_inf_nan=False,
        description="factor on the accumulated readout before the softmax (1 / temperature)",
    )
    params: dict[str, Any] = Field(default_factory=dict, description="what the rule needs beyond: units, quantiles, …")
    evidence: dict[str, Any] = Field(default_factory=dict, description="how it was chosen: split, samples, drop, …")


class Metadata(_Frozen):
    """Contents of ``/aoi``. Stored as one JSON text; the recordings used are a separate array of fingerprints."""

    schema_version: int = SCHEMA_VERSION
    encoding: Encoding | None = None
    classes: tuple[str, ...] = ()
    readout: Readout = "spikes"
    policy: CutoffPolicy | None = None
    data: DataConfig | None = None
    provenance: dict[str, Any] = Field(default_factory=dict, description="configuration, data, package versions")
