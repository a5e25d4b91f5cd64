"""The process that reads the network's output, decides, and ends the sample."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from aoi.cutoff.rule import Rule, softmax_peak
from aoi_deploy.lava.actor import SampleModel
from aoi_deploy.lava.api import (
    CPU,
    AbstractProcess,
    InPort,
    LavaPyType,
    LoihiProtocol,
    PyInPort,
    implements,
    requires,
    tag,
)
from aoi_deploy.lava.feed import RESULT, MonitorSettings


class CutoffMonitor(AbstractProcess):
    """Accumulates the readout and applies the stopping rule in each output step t = 1..T (Lava step t + L of a sample).

    When the rule stops, or at T, it requests a management phase, in which every process clears its state, and sends the
    result; the following Lava step is the first of the next sample. With slots of fixed length, it sends the result and
    waits for the next slot. With samples that arrive step by step, it sends the result immediately, as the Lava step
    ends only when the source has its next step.
    """

    def __init__(self, *, shape: tuple[int, ...], settings: MonitorSettings) -> None:
        super().__init__(shape=shape, settings=settings)
        self.s_in = InPort(shape=shape)


@implements(proc=CutoffMonitor, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCutoffMonitorModel(SampleModel):
    s_in: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self._settings: MonitorSettings = proc_params["settings"]
        self._rule: Rule | None = None
        self._memory: Any = None  # of the rule, for this sample
        self._scores = np.zeros((1, self._settings.groups), dtype=np.int64)
        self._sequence = 0
        self._begin = 0  # Lava's time step before the first step of the sample
        self._decided = False
        self._idle = False  # decided, waiting for the end of the slot

    def run_spk(self) -> None:
        self._settings.executed[0] = self.time_step
        # (W, H, C) → C, H, W order
        output = self.s_in.recv().T.reshape(1, -1)
        if output.size > self._settings.groups:
            output = output.reshape(1, self._settings.groups, -1).sum(axis=2, dtype=np.int64)
        slot = self._settings.slot
        if slot is not None and self.time_step - self._begin > slot:
            self._begin += slot
            self._idle = False
        step = self.time_step - self._begin - self._settings.latency
        if step < 1 or self._idle:
            return
        if step == 1:  # not earlier: the network's output runs one step ahead of a source that waits for a sample
            while self._settings.rules.poll():
                self._rule = self._settings.rules.recv()
            self._memory = self._rule.begin(1) if self._rule is not None else None
        self._scores = output.astype(np.int64) if self._settings.accumulated else self._scores + output
        self._decided = step == self._settings.steps
        if self._rule is not None:
            statistic, self._memory = self._rule.measure(self._scores, step, self._memory)
            self._decided |= bool(statistic[0] >= self._rule.threshold)
        if self._decided and slot is not None:
            self._send(step, slot)
            self._decided, self._idle = False, True
        elif self._decided and self._settings.stepwise:
            self._send(step, self.time_step - self._begin)
        elif self._settings.stepwise:
            self._settings.results.send_bytes(b"")

    def post_guard(self) -> bool:
        return self._decided

    def run_post_mgmt(self) -> None:
        if not self._settings.stepwise:
            executed = self.time_step - self._begin
            self._send(executed - self._settings.latency, executed)
        self._begin = self.time_step
        self._decided = False

    def _send(self, step: int, executed: int) -> None:
        confidence = self._rule.confidence(self._scores, step) if self._rule else softmax_peak(self._scores)
        # The other processes wait for this; fixed fields take a tenth of the time of pickling.
        head = RESULT.pack(
            self._sequence, int(self._scores[0].argmax()), float(confidence[0]), step, executed, time.monotonic()
        )
        self._settings.results.send_bytes(head + self._scores.tobytes())
        self._scores = np.zeros_like(self._scores)
        self._sequence += 1
