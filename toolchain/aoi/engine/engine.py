"""Executes a NetworkDescription bit for bit as stock Lava does (``Loihi2SimCfg(select_tag="fixed_pt")``).

Time is aligned: step t of every layer is what it makes of inputs up to and including t. Layers of a group of samples
run one after the other over a stretch of steps, since nothing flows backwards between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Literal, Protocol, get_args

import numpy as np

from aoi.engine.pipeline_fill import fill_pipeline
from aoi.engine.plan import plan_network
from aoi.engine.processor import MatrixUnit, matrix_units
from aoi.engine.results import Batch, LayerTrace, Run, StoppedRun, StoppingRule
from aoi.engine.state import State
from aoi.engine.worker import Worker
from aoi.errors import DataError, NetXError
from aoi.netx.description import Input, NetworkDescription, Readout, Sigma
from aoi.netx.rules import chain_violations

_READOUTS = get_args(Readout)
_BUFFER_EVENTS = 1 << 21  # of one layer that a thread holds room for, where a single sample and step need no more
_STRETCH_STEPS = 64  # steps that a layer goes through before the next one does
_GROUP_SAMPLES = 64  # that run side by side in one thread
_STOPPING_GROUP_SAMPLES = 256  # more where a rule stops them, which Python asks step by step
_STEPS_BETWEEN_LOOKS = 4  # at who has stopped; twice as many where few samples still run
_FEW_SAMPLES = 32
_TRACE_VALUES = 1 << 25  # of the widest layer's traces that are held besides the result


class DescribedNetwork(Protocol):
    """Anything that holds a description, as :class:`aoi.netx.NetworkFile` does; its ``readout``, if it has one, goes
    before the description's."""

    @property
    def description(self) -> NetworkDescription: ...


