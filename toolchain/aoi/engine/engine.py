"""Executes a NetworkDescription bit for bit as stock Lava does (``Loihi2SimCfg(select_tag="fixed_pt")``).

Time is aligned: step t of every layer is what it makes of inputs up to and including t. Layers of a group of samples
run one after the other over a stretch of steps, since nothing flows backwards between them. In Lava a layer behind k
synapses has run k steps before the first input reaches it; that shows where biases are, and is part of the state that
every sample starts from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from queue import Empty, SimpleQueue
from typing import Any, Literal, Protocol

import numpy as np
from numba import typeof

from aoi.engine import kernels
from aoi.engine.plan import FEW_ROWS, MATRIX_ROWS, NO_BYTES, byte_rows, plan_layers
from aoi.engine.processor import MatrixUnit, matrix_units
from aoi.engine.state import State
from aoi.errors import DataError, NetXError
from aoi.netx.description import Conv, Input, NetworkDescription, Sigma
from aoi.netx.metadata import Readout
from aoi.netx.rules import chain_violations

_BUFFER = 1 << 21  # events of one layer that a thread holds room for, where a single sample and step need no more
_STRETCH = 64  # steps that a layer goes through before the next one does
_GROUP = 64  # samples that run side by side in one thread
_GROUP_STOPPING = 256  # more where a rule stops them, which Python asks step by step
_AT_ONCE, _MANY = 4, 32  # steps between two looks at who stopped, twice as many where few still run
_KEEP_VALUES = 1 << 25  # values of the widest layer's traces that are held besides the result
_NO_VALUES = np.empty(0, np.int32)
_NO_ROWS = np.zeros(1, np.int64)
_NO_ORDER = np.empty(0, np.int32)

Batch = Callable[[np.ndarray], np.ndarray]
"""Sample indices → what the network is fed for them, (len(indices), \\*input_shape, T)."""


class StoppingRule(Protocol):
    """What the engine asks of a rule (``aoi.cutoff``): stop where the measure reaches the threshold."""

    @property
    def threshold(self) -> float: ...

    def begin(self, samples: int) -> Any: ...
    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]: ...
    def select(self, memory: Any, keep: np.ndarray) -> Any: ...


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a layer did at each aligned step. Shape (N, *shape, T)."""

    name: str
    u: np.ndarray  # int32: current; sigma of sigma-delta neurons
    v: np.ndarray  # int32: voltage after the reset of the neurons that fired; residue
    s: np.ndarray  # uint8 spikes, or int32 messages


@dataclass(frozen=True, eq=False)
class Run:
    """Result of a run over N samples."""

    scores: np.ndarray
    """int64 (N, outputs, T), accumulated readout. "spikes": number of spikes (sum of messages) of each output up to and
    including step t; of a sigma output its message at step t, which is a sum already. "voltage": voltage at step t in
    state units. Output maps are flattened in the order C, H, W."""
    spikes: np.ndarray
    """int64 (N, layers, T): spikes (messages) that each layer sent in each step."""
    operations: np.ndarray
    """int64 (N, layers, T): synaptic operations in each step, i.e. spikes times the weights other than 0 that each
    reaches."""
    traces: tuple[LayerTrace, ...] = ()


@dataclass(frozen=True, eq=False)
class StoppedRun:
    """Result of N samples each of which ran until its rule stopped it, and no further."""

    step: np.ndarray  # int64 (N,): decision step 1..T
    scores: np.ndarray  # int64 (N, outputs): accumulated readout at the decision
    spikes: np.ndarray  # int64 (N, layers): until the decision
    operations: np.ndarray  # int64 (N, layers): until the decision

    @property
    def prediction(self) -> np.ndarray:
        """int64 (N,): class index; a tie goes to the smaller one."""
        return self.scores.argmax(axis=1)


