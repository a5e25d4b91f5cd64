"""The process that feeds the network one timestep of spikes, or values, in each Lava step."""

from __future__ import annotations

from typing import Any

import numpy as np

from aoi_deploy.lava.actor import SampleModel
from aoi_deploy.lava.api import (
    CPU,
    AbstractProcess,
    LavaPyType,
    LoihiProtocol,
    OutPort,
    PyOutPort,
    implements,
    requires,
    tag,
)
from aoi_deploy.lava.feed import SampleFeed


class EventSource(AbstractProcess):
    """Sends the samples of ``feed`` one after another: T steps, then zeros until the monitor decides or the slot ends.

    ``slot`` is the fixed number of steps per sample, None for none. Between samples it waits for the next one, and the
    whole network waits with it: no step runs without input. The same holds between the steps of a sample that arrives
    step by step.
    """

    def __init__(self, *, shape: tuple[int, ...], feed: SampleFeed, slot: int | None = None) -> None:
        super().__init__(shape=shape, feed=feed, slot=slot)
        self.s_out = OutPort(shape=shape)


@implements(proc=EventSource, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyEventSourceModel(SampleModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._feed: SampleFeed = proc_params["feed"]
        self._slot: int | None = proc_params["slot"]
        self._silence = np.zeros(proc_params["shape"], dtype=np.uint8)
        self._sequence = 0
        self._step = 0  # number of steps sent of the current sample

    def run_spk(self) -> None:
        if self._step == self._slot:
            self.run_post_mgmt()
        if self._step < self._feed.parts:
            self._frames = self._feed.take(self._sequence, self._step)
            if self._slot is not None:  # once decided, its place in the feed may be overwritten before all is sent
                self._frames = self._frames.copy()
        self.s_out.send(self._frames[self._step] if self._step < len(self._frames) else self._silence)
        self._step += 1

    def post_guard(self) -> bool:
        return self.phase is self.Phase.POST_MGMT  # takes part in a management phase, never requests one

    def run_post_mgmt(self) -> None:
        self._feed.skip_remaining(self._step)
        self._sequence += 1
        self._step = 0
