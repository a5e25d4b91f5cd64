"""The network as one process with two ports; the tag of the run configuration selects its model."""

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

_SPIN_S = 100e-6  # about one step


class SpikingNetwork(AbstractProcess):
    """Receives spikes (or values) and sends the output layer's messages L steps later; shapes are Lava's, (W, H, C).

    ``stock``: the network as lava-dl builds it, and its input port. ``engine``: the engine of the same network, with
    the ``readout`` to send.
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
        if stock is not None:  # Lava finds the inner processes by their connections, as in lava-dl's blocks
            network, input_port = stock
            self.inp.connect(input_port)
            network.out.connect(self.out)


@implements(proc=SpikingNetwork, protocol=LoihiProtocol)
@tag("fixed_pt")
class PyStockNetworkModel(AbstractSubProcessModel):
    """lava-dl's graph: one process for the synapses and one for the neurons of each block."""

    def __init__(self, proc: AbstractProcess) -> None:
        pass


@implements(proc=SpikingNetwork, protocol=LoihiProtocol)
@requires(CPU)
@tag("fused")
class PyFusedNetworkModel(SampleModel):
    """The whole network in one process, on the engine, with the same spikes in the same Lava steps as the stock graph.

    The output of Lava step t depends on inputs up to step t - L only. Therefore it is sent first and the step reported
    as done; the next output is computed while the other processes run. Inputs are queued until they are needed.
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
        if len(os.sched_getaffinity(0)) > 1:  # the session pins it to a core of its own
            set_spin_time(_SPIN_S)

    def _start(self) -> None:
        self._engine.restart(self._state)
        self._inputs: deque[np.ndarray] = deque()
        self._outputs = deque(self._fill)  # first those that precede any effect of the input, then one at a time

    def run_spk(self) -> None:
        self.out.send(self._outputs.popleft().reshape(self._shape).T)
        self._inputs.append(self.inp.recv().T)

    def _spike(self) -> None:
        super()._spike()  # run_spk, and the report to the runtime service
        if not self._outputs:
            frame = self._inputs.popleft().reshape(1, *self._engine.description.input_shape)
            self._outputs.append(self._engine.step(self._state, frame, readout=self._readout)[0])

    def post_guard(self) -> bool:
        return self.phase is self.Phase.POST_MGMT  # takes part in a management phase, never requests one

    def run_post_mgmt(self) -> None:
        self._start()
