"""Network files: read one, write one, the group ``/aoi``, and what NetX and the chip cannot execute."""

from toolchain.netx.description import (
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
from toolchain.netx.metadata import CutoffPolicy, Metadata, Readout
from toolchain.netx.read import NetworkFile, read_network
from toolchain.netx.rules import Failure, failures, overflow_warnings, worst_case_current
from toolchain.netx.write import update_metadata, write_network

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
