"""All names of Lava that deployments use, imported in this one place after ``aoi.compat`` has made Lava importable.

Importing this module takes about two seconds.
"""

from __future__ import annotations

from aoi.compat import enable_netx

enable_netx()

# ruff: noqa: E402
from lava.lib.dl.netx.blocks.process import AbstractBlock, Input
from lava.lib.dl.netx.hdf5 import AbstractPyBlockModel, NetDict, Network
from lava.magma.compiler.channels.pypychannel import CspRecvPort, CspSendPort, PyPyChannel
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.message_interface_enum import ActorType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess, ProcessServer
from lava.magma.core.process.variable import VarServer
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.magma.runtime.message_infrastructure.multiprocessing import MultiProcessing
from lava.magma.runtime.runtime import Runtime

__all__ = [
    "CPU",
    "AbstractBlock",
    "AbstractProcess",
    "AbstractPyBlockModel",
    "AbstractSubProcessModel",
    "ActorType",
    "CspRecvPort",
    "CspSendPort",
    "InPort",
    "Input",
    "LavaPyType",
    "Loihi2SimCfg",
    "LoihiProtocol",
    "MultiProcessing",
    "NetDict",
    "Network",
    "OutPort",
    "ProcessServer",
    "PyInPort",
    "PyLoihiProcessModel",
    "PyOutPort",
    "PyPyChannel",
    "RunSteps",
    "Runtime",
    "VarServer",
    "implements",
    "requires",
    "tag",
]
