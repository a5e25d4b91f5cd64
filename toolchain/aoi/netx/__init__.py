"""Network files: read one, write one, the group ``/aoi``, and what NetX and the chip cannot execute."""

from aoi.netx.description import (
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    Neuron,
    Sigma,
    SigmaDelta,
)
from aoi.netx.metadata import CutoffPolicy, Metadata, Readout
from aoi.netx.read import NetworkFile, read_network
from aoi.netx.rules import Failure, failures, overflow_warnings, worst_case_current
from aoi.netx.write import update_metadata, write_network

__all__ = [
    "Conv",
    "Cuba",
    "CutoffPolicy",
    "Delta",
    "Dense",
    "Failure",
    "Input",
    "Layer",
    "Metadata",
    "NetworkDescription",
    "NetworkFile",
    "Neuron",
    "Readout",
    "Sigma",
    "SigmaDelta",
    "failures",
    "overflow_warnings",
    "read_network",
    "update_metadata",
    "worst_case_current",
    "write_network",
]
