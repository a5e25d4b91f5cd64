"""The buffers of one thread, and the way of a group of samples through the layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from aoi.choices import Readout
from aoi.engine import kernels
from aoi.engine.plan import MATRIX_MIN_ROWS, MATRIX_ROWS, NO_BYTES, NetworkPlan, byte_rows
from aoi.engine.single_step import SingleSteps
from aoi.engine.state import State

_NO_MESSAGES = np.empty(0, np.int32)
_NO_ROWS = np.zeros(1, np.int64)
_FIRST_RATE = 0.1  # spikes a neuron and step that are expected of a layer before it ran


@dataclass(frozen=True, eq=False)
class Stretch:
    """What some steps of some samples gave."""

    sent: np.ndarray  # (N, steps, neurons): what the output layer sends, or its membrane voltage
    spikes: np.ndarray  # int64 (N, layers, steps)
    operations: np.ndarray  # int64 (N, layers, steps)
    traces: list[kernels.Trace]  # of each layer, (N, steps, neurons) each; empty if not wanted


class Worker:
    """Belongs to one thread at a time; ``initial``: state of one sample before its first step."""

    def __init__(self, network: NetworkPlan, initial: list[kernels.LayerState]) -> None:
        layers = network.layers
        self._network, self._initial = network, initial
        self._scratch = [plan.scratch_buffers() for plan in layers]
        self._matrix_scratch: list[Any] = [plan.matrix_scratch_buffers() for plan in layers]
        self._parameters = [plan.thread_parameters() for plan in layers]
        self._rows = 0  # for which the buffers have room
        self._out: list[kernels.Events] = []
        self._sent_bytes: list[np.ndarray] = []  # of each layer, where the next one may be a matrix
        self._rates = [_FIRST_RATE] * len(layers)  # spikes a neuron and step, as last seen
        self._state: State | None = None
        self._may_invert = not layers[0].delay_slots  # a delayed layer has no sum of all inputs to subtract from
        self._indices = np.empty(0, np.int32)  # of the spikes that are fed
        self._input_bytes = NO_BYTES
        self._source: Any = None  # Events, or int32 values (N, T, n)
        self._steps = 0  # T of the source
        self._single: SingleSteps | None = None
        self._machine_code: list[Callable[..., None]] = []  # of the kernel of each layer, for single steps

    def cleared_state(self, samples: int) -> State:
        """A state before the first step; the one given before is gone."""
        if self._state is None or self._state.samples != samples:
            self._state = State.start(self._initial, samples)
        else:
            self._state.restart(self._initial)
        return self._state

    def load(self, spikes: np.ndarray) -> None:
        """Takes what samples are fed: uint8 spikes or int32 values, (N, \\*input_shape, T)."""
        network = self._network
        first_plan = network.layers[0]
        samples, steps = len(spikes), spikes.shape[-1]
        inputs = prod(spikes.shape[1:-1])
        self._steps = steps
        if network.description.takes_values:
            moved = spikes.transpose(0, 4, 2, 3, 1) if first_plan.map_shape else spikes.transpose(0, 2, 1)
            self._source = np.ascontiguousarray(moved).reshape(samples, steps, inputs)
            return
        padded = spikes.reshape(samples, inputs, steps)
        if steps % 8 or padded.ctypes.data % 8:
            padded = np.zeros((samples, inputs, -(-steps // 8) * 8), np.uint8)
            padded[..., :steps] = spikes.reshape(samples, inputs, steps)
        words = padded.view(np.uint64)
        counts = np.zeros((samples, padded.shape[-1]), np.int64)
        bits = np.empty((samples, -(-inputs // 8), words.shape[-1]), np.uint64)
        kernels.pack_spikes(words, bits, counts)
        each = counts[:, :steps]
        enough_rows = len(each) * steps >= MATRIX_MIN_ROWS
        if first_plan.matrix and enough_rows and each.sum() >= first_plan.matrix_rate * spikes.size:
            if self._input_bytes.shape[0] < samples * steps + MATRIX_ROWS:
                self._input_bytes = byte_rows(samples * steps, inputs)
            kernels.transpose_spikes(words, steps, self._input_bytes.view(np.uint64))
            self._source = kernels.Events(self._indices, _NO_MESSAGES, _NO_ROWS, False, self._input_bytes)
            return
        inverted = bool(self._may_invert and 2 * each.sum() > spikes.size)
        row_starts = np.zeros(samples * steps + 1, np.int64)
        np.cumsum(inputs - each if inverted else each, out=row_starts[1:])
        if row_starts[-1] + kernels.SLACK > self._indices.size:
            self._indices = np.empty(row_starts[-1] * 5 // 4 + kernels.SLACK, np.int32)
        kernels.list_events(bits.view(np.uint8), inverted, inputs, network.input_order, self._indices, row_starts)
        self._source = kernels.Events(self._indices, _NO_MESSAGES, row_starts, inverted, NO_BYTES)

    def advance(
        self,
        state: State,
        state_rows: np.ndarray,
        begin: int,
        steps: int,
        readout: Readout,
        *,
        return_traces: bool = False,
    ) -> Stretch:
        """Runs some samples through the steps ``begin`` to ``begin + steps`` of what was loaded for them.

        ``state_rows``: int64 (N,), which of the samples of ``state``, and of those that were loaded.
        """
        network = self._network
        samples, layers = len(state_rows), len(network.layers)
        count = samples * steps
        if count > self._rows:
            self._grow(count)
        spikes = np.empty((layers, count), np.int64)
        operations = np.zeros((layers, count), np.int64)
        own_rows = np.arange(count)
        if steps > 1:
            state_row, step = np.repeat(state_rows, steps), own_rows % steps
        else:
            state_row, step = state_rows, np.zeros(count, np.int64)
        events, source_row = self._source, state_row * self._steps + (step + begin)
        ascending = not network.input_order.size
        traces = []
        for n, plan in enumerate(network.layers):
            last = n == layers - 1
            trace = plan.trace_buffer(
                count,
                u=return_traces,
                v=return_traces or (last and readout == "voltage"),
                s=return_traces or (last and readout == "spikes"),
            )
            traces.append(trace)
            out, layer_state, parameters, scratch = self._out[n], state.layers[n], self._parameters[n], self._scratch[n]
            synapses = plan.synapses
            if plan.matrix and events.spike_bytes.size:
                synapses, scratch = plan.matrix, self._matrix_scratch[n]
            if not last and self._next_is_matrix(n, count):
                out = out._replace(spike_bytes=self._sent_bytes[n])
            rows = kernels.Rows(state_row, source_row, step, state.clock + network.latencies[n], ascending)
            if plan.synapses is None:
                values = events[state_row, step + begin]
                kernels.run_input(values, rows, parameters, layer_state, scratch, out, trace)
            else:
                kernels.run_layer(
                    events, rows, synapses, parameters, layer_state, scratch, out, operations[n], trace
                )  # fmt: skip
            np.subtract(out.row_starts[1 : count + 1], out.row_starts[:count], out=spikes[n])
            self._rates[n] = out.row_starts[count] / (count * plan.neurons)
            events, source_row, ascending = out, own_rows, True
        state.clock += steps
        sent = (traces[-1].v if readout == "voltage" else traces[-1].s).reshape(samples, steps, -1)
        kept = [
            kernels.Trace(*(each.reshape(samples, steps, -1) for each in trace)) for trace in traces if return_traces
        ]
        shape = (layers, samples, steps)
        spikes, operations = (each.reshape(shape).transpose(1, 0, 2) for each in (spikes, operations))
        return Stretch(network.flat_maps(sent), spikes, operations, kept)

    def single_steps(self, state: State, readout: Readout) -> SingleSteps:
        """The way of single steps for ``state``; kept until another one is asked for."""
        if self._single is None or self._single.layers is not state.layers or self._single.readout != readout:
            self._single = SingleSteps(
                self._network, self._parameters, self._scratch, self._machine_code, state, readout
            )  # fmt: skip
        return self._single

    def _grow(self, rows: int) -> None:
        """Makes room for what the layers send in so many rows."""
        layers = self._network.layers
        self._out = [plan.event_buffer(rows) for plan in layers]
        self._sent_bytes = [
            byte_rows(rows, plan.neurons) if after.matrix and not plan.recurrent else NO_BYTES
            for plan, after in pairwise(layers)
        ]
        self._rows = rows

    def _next_is_matrix(self, n: int, rows: int) -> bool:
        """Whether the layer behind ``n`` is faster as a matrix, so that ``n`` sends rows of bytes."""
        if rows < MATRIX_ROWS // 2 or not self._sent_bytes[n].size:
            return False
        return self._rates[n] >= self._network.layers[n + 1].matrix_rate
