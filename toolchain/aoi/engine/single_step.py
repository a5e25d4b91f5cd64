"""Steps of a state one at a time: all that does not change from one to the next is made once."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numba import typeof

from aoi.choices import Readout
from aoi.engine import kernels
from aoi.engine.plan import NO_BYTES, NetworkPlan
from aoi.engine.state import State

_NO_MESSAGES = np.empty(0, np.int32)


class SingleSteps:
    """Bound to the arrays of one state.

    ``parameters``, ``scratch``: of each layer, for this thread. ``machine_code``: of the kernel of each layer; empty
    until it is compiled here.
    """

    def __init__(
        self,
        network: NetworkPlan,
        parameters: list[Any],
        scratch: list[kernels.Scratch],
        machine_code: list[Callable[..., None]],
        state: State,
        readout: Readout,
    ) -> None:
        self.layers, self.readout = state.layers, readout
        self._network = network
        samples, inputs = state.samples, prod(network.description.input_shape)
        own_rows, first_step = np.arange(samples), np.zeros(samples, np.int64)
        indices = np.empty(samples * inputs + kernels.SLACK, np.int32)
        self._source = kernels.Events(indices, _NO_MESSAGES, np.zeros(samples + 1, np.int64), False, NO_BYTES)
        self._out = [plan.event_buffer(samples) for plan in network.layers]
        self._rows = [
            kernels.Rows(own_rows, own_rows, first_step, latency, n > 0 or not network.input_order.size)
            for n, latency in enumerate(network.latencies)
        ]
        self._calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        for n, plan in enumerate(network.layers):
            last = n == len(network.layers) - 1
            trace = plan.trace_buffer(
                samples, u=False, v=last and readout == "voltage", s=last and readout == "spikes"
            )  # fmt: skip
            self._sent = trace.v if readout == "voltage" else trace.s
            common = (parameters[n], state.layers[n], scratch[n], self._out[n])
            if plan.synapses is None:
                fed: Any = np.zeros((samples, plan.neurons), np.int32)
                kernel: Any = kernels.run_input
                rest: tuple[Any, ...] = (*common, trace)
            else:
                fed = self._source
                operations = np.zeros(samples, np.int64)  # which nobody asks for
                kernel, rest = kernels.run_layer, (plan.synapses, *common, operations, trace)
            # The machine code itself: working out the types of all arguments takes longer than a step.
            if len(machine_code) == n:
                machine_code.append(kernel.compile(tuple(typeof(each) for each in (fed, self._rows[n], *rest))))
            self._calls.append((machine_code[n], rest))

    def step(self, state: State, spikes: np.ndarray) -> np.ndarray:
        """uint8 spikes or int32 values (N, \\*input_shape) → (N, neurons), as :meth:`aoi.engine.Engine.step`."""
        network = self._network
        samples = len(spikes)
        events: Any = self._source
        if network.description.takes_values:
            moved = spikes.transpose(0, 2, 3, 1) if network.layers[0].map_shape else spikes
            events = np.ascontiguousarray(moved).reshape(samples, -1)
        else:
            kernels.list_step_events(
                spikes.reshape(samples, -1), network.input_order, events.indices, events.row_starts
            )  # fmt: skip
        for plan, rows, (call, rest), out in zip(network.layers, self._rows, self._calls, self._out, strict=True):
            if plan.delay_slots:
                rows = rows._replace(clock=rows.clock + state.clock)
            call(events, rows, *rest)
            events = out
        state.clock += 1
        sent: np.ndarray = network.flat_maps(self._sent[:, None])[:, 0]
        return sent.copy()