class Engine:
    """A network ready to run. Threads may share one; a :class:`State` belongs to one at a time.

    Example:
        >>> engine = Engine(read_network("network.net"))
        >>> engine.run(spikes).scores.argmax(axis=1)[:, -1]  # spikes: uint8 (N, *input_shape, T)
        array([3, 8, 1])
    """

    description: NetworkDescription
    readout: Readout
    """What is read of the output layer where a call names none: what the file says, otherwise the description's."""
    threads: int

    def __init__(
        self,
        network: NetworkDescription | DescribedNetwork,
        *,
        threads: int | None = None,
        unit: MatrixUnit | Literal["best", "none"] = "best",
    ) -> None:
        """Prepares a network.

        Args:
            network: a description, or a network file that was read.
            threads: at most so many run samples side by side; None: one a core that this process may use.
            unit: what multiplies matrices where many neurons spike: "tiles" (AMX), "vectors" (AVX-512 VNNI), the "best"
                that this machine has, or "none". The results are the same.

        Raises:
            NetXError: a layer does not take what the one before it gives.
            DataError: ``network``, ``threads`` or ``unit`` is none that can be used.
        """
        description = network if isinstance(network, NetworkDescription) else getattr(network, "description", None)
        if not isinstance(description, NetworkDescription):
            kind = type(network).__name__
            raise DataError(f"the engine runs no {kind}; give it a NetworkDescription, or what read_network returned")
        broken = chain_violations(description)
        if broken:
            raise NetXError(f"the network cannot run: {broken[0]}")
        if threads is not None and threads < 1:
            raise DataError(f"threads = {threads}: at least one runs the samples")
        units = matrix_units()
        if unit not in ("best", "none", *units):
            raise DataError(f"unit = {unit!r}: this machine has {', '.join(map(repr, units)) or 'none'}")
        best = units[0] if units else None
        self.description = description
        self.threads = threads or len(os.sched_getaffinity(0))
        self.unit = best if unit == "best" else None if unit == "none" else unit
        self._network = plan_network(description, self.unit)
        self.plans = self._network.layers
        self._fill = fill_pipeline(self._network)
        self._idle_workers: SimpleQueue[Worker] = SimpleQueue()
        self._unreadable = _unreadable(description)
        self.readout = self._named(getattr(network, "readout", description.readout))

    # -- whole samples --------------------------------------------------------------------------------------------

    def run(self, spikes: np.ndarray, *, readout: Readout | None = None, return_traces: bool = False) -> Run:
        """Runs samples from a cleared state.

        Args:
            spikes: (N, \\*input_shape, T), T from 1: any value but 0 a spike, of any dtype; whole numbers within the
                limits of the first layer for a network that takes values.
            readout: "spikes" or "voltage"; None: the network's own (:attr:`readout`).
            return_traces: return currents, voltages and spikes of all layers, 9 bytes a neuron and step.

        Raises:
            DataError: another shape, values that the network does not take, or an output that has no such readout.

        Example:
            >>> run = engine.run(spikes)
            >>> run.scores.shape, run.spikes.shape, run.operations.sum()  # (N, outputs, T), (N, layers, T)
            ((3, 10, 32), (3, 2, 32), 1843200)
        """
        readout = self._named(readout)
        spikes = self._checked(spikes, timed=True)
        run = self._empty_run(len(spikes), spikes.shape[-1], return_traces)
        self._run_into(run, 0, spikes, readout)
        return run

    def run_stream(
        self,
        samples: int,
        batch: Batch,
        *,
        readout: Readout | None = None,
        chunk: int = 256,
        progress: Callable[[int], None] | None = None,
    ) -> Run:
        """As :meth:`run`, for more samples than fit into memory; what it returns has no traces.

        Args:
            samples: N, how many there are.
            batch: is given indices, int64 (n,), and returns what the network is fed for them, (n, \\*input_shape, T);
                T is the same in all batches.
            readout: as of :meth:`run`.
            chunk: samples that are asked for at a time.
            progress: is told how many samples are done, after each chunk.

        Raises:
            DataError: as :meth:`run`; or a batch has another number of samples or steps than was to be expected.

        Example:
            >>> run = engine.run_stream(len(data), data.batch)
            >>> run.scores.shape
            (60000, 10, 32)
        """
        readout = self._named(readout)
        run: Run | None = None
        for first in range(0, samples, chunk):
            indices = np.arange(first, min(first + chunk, samples))
            spikes = self._batch(batch, indices, None if run is None else run.scores.shape[-1])
            run = run or self._empty_run(samples, spikes.shape[-1], False)
            self._run_into(run, first, spikes, readout)
            if progress is not None:
                progress(int(indices[-1]) + 1)
        return run or self._empty_run(0, 1, False)

    def run_until(
        self,
        samples: int,
        batch: Batch,
        rule: StoppingRule,
        *,
        readout: Readout | None = None,
        chunk: int = 512,
        progress: Callable[[int], None] | None = None,
    ) -> StoppedRun:
        """Runs each sample until ``rule`` stops it: what is not needed for the decisions is not computed.

        Args:
            samples, batch, readout, chunk, progress: as of :meth:`run_stream`.
            rule: is asked after each step; a sample that it never stops is decided at T.

        Raises:
            DataError: as :meth:`run_stream`.

        Example:
            >>> found = engine.run_until(len(data), data.batch, ConfidenceRule(threshold=0.9, scale=0.3))
            >>> found.prediction[:3], found.step[:3]
            (array([3, 8, 1]), array([6, 11, 4]))
        """
        readout = self._named(readout)
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

            def work(worker: Worker, low: int, high: int, spikes: np.ndarray = spikes, first: int = first) -> None:
                self._run_group_until(worker, spikes[low:high], first + low, rule, readout, result)

            self._run_groups(len(spikes), self._group_samples(len(spikes), _STOPPING_GROUP_SAMPLES, 1), work)
            if progress is not None:
                progress(int(indices[-1]) + 1)
        return result

    # -- step by step ---------------------------------------------------------------------------------------------

    def start(self, samples: int = 1) -> State:
        """State of ``samples`` samples before their first step.

        Example:
            >>> state = engine.start(samples=2)
            >>> state.samples, state.clock
            (2, 0)
        """
        return State.start(self._fill.state, samples)

    def restart(self, state: State) -> None:
        """Puts all samples of ``state`` before their first step again; cheaper than a new one.

        Example:
            >>> engine.restart(state)
            >>> state.clock
            0
        """
        state.restart(self._fill.state)

    def step(self, state: State, spikes: np.ndarray, *, readout: Readout | None = None) -> np.ndarray:
        """One timestep of all samples of ``state``, which it changes.

        Args:
            state: of :meth:`start`.
            spikes: (samples, \\*input_shape), otherwise as of :meth:`run`.
            readout: as of :meth:`run`.

        Returns:
            What each output neuron sends, (samples, neurons) uint8, or int32 for messages; or its membrane voltage in
            state units, int32. Maps are flattened in the order C, H, W; groups of an average are not summed yet.

        Raises:
            DataError: as :meth:`run`; or ``state`` is of another number of samples.

        Example:
            >>> scores = np.zeros((1, engine.description.outputs), np.int64)
            >>> for t in range(spikes.shape[-1]):
            ...     scores = engine.accumulate(scores, engine.step(state, spikes[..., t]))
        """
        readout = self._named(readout)
        spikes = self._checked(spikes, timed=False)
        if len(spikes) != state.samples:
            raise DataError(f"spikes of {len(spikes)} samples; the state holds {state.samples}")
        with self._worker() as worker:
            return worker.single_steps(state, readout).step(state, spikes)

    def accumulate(self, scores: np.ndarray, sent: np.ndarray, readout: Readout | None = None) -> np.ndarray:
        """The accumulated readout after a step, int64 (samples, outputs), as :class:`Run` holds it.

        Args:
            scores: the accumulated readout before it, int64 (samples, outputs); zeros before the first step.
            sent: what :meth:`step` returned, (samples, neurons).
            readout: what :meth:`step` was given.

        Raises:
            DataError: an output that has no such readout.

        Example:
            >>> engine.accumulate(np.array([[4, 0, 1]]), np.array([[1, 0, 1]], np.uint8), "spikes")
            array([[5, 0, 2]])
        """
        outputs = self._outputs(sent[:, None])[:, 0]
        return scores + outputs if self._accumulates(self._named(readout)) else outputs.astype(np.int64)

    def pipeline_fill(self, readout: Readout | None = None) -> np.ndarray:
        """What the output layer sends in Lava's first L steps, before the first input reaches it: (L, neurons), as of
        :meth:`step`. Without biases it is silent.

        Raises:
            DataError: an output that has no such readout.

        Example:
            >>> engine.pipeline_fill().shape == (engine.description.latency, 10)
            True
        """
        return self._fill.voltages if self._named(readout) == "voltage" else self._fill.spikes

    # -- inside ---------------------------------------------------------------------------------------------------

    def _named(self, readout: Readout | None) -> Readout:
        """``readout``, or the network's own where it is None. Raises DataError for one that the output has not."""
        if readout is None:
            return self.readout
        if readout in self._unreadable:
            raise DataError(self._unreadable[readout])
        if readout not in _READOUTS:
            raise DataError(f"readout = {readout!r} is not one of {', '.join(map(repr, _READOUTS))}")
        return readout

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

    def _empty_run(self, samples: int, steps: int, return_traces: bool) -> Run:
        """Room for the result."""
        counts = (samples, len(self.plans), steps)
        traces = []
        for plan in self.plans if return_traces else ():
            shape = (samples, *plan.layer.shape, steps)
            dtypes = (np.int32, np.int32, plan.output_dtype)
            traces.append(LayerTrace(plan.layer.name, *(np.empty(shape, dtype) for dtype in dtypes)))
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
        stretch_steps = steps if run.traces else min(steps, _STRETCH_STEPS)

        def work(worker: Worker, low: int, high: int) -> None:
            state = worker.cleared_state(high - low)
            worker.load(spikes[low:high])
            rows = slice(first + low, first + high)
            state_rows = np.arange(high - low)
            for begin in range(0, steps, stretch_steps):
                size = min(stretch_steps, steps - begin)
                part = worker.advance(state, state_rows, begin, size, readout, return_traces=bool(run.traces))
                when = slice(begin, begin + size)
                run.scores[rows, :, when] = self._outputs(part.sent).transpose(0, 2, 1)
                run.spikes[rows, :, when] = part.spikes
                run.operations[rows, :, when] = part.operations
                for trace, plan, found in zip(run.traces, self.plans, part.traces, strict=False):
                    trace.u[rows], trace.v[rows], trace.s[rows] = (plan.to_layer_shape(each) for each in found)
            if self._accumulates(readout):
                np.cumsum(run.scores[rows], axis=-1, out=run.scores[rows])

        group = self._group_samples(len(spikes), _GROUP_SAMPLES, stretch_steps)
        if run.traces:
            group = max(1, min(group, _TRACE_VALUES // (self._network.widest * steps)))
        self._run_groups(len(spikes), group, work)

    def _run_group_until(
        self, worker: Worker, spikes: np.ndarray, first: int, rule: StoppingRule, readout: Readout, result: StoppedRun
    ) -> None:
        """Runs ``spikes`` as the samples ``first`` and following of ``result``, each until ``rule`` stops it."""
        steps = spikes.shape[-1]
        state = worker.cleared_state(len(spikes))
        worker.load(spikes)
        samples = np.arange(len(spikes))  # that no stretch has stopped yet
        memory = rule.begin(len(spikes))
        scores = np.zeros((len(spikes), self.description.outputs), np.int64)
        accumulates = self._accumulates(readout)
        begin = 0
        while len(samples):
            looks = 1 if len(samples) >= _FEW_SAMPLES else 2
            size = min(looks * _STEPS_BETWEEN_LOOKS, steps - begin)
            part = worker.advance(state, samples, begin, size, readout)
            outputs = self._outputs(part.sent)
            scores_by_step = scores[:, None] + outputs.cumsum(axis=1) if accumulates else outputs.astype(np.int64)
            each = np.arange(len(samples))
            running, stopped_at = each, np.full(len(samples), size)  # in this stretch
            for t in range(size):
                measure, memory = rule.measure(scores_by_step[running, t], begin + t + 1, memory)
                stops = measure >= rule.threshold if begin + t + 1 < steps else np.ones(len(running), bool)
                if stops.any():
                    stopped_at[running[stops]] = t + 1
                    memory = rule.select(memory, ~stops)
                    running = running[~stops]
                    if not len(running):
                        break
            # What ran beyond a sample's stop, a few steps at most, is not counted.
            rows = first + samples
            result.spikes[rows] += part.spikes.cumsum(axis=2)[each, :, stopped_at - 1]
            result.operations[rows] += part.operations.cumsum(axis=2)[each, :, stopped_at - 1]
            result.step[rows] = begin + stopped_at
            result.scores[rows] = scores_by_step[each, stopped_at - 1]
            samples, scores = samples[running], scores_by_step[running, -1]
            begin += size

    def _accumulates(self, readout: Readout) -> bool:
        """Whether scores are sums over steps of what is read: voltages, and what a sigma sends, are sums already."""
        return readout == "spikes" and not isinstance(self.description.layers[-1].neuron, Sigma)

    def _outputs(self, sent: np.ndarray) -> np.ndarray:
        """(N, T, neurons) → (N, T, outputs)."""
        groups = self.description.average
        if groups is None:
            return sent
        total: np.ndarray = sent.reshape(*sent.shape[:2], groups, -1).sum(axis=-1, dtype=np.int64)
        return total

    def _group_samples(self, samples: int, largest: int, stretch_steps: int) -> int:
        """Samples that one thread runs side by side: few enough for its buffers, and for all threads to have some."""
        room = max(1, _BUFFER_EVENTS // (self._network.widest * stretch_steps))
        return max(1, min(largest, room, -(-samples // self.threads)))

    def _run_groups(self, samples: int, group: int, work: Callable[[Worker, int, int], None]) -> None:
        """Calls ``work(worker, low, high)`` for groups of samples, on all threads."""

        def run_one(low: int) -> None:
            with self._worker() as worker:
                work(worker, low, min(low + group, samples))

        begins = range(0, samples, group)
        if self.threads == 1 or len(begins) <= 1:
            for low in begins:
                run_one(low)
            return
        with ThreadPoolExecutor(self.threads) as pool:
            futures: list[Future[None]] = [pool.submit(run_one, low) for low in begins]
            try:
                for future in futures:
                    future.result()
            finally:
                for future in futures:
                    future.cancel()

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        """One that no other thread has."""
        try:
            worker = self._idle_workers.get_nowait()
        except Empty:
            worker = Worker(self._network, self._fill.state)
        try:
            yield worker
        except BaseException:
            raise  # it may be half way through a step: not used again
        else:
            self._idle_workers.put(worker)


def _unreadable(description: NetworkDescription) -> dict[str, str]:
    """Readouts that the output layer does not have → what to say to who asks for one."""
    neuron, output = description.layers[-1].neuron, f"layer {description.layers[-1].name}, the output,"
    if neuron.graded:
        return {"voltage": f"readout = 'voltage': {output} sends messages and has no voltage; read its 'spikes'"}
    if not neuron.fires:
        return {"spikes": f"readout = 'spikes': {output} never fires: all scores would be 0; read its 'voltage'"}
    return {}