class Engine:
    """A network ready to run. Threads may share one; a :class:`State` belongs to one at a time."""

    def __init__(
        self,
        description: NetworkDescription,
        *,
        threads: int | None = None,
        unit: MatrixUnit | Literal["best", "none"] = "best",
    ) -> None:
        """``threads``: at most so many run samples side by side; None: one a core. ``unit``: what multiplies where
        many neurons spike; the results are the same. Raises NetXError, DataError."""
        broken = chain_violations(description)
        if broken:
            raise NetXError(f"the network cannot run: {broken[0]}")
        self.description = description
        if threads is not None and threads < 1:
            raise DataError(f"threads = {threads}: at least one runs the samples")
        self.threads = threads or len(os.sched_getaffinity(0))
        units = matrix_units()
        if unit not in ("best", "none", *units):
            raise DataError(f"unit = {unit!r}: this machine has {', '.join(map(repr, units)) or 'none'}")
        self.unit = (units[0] if units else None) if unit == "best" else None if unit == "none" else unit
        self.plans = plan_layers(description, self.unit)
        self.widest = max(prod(description.input_shape), *(plan.neurons for plan in self.plans))
        self._leads = np.cumsum([plan.synapses is not None for plan in self.plans]).tolist()
        self._order = _NO_ORDER
        if isinstance(description.layers[0], Conv) and len(description.input_shape) == 3:
            channels, height, width = description.input_shape
            order = np.arange(prod(description.input_shape)).reshape(height, width, channels)
            self._order = np.ascontiguousarray(order.transpose(2, 0, 1).ravel(), np.int32)
        self._workers: SimpleQueue[_Worker] = SimpleQueue()  # idle ones
        self._initial, self.lead_spikes, self.lead_voltage = self._lead_in()

    # -- whole samples --------------------------------------------------------------------------------------------

    def run(self, spikes: np.ndarray, *, readout: Readout = "spikes", keep: bool = False) -> Run:
        """Runs samples from a cleared state.

        ``spikes``: (N, \\*input_shape, T), any value but 0 a spike, T from 1; int32 values for a network that takes
        values. ``keep``: return the traces of all layers. Raises DataError for another shape.
        """
        spikes = self._checked(spikes, timed=True)
        run = self._empty(len(spikes), spikes.shape[-1], keep)
        self._run_into(run, 0, spikes, readout)
        return run

    def run_stream(
        self,
        samples: int,
        batch: Batch,
        *,
        readout: Readout = "spikes",
        chunk: int = 256,
        progress: Callable[[int], None] | None = None,
    ) -> Run:
        """As :meth:`run`, for more samples than fit into memory: ``chunk`` of them are asked for at a time.

        ``progress(n)`` is told how many samples are done.
        """
        run: Run | None = None
        for first in range(0, samples, chunk):
            indices = np.arange(first, min(first + chunk, samples))
            spikes = self._batch(batch, indices, None if run is None else run.scores.shape[-1])
            run = run or self._empty(samples, spikes.shape[-1], False)
            self._run_into(run, first, spikes, readout)
            if progress is not None:
                progress(int(indices[-1]) + 1)
        return run or self._empty(0, 1, False)

    def run_until(
        self,
        samples: int,
        batch: Batch,
        rule: StoppingRule,
        *,
        readout: Readout = "spikes",
        chunk: int = 512,
        progress: Callable[[int], None] | None = None,
    ) -> StoppedRun:
        """Runs each sample until ``rule`` stops it: what is not needed for the decisions is not computed."""
        layers = len(self.plans)
        result = StoppedRun(
            np.zeros(samples, np.int64),
            np.zeros((samples, self.description.outputs), np.int64),
            np.zeros((samples, layers), np.int64),
            np.zeros((samples, layers), np.int64),
        )
        steps: int | None = None
        for first in range(0, samples, chunk):
            indices = np.arange(first, min(first + chunk, samples))
            spikes = self._batch(batch, indices, steps)
            steps = spikes.shape[-1]

            def work(worker: _Worker, low: int, high: int, spikes: np.ndarray = spikes, first: int = first) -> None:
                self._stop_group(worker, spikes[low:high], first + low, rule, readout, result)

            self._share(len(spikes), self._group(len(spikes), _GROUP_STOPPING, 1), work)
            if progress is not None:
                progress(int(indices[-1]) + 1)
        return result

    # -- step by step ---------------------------------------------------------------------------------------------

    def start(self, samples: int = 1) -> State:
        """State of ``samples`` samples before their first step."""
        layers = [kernels.Arrays(*(np.repeat(array, samples, axis=0) for array in each)) for each in self._initial]
        return State(layers)

    def restart(self, state: State) -> None:
        """Puts all samples of ``state`` before their first step again."""
        for layer, initial in zip(state.layers, self._initial, strict=True):
            for array, first in zip(layer, initial, strict=True):
                array[...] = first
        state.clock = 0

    def step(self, state: State, spikes: np.ndarray, *, readout: Readout = "spikes") -> np.ndarray:
        """One timestep of all samples of ``state``, which it changes.

        ``spikes`` (samples, \\*input_shape) → what each output neuron sends, (samples, neurons) uint8 or int32 for
        messages, or its voltage, int32. Maps are flattened in the order C, H, W.
        """
        spikes = self._checked(spikes, timed=False)
        if len(spikes) != state.samples:
            raise DataError(f"spikes of {len(spikes)} samples; the state holds {state.samples}")
        with self._worker() as worker:
            return worker.steps_of(state, readout).step(state, spikes)

    def accumulate(self, scores: np.ndarray, sent: np.ndarray, readout: Readout) -> np.ndarray:
        """The accumulated readout after a step: ``scores`` before it, int64 (samples, outputs), and what
        :meth:`step` returned."""
        outputs = self._outputs(sent[:, None])[:, 0]
        return scores + outputs if self._accumulates(readout) else outputs.astype(np.int64)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _checked(self, spikes: np.ndarray, *, timed: bool) -> np.ndarray:
        """Contiguous uint8 spikes or int32 values. Raises DataError."""
        spikes = np.asarray(spikes)
        shape = self.description.input_shape
        inner = spikes.shape[1:-1] if timed else spikes.shape[1:]
        if spikes.ndim != len(shape) + 1 + timed or inner != shape or (timed and not spikes.shape[-1]):
            wanted = ", ".join(map(str, ("N", *shape, *(("T",) * timed))))
            raise DataError(f"spikes have shape {spikes.shape}; the network takes ({wanted})")
        first = self.description.layers[0]
        if isinstance(first, Input):
            low, high = first.limits
            if spikes.dtype.kind not in "iub":
                raise DataError(f"values have type {spikes.dtype}; the network takes whole numbers {low}..{high}")
            if spikes.size and (spikes.min() < low or spikes.max() > high):
                raise DataError(f"values lie within {spikes.min()}..{spikes.max()}; the network takes {low}..{high}")
            return np.ascontiguousarray(spikes, np.int32)
        if spikes.dtype not in (np.bool_, np.uint8):
            spikes = spikes != 0
        return np.ascontiguousarray(spikes).view(np.uint8)

    def _empty(self, samples: int, steps: int, keep: bool) -> Run:
        counts = (samples, len(self.plans), steps)
        traces = []
        for plan in self.plans if keep else ():
            shape = (samples, *plan.layer.shape, steps)
            kinds = (np.int32, np.int32, plan.sends)
            traces.append(LayerTrace(plan.layer.name, *(np.empty(shape, kind) for kind in kinds)))
        scores = np.empty((samples, self.description.outputs, steps), np.int64)
        return Run(scores, np.empty(counts, np.int64), np.empty(counts, np.int64), tuple(traces))

    def _batch(self, batch: Batch, indices: np.ndarray, steps: int | None) -> np.ndarray:
        """What ``batch`` gives for ``indices``; ``steps``: as many timesteps as before. Raises DataError."""
        spikes = self._checked(batch(indices), timed=True)
        if len(spikes) != len(indices) or spikes.shape[-1] != (steps or spikes.shape[-1]):
            wanted = (len(indices), *self.description.input_shape, steps or "T")
            raise DataError(f"samples {indices[0]} to {indices[-1]}: the batch has shape {spikes.shape}, not {wanted}")
        return spikes

    def _run_into(self, run: Run, first: int, spikes: np.ndarray, readout: Readout) -> None:
        """Runs ``spikes`` as the samples ``first`` and following of ``run``."""
        steps = spikes.shape[-1]
        stretch = steps if run.traces else min(steps, _STRETCH)

        def work(worker: _Worker, low: int, high: int) -> None:
            state = worker.fresh(high - low)
            worker.load(spikes[low:high])
            rows = slice(first + low, first + high)
            slots = np.arange(high - low)
            for begin in range(0, steps, stretch):
                size = min(stretch, steps - begin)
                part = worker.advance(state, slots, begin, size, readout, keep=bool(run.traces))
                when = slice(begin, begin + size)
                run.scores[rows, :, when] = self._outputs(part.sent).transpose(0, 2, 1)
                run.spikes[rows, :, when] = part.spikes
                run.operations[rows, :, when] = part.operations
                for trace, plan, kept in zip(run.traces, self.plans, part.traces, strict=False):
                    trace.u[rows], trace.v[rows], trace.s[rows] = (plan.natural(each) for each in kept)
            if self._accumulates(readout):
                np.cumsum(run.scores[rows], axis=-1, out=run.scores[rows])

        group = self._group(len(spikes), _GROUP, stretch)
        if run.traces:
            group = max(1, min(group, _KEEP_VALUES // (self.widest * steps)))
        self._share(len(spikes), group, work)

    def _stop_group(
        self, worker: _Worker, spikes: np.ndarray, first: int, rule: StoppingRule, readout: Readout, result: StoppedRun
    ) -> None:
        steps = spikes.shape[-1]
        state = worker.fresh(len(spikes))
        worker.load(spikes)
        active = np.arange(len(spikes))
        memory = rule.begin(len(spikes))
        scores = np.zeros((len(spikes), self.description.outputs), np.int64)
        accumulates = self._accumulates(readout)
        begin = 0
        while len(active):
            size = min(_AT_ONCE if len(active) >= _MANY else 2 * _AT_ONCE, steps - begin)
            part = worker.advance(state, active, begin, size, readout)
            outputs = self._outputs(part.sent)
            reached = scores[:, None] + outputs.cumsum(axis=1) if accumulates else outputs.astype(np.int64)
            each = np.arange(len(active))
            going, took = each, np.full(len(active), size)
            for t in range(size):
                measure, memory = rule.measure(reached[going, t], begin + t + 1, memory)
                stops = measure >= rule.threshold if begin + t + 1 < steps else np.ones(len(going), bool)
                if stops.any():
                    took[going[stops]] = t + 1
                    memory = rule.select(memory, ~stops)
                    going = going[~stops]
                    if not len(going):
                        break
            # What ran beyond a sample's stop, a few steps at most, is not counted.
            rows = first + active
            result.spikes[rows] += part.spikes.cumsum(axis=2)[each, :, took - 1]
            result.operations[rows] += part.operations.cumsum(axis=2)[each, :, took - 1]
            result.step[rows] = begin + took
            result.scores[rows] = reached[each, took - 1]
            active, scores = active[going], reached[going, -1]
            begin += size

    def _accumulates(self, readout: Readout) -> bool:
        return readout == "spikes" and not isinstance(self.description.layers[-1].neuron, Sigma)

    def _outputs(self, sent: np.ndarray) -> np.ndarray:
        """(N, T, neurons) → (N, T, outputs)."""
        groups = self.description.average
        if groups is None:
            return sent
        total: np.ndarray = sent.reshape(*sent.shape[:2], groups, -1).sum(axis=-1, dtype=np.int64)
        return total

    def _group(self, samples: int, largest: int, stretch: int) -> int:
        """Samples that one thread runs side by side: few enough for its buffers, and for all threads to have some."""
        room = max(1, _BUFFER // (self.widest * stretch))
        return max(1, min(largest, room, -(-samples // self.threads)))

    def _share(self, samples: int, group: int, work: Callable[[_Worker, int, int], None]) -> None:
        """Calls ``work(worker, low, high)`` for groups of samples, on all threads."""

        def one(low: int) -> None:
            with self._worker() as worker:
                work(worker, low, min(low + group, samples))

        begins = range(0, samples, group)
        if self.threads == 1 or len(begins) <= 1:
            for low in begins:
                one(low)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            futures: list[Future[None]] = [pool.submit(one, low) for low in begins]
            try:
                for future in futures:
                    future.result()
            finally:
                for future in futures:
                    future.cancel()

    @contextmanager
    def _worker(self) -> Iterator[_Worker]:
        try:
            worker = self._workers.get_nowait()
        except Empty:
            worker = _Worker(self)
        try:
            yield worker
        except BaseException:
            raise  # it may be half way through a step: not used again
        else:
            self._workers.put(worker)

    def _lead_in(self) -> tuple[list[kernels.Arrays], np.ndarray, np.ndarray]:
        """State at the first aligned step, of one sample; spikes and voltages (L, neurons) that the output layer sends
        in Lava's first L steps."""
        worker = _Worker(self)
        arrays = [plan.arrays(1) for plan in self.plans]
        x = kernels.Events(np.empty(0, np.int32), _NO_VALUES, np.zeros(1, np.int64), False, NO_BYTES)
        for n, (plan, lead) in enumerate(zip(self.plans, self._leads, strict=True)):
            if plan.synapses is None:
                x = x._replace(value=np.zeros(int(plan.graded), np.int32))
                continue
            # Nothing in the first step, then what the layer before sent in its lead.
            fed = x._replace(first=np.concatenate([np.zeros(1, np.int64), x.first]))
            rows = kernels.Rows(np.zeros(lead, np.int64), np.arange(lead), np.arange(lead), 0, True)
            trace = plan.trace(lead, False, True, True)
            x = plan.events(lead)
            kernels.run_layer(
                fed, rows, plan.synapses, plan.own_neuron(), arrays[n], worker.scratch[n], x, np.zeros(lead, np.int64),
                trace,
            )  # fmt: skip
        return arrays, self._flat(trace.s[None])[0], self._flat(trace.v[None])[0]

    def _flat(self, sent: np.ndarray) -> np.ndarray:
        """(N, T, n) of the last layer in the order C, H, W."""
        maps = self.plans[-1].maps
        if maps is None:
            return sent
        channels, height, width = maps
        moved = sent.reshape(*sent.shape[:2], height, width, channels).transpose(0, 1, 4, 2, 3)
        return np.ascontiguousarray(moved).reshape(sent.shape)


@dataclass(frozen=True, eq=False)
class _Part:
    """A stretch of steps of some samples."""

    sent: np.ndarray  # (N, T, neurons): what the output layer sends, or its voltage
    spikes: np.ndarray  # int64 (N, layers, T)
    operations: np.ndarray  # int64 (N, layers, T)
    traces: list[kernels.Trace]


class _Worker:
    """Buffers of one thread, and the way through the layers."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.scratch = [plan.scratch() for plan in engine.plans]
        self.matrix_scratch: list[Any] = [plan.matrix_scratch() for plan in engine.plans]
        self.neurons = [plan.own_neuron() for plan in engine.plans]
        self.out: list[kernels.Events] = []
        self._rows = 0
        self._sent: list[np.ndarray] = []  # rows of bytes of each layer, where the next one may be a matrix
        self._busy = [0.1] * len(engine.plans)  # spikes a neuron and step, as last seen
        self._state: State | None = None
        self._at = np.empty(0, np.int32)
        self._bytes = NO_BYTES
        self._inverts = not engine.plans[0].depth  # a delayed layer has no sum of all inputs to subtract from
        self._source: Any = None  # Events, or int32 values (N, T, n)
        self._steps = 0
        self._single: _Steps | None = None
        self.code: list[Callable[..., None]] = []  # of the kernel of each layer, once a single step was asked for

    def fresh(self, samples: int) -> State:
        """A state before the first step; the one given before is gone."""
        if self._state is None or self._state.samples != samples:
            self._state = self.engine.start(samples)
        else:
            self.engine.restart(self._state)
        return self._state

    def load(self, spikes: np.ndarray) -> None:
        """Takes what samples are fed, (N, *input_shape, T)."""
        samples, steps = len(spikes), spikes.shape[-1]
        inputs = prod(spikes.shape[1:-1])
        self._steps = steps
        if self.engine.description.takes_values:
            maps = self.engine.plans[0].maps
            moved = spikes.transpose(0, 4, 2, 3, 1) if maps else spikes.transpose(0, 2, 1)
            self._source = np.ascontiguousarray(moved).reshape(samples, steps, inputs)
            return
        padded = spikes.reshape(samples, inputs, steps)
        if steps % 8 or padded.ctypes.data % 8:
            padded = np.zeros((samples, inputs, -(-steps // 8) * 8), np.uint8)
            padded[..., :steps] = spikes.reshape(samples, inputs, steps)
        words = padded.view(np.uint64)
        counts = np.zeros((samples, padded.shape[-1]), np.int64)
        bits = np.empty((samples, -(-inputs // 8), words.shape[-1]), np.uint64)
        kernels.mark_events(words, bits, counts)
        each = counts[:, :steps]
        first_plan = self.engine.plans[0]
        if first_plan.matrix and len(each) * steps >= FEW_ROWS and each.sum() >= first_plan.busy * spikes.size:
            if self._bytes.shape[0] < samples * steps + MATRIX_ROWS:
                self._bytes = byte_rows(samples * steps, inputs)
            kernels.turn_spikes(words, steps, self._bytes.view(np.uint64))
            self._source = kernels.Events(self._at, _NO_VALUES, _NO_ROWS, False, self._bytes)
            return
        inverted = bool(self._inverts and 2 * each.sum() > spikes.size)
        first = np.zeros(samples * steps + 1, np.int64)
        np.cumsum(inputs - each if inverted else each, out=first[1:])
        if first[-1] + kernels.SLACK > self._at.size:
            self._at = np.empty(first[-1] * 5 // 4 + kernels.SLACK, np.int32)
        kernels.find_events(bits.view(np.uint8), inverted, inputs, self.engine._order, self._at, first)
        self._source = kernels.Events(self._at, _NO_VALUES, first, inverted, NO_BYTES)

    def steps_of(self, state: State, readout: Readout) -> _Steps:
        """The way of single steps for ``state``; kept until another one is asked for."""
        if self._single is None or self._single.layers is not state.layers or self._single.readout != readout:
            self._single = _Steps(self, state, readout)
        return self._single

    def advance(
        self, state: State, slots: np.ndarray, begin: int, steps: int, readout: Readout, *, keep: bool = False
    ) -> _Part:
        """Runs the samples ``slots`` of ``state`` through the steps ``begin``.. of what was loaded for them."""
        engine = self.engine
        samples, layers = len(slots), len(engine.plans)
        count = samples * steps
        if count > self._rows:
            self.out = [plan.events(count) for plan in engine.plans]
            self._sent = [
                byte_rows(count, plan.neurons) if after.matrix and not plan.recurrent else NO_BYTES
                for plan, after in zip(engine.plans, engine.plans[1:], strict=False)
            ]
            self._rows = count
        spikes = np.empty((layers, count), np.int64)
        operations = np.zeros((layers, count), np.int64)
        own = np.arange(count)
        slot, step = (np.repeat(slots, steps), own % steps) if steps > 1 else (slots, np.zeros(count, np.int64))
        x, source = self._source, slot * self._steps + (step + begin)
        ascending = not engine._order.size
        traces = []
        for n, plan in enumerate(engine.plans):
            last = n == layers - 1
            trace = plan.trace(
                count, keep, keep or (last and readout == "voltage"), keep or (last and readout == "spikes")
            )
            traces.append(trace)
            out, arrays, neuron, scratch = self.out[n], state.layers[n], self.neurons[n], self.scratch[n]
            synapses = plan.synapses
            if plan.matrix and x.sent.size:
                synapses, scratch = plan.matrix, self.matrix_scratch[n]
            if (
                not last
                and count >= MATRIX_ROWS // 2
                and self._sent[n].size
                and self._busy[n] >= engine.plans[n + 1].busy
            ):
                out = out._replace(sent=self._sent[n])
            rows = kernels.Rows(slot, source, step, state.clock + engine._leads[n], ascending)
            if plan.synapses is None:
                kernels.run_input(x[slot, step + begin], rows, neuron, arrays, scratch, out, trace)
            else:
                kernels.run_layer(x, rows, synapses, neuron, arrays, scratch, out, operations[n], trace)
            np.subtract(out.first[1 : count + 1], out.first[:count], out=spikes[n])
            self._busy[n] = out.first[count] / (count * plan.neurons)
            x, source, ascending = out, own, True
        state.clock += steps
        sent = (traces[-1].v if readout == "voltage" else traces[-1].s).reshape(samples, steps, -1)
        kept = [kernels.Trace(*(each.reshape(samples, steps, -1) for each in trace)) for trace in traces if keep]
        shape = (layers, samples, steps)
        spikes, operations = (each.reshape(shape).transpose(1, 0, 2) for each in (spikes, operations))
        return _Part(engine._flat(sent), spikes, operations, kept)


class _Steps:
    """Steps of a state one at a time: all that does not change from one to the next is made once."""

    def __init__(self, worker: _Worker, state: State, readout: Readout) -> None:
        self.engine = engine = worker.engine
        self.layers, self.readout = state.layers, readout
        samples, inputs = state.samples, prod(engine.description.input_shape)
        own, none = np.arange(samples), np.zeros(samples, np.int64)
        first = np.zeros(samples + 1, np.int64)
        at = np.empty(samples * inputs + kernels.SLACK, np.int32)
        self.source = kernels.Events(at, _NO_VALUES, first, False, NO_BYTES)
        self.outs = [plan.events(samples) for plan in engine.plans]
        self.rows = [
            kernels.Rows(own, own, none, lead, n > 0 or not engine._order.size) for n, lead in enumerate(engine._leads)
        ]
        self.calls: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        for n, plan in enumerate(engine.plans):
            last = n == len(engine.plans) - 1
            trace = plan.trace(samples, False, last and readout == "voltage", last and readout == "spikes")
            self.sent = trace.v if readout == "voltage" else trace.s
            common = (worker.neurons[n], state.layers[n], worker.scratch[n], self.outs[n])
            if plan.synapses is None:
                fed: Any = np.zeros((samples, plan.neurons), np.int32)
                kernel: Any = kernels.run_input
                rest: tuple[Any, ...] = (*common, trace)
            else:
                fed = self.source
                kernel, rest = kernels.run_layer, (plan.synapses, *common, none.copy(), trace)  # no one asks for counts
            # The machine code itself: working out the types of all arguments takes longer than a step.
            if len(worker.code) == n:
                worker.code.append(kernel.compile(tuple(typeof(each) for each in (fed, self.rows[n], *rest))))
            self.calls.append((worker.code[n], rest))

    def step(self, state: State, spikes: np.ndarray) -> np.ndarray:
        """``spikes`` or values (N, *input_shape) → (N, neurons), as :meth:`Engine.step`."""
        engine = self.engine
        samples = len(spikes)
        x: Any = self.source
        if engine.description.takes_values:
            maps = engine.plans[0].maps
            x = np.ascontiguousarray(spikes.transpose(0, 2, 3, 1) if maps else spikes).reshape(samples, -1)
        else:
            kernels.list_spikes(spikes.reshape(samples, -1), engine._order, x.at, x.first)
        for plan, rows, (call, rest), out in zip(engine.plans, self.rows, self.calls, self.outs, strict=True):
            if plan.depth:
                rows = rows._replace(clock=rows.clock + state.clock)
            call(x, rows, *rest)
            x = out
        state.clock += 1
        sent: np.ndarray = engine._flat(self.sent[:, None])[:, 0]
        return sent.copy()
