"""The ``/aoi`` group of a network file: everything a deployment needs in addition to NetX's layers."""

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
    """The stopping rule, with the evidence of its calibration. ``cutoff.rule.rule_of_policy`` makes the rule."""

    rule: str = Field("confidence", pattern="^[a-z-]{1,40}$", description="name of the rule, without its threshold")
    threshold: float = Field(gt=0.0, allow_inf_nan=False, description="smallest statistic that stops the run")
    scale: float = Field(
        gt=0.0,
        allow_inf_nan=False,
        description="factor on the accumulated readout before the softmax (1 / temperature)",
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="further parameters of the rule, such as units or quantiles"
    )
    evidence: dict[str, Any] = Field(default_factory=dict, description="of the calibration: split, samples, drop, …")


class Metadata(_Frozen):
    """Content of ``/aoi``, stored as one JSON text. Fingerprints of the training recordings are a separate array."""

    schema_version: int = SCHEMA_VERSION
    encoding: Encoding | None = None
    classes: tuple[str, ...] = ()
    readout: Readout = "spikes"
    policy: CutoffPolicy | None = None
    data: DataConfig | None = None
    provenance: dict[str, Any] = Field(default_factory=dict, description="configuration, data, package versions")
