"""Network files: reading, writing, the group ``/aoi``, and the rules of what NetX and the chip can execute."""

from aoi.netx.description import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    Neuron,
    Readout,
    Sigma,
    SigmaDelta,
)
from aoi.netx.metadata import CutoffPolicy, Metadata
from aoi.netx.read import NetworkFile, read_network
from aoi.netx.rules import RuleViolation, overflow_warnings, violations, worst_case_current
from aoi.netx.write import update_metadata, write_network

__all__ = [
    "Conv",
    "Cuba",
    "CutoffPolicy",
    "Delta",
    "Dense",
    "Input",
    "Layer",
    "Metadata",
    "NetworkDescription",
    "NetworkFile",
    "Neuron",
    "Readout",
    "RuleViolation",
    "Sigma",
    "SigmaDelta",
    "overflow_warnings",
    "read_network",
    "update_metadata",
    "violations",
    "worst_case_current",
    "write_network",
]
