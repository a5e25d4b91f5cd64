"""The network as one process; the run configuration's tag decides what stands behind its two ports."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

import numpy as np

from aoi.engine import Engine
from aoi_deploy.lava.actor import SampleModel
from aoi_deploy.lava.api import (
    CPU,
    AbstractProcess,
    AbstractSubProcessModel,
    InPort,
    LavaPyType,
    LoihiProtocol,
    OutPort,
    PyInPort,
    PyOutPort,
    implements,
    requires,
    tag,
)
from aoi_deploy.lava.channel import set_spin_time

_SPIN_S = 100e-6  # about a step


class SpikingNetwork(AbstractProcess):
    """Takes spikes (or values) and sends what the output layer sends, L steps later; shapes are Lava's, (W, H, C).

    ``stock``: the network as lava-dl builds it, and the port that takes its input. ``engine``: the same as an engine,
    with the ``readout`` to send.
    """

    def __init__(
        self,
        *,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
        stock: tuple[AbstractProcess, Any] | None = None,
        engine: Engine | None = None,
        readout: str = "spikes",
    ) -> None:
        super().__init__(output_shape=output_shape, engine=engine, readout=readout)
        self.inp = InPort(shape=input_shape)
        self.out = OutPort(shape=output_shape)
        if stock is not None:  # as lava-dl's blocks hold their parts: Lava finds them by their connections
            network, entry = stock
            self.inp.connect(entry)
            network.out.connect(self.out)


@implements(proc=SpikingNetwork, protocol=LoihiProtocol)
@tag("fixed_pt")
class PyStockNetworkModel(AbstractSubProcessModel):
    """Lava's own graph: one process for the synapses and one for the neurons of each block."""

    def __init__(self, proc: AbstractProcess) -> None:
        pass


@implements(proc=SpikingNetwork, protocol=LoihiProtocol)
@requires(CPU)
@tag("fused")
class PyFusedNetworkModel(SampleModel):
    """The whole network in one process, on the engine: the same spikes in the same Lava steps as the stock graph.

    What the output layer sends in Lava step t depends on inputs up to step t - L. So it is sent first, the step is
    reported as done, and the next one is computed while the other processes are at work; inputs wait here until they
    are due.
    """

    inp: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._engine: Engine = proc_params["engine"]
        self._readout: Any = proc_params["readout"]
        self._shape = tuple(reversed(proc_params["output_shape"]))  # C, H, W
        self._fill = list(self._engine.pipeline_fill(self._readout))
        self._state = self._engine.start()
        self._start()
        if len(os.sched_getaffinity(0)) > 1:  # it gets a core of its own
            set_spin_time(_SPIN_S)

    def _start(self) -> None:
        self._engine.restart(self._state)
        self._waiting: deque[np.ndarray] = deque()
        self._ahead = deque(self._fill)  # what is sent before the first input shows, then one step at a time

    def run_spk(self) -> None:
        self.out.send(self._ahead.popleft().reshape(self._shape).T)
        self._waiting.append(self.inp.recv().T)

    def _spike(self) -> None:
        super()._spike()  # run_spk, and the report to the runtime service
        if not self._ahead:
            due = self._waiting.popleft().reshape(1, *self._engine.description.input_shape)
            self._ahead.append(self._engine.step(self._state, due, readout=self._readout)[0])

    def post_guard(self) -> bool:
        return self.phase is self.Phase.POST_MGMT  # takes part in a management phase, never asks for one

    def run_post_mgmt(self) -> None:
        self._start()
