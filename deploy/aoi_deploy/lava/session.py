"""Compiles a network into Lava processes once, runs any number of samples, and always cleans up."""

from __future__ import annotations

import contextlib
import gc
import itertools
import logging
import multiprocessing
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from aoi.choices import Model, Readout
from aoi.cutoff.rule import Rule
from aoi.errors import DataError, DeployError
from aoi.netx import NetworkFile
from aoi_deploy.lava.api import ProcessServer, RunSteps, VarServer
from aoi_deploy.lava.feed import RESULT, SLOTS, MonitorSettings, SampleFeed
from aoi_deploy.lava.models import SampleRunConfig
from aoi_deploy.lava.networks import LavaNetwork, fused_network, stock_network
from aoi_deploy.lava.processes.monitor import CutoffMonitor
from aoi_deploy.lava.processes.source import EventSource
from aoi_deploy.lava.runtime import SampleRuntime

if TYPE_CHECKING:
    from typing_extensions import Self

_UNLIMITED_STEPS = 2**31 - 1  # 24 days at one step per millisecond


@dataclass(frozen=True)
class SampleResult:
    """The monitor's decision about one sample, and its cost."""

    index: int  # position in its run
    prediction: int  # class index
    confidence: float
    decision_step: int  # output step 1..T
    steps_executed: int  # executed Lava steps: decision_step + L
    wall_s: float  # from the first step of the sample to its decision
    scores: np.ndarray  # accumulated readout at the decision, int64 (classes,)


class LavaSession:
    """A network file compiled into Lava processes: event source → network → cutoff monitor.

    The network is built once. The samples of any number of runs follow one another without a pause: each starts in the
    Lava step after the decision about the one before, with cleared state. The monitor decides inside the run. Memory
    does not grow with the number of samples.

    Use it as a context manager, or call :meth:`close`.
    """

    _stepwise: ClassVar[bool] = False  # whether samples arrive step by step

    def __init__(
        self,
        network: NetworkFile,
        *,
        steps: int | None = None,
        readout: Readout | None = None,
        rule: Rule | None = None,
        model: Model = "fused",
        timeout_s: float = 120.0,
        record: bool = False,
    ) -> None:
        """Compiles the network and starts its processes.

        Args:
            network: the network file.
            steps: T, timesteps of each sample; None: as in the file's encoding.
            readout: "spikes": counts of output spikes (of a sigma-delta network: the sum of its output messages, or the
                output of its sigma neurons); "voltage": voltages of an output layer that never fires. None: as in the
                file.
            rule: stopping rule; None runs all T steps. Assign :attr:`rule` to change it for the next run.
            model: "fused" runs the whole network in one process, "stock" in lava-dl's graph of processes. Both give
                the same spikes in the same Lava steps.
            timeout_s: longest time without a Lava step while a result is waited for, in seconds.
            record: record states and spikes of every layer for :meth:`recorded`; only with model="stock".

        Raises:
            NetXError: Lava cannot run the file, or its output does not offer the readout.
            DeployError: T is unknown, or a process failed during the build.
        """
        self._runtime: SampleRuntime | None = None
        self._pipes: list[Any] = []
        self._previous_handler: Any = None
        if steps is None:
            steps = network.metadata.encoding.bins if network.metadata and network.metadata.encoding else 0
            if not steps:
                raise DeployError(f"{network.path}: the file does not say the number of timesteps; give steps")
        if steps < 1:
            raise DeployError(f"steps = {steps}: has to be at least 1")
        begin = time.perf_counter()
        self.path = network.path
        self.steps = steps
        self.readout: Readout = readout or network.readout
        self.rule = rule
        self.timeout_s = timeout_s
        self.run_s = 0.0  # seconds spent waiting for results, in all runs
        self._monitor_rule: Rule | None = None  # the last rule sent to the monitor
        self._sent = self._received = 0  # number of samples, in all runs
        self._busy = False
        self.on_steps: Callable[[int], None] | None = None
        """Called about once a second while a result is waited for, with the number of Lava steps of all runs."""
        self._handle_sigterm()
        try:
            self._build(network, model, record)
        except OSError as error:
            self.close()
            raise DeployError(
                f"{network.path}: Lava's processes cannot be started ({error.strerror or error}); they need writable "
                "/dev/shm with free space, and some 20 file descriptors each (ulimit -n)"
            ) from None
        except BaseException:
            self.close()
            raise
        self.build_s = time.perf_counter() - begin

    def _build(self, file: NetworkFile, model: Model, record: bool) -> None:
        with restore_interpreter_state():
            network = self._network(file, model, record)
            self.network = network
            self.latency = file.description.latency
            slot = self._slot_length()
            shape = network.process.inp.shape
            dtype = np.uint8 if network.limits == (0, 1) else np.int32
            self._feed = SampleFeed(self.steps, shape, dtype, stepwise=self._stepwise)
            rules, self._rules = multiprocessing.Pipe(duplex=False)
            self._results, results = multiprocessing.Pipe(duplex=False)
            self._pipes = [rules, self._rules, self._results, results]
            settings = MonitorSettings(
                steps=self.steps,
                latency=self.latency,
                accumulated=network.sends_sums,
                groups=file.description.outputs,
                rules=rules,
                results=results,
                slot=slot,
                stepwise=self._stepwise,
            )
            self._executed = settings.executed
            source = EventSource(shape=shape, feed=self._feed, slot=slot)
            monitor = CutoffMonitor(shape=network.process.out.shape, settings=settings)
            source.name, network.process.name, monitor.name = "EventSource", "SpikingNetwork", "CutoffMonitor"
            self._connect(source, network, monitor)
            executable = source.compile(self._run_config(model))
            self._runtime = SampleRuntime(executable)
            self._runtime.initialize()
            if model == "fused":
                self._runtime.actors.pin_to_core(network.process.name)
            self._runtime.start(RunSteps(num_steps=_UNLIMITED_STEPS, blocking=False))

    # -- what sessions on other hardware override ------------------------------------------------------------------

    def _network(self, file: NetworkFile, model: Model, record: bool) -> LavaNetwork:
        if model == "stock":
            return stock_network(file, self.readout, record_steps=self.steps if record else None)
        if record:
            raise DeployError(f"{self.path}: record = True: only model='stock' records the states of layers")
        return fused_network(file, self.readout)

    def _slot_length(self) -> int | None:
        """Fixed number of steps per sample; None if a sample ends with its decision."""
        return None

    def _connect(self, source: EventSource, network: LavaNetwork, monitor: CutoffMonitor) -> None:
        source.s_out.connect(network.process.inp)
        network.process.out.connect(monitor.s_in)

    def _run_config(self, model: Model) -> Any:
        return SampleRunConfig(model)

    # -- running ------------------------------------------------------------------------------------------------

    def run(
        self, samples: Iterable[np.ndarray], on_result: Callable[[SampleResult], None] | None = None
    ) -> Iterator[SampleResult]:
        """Runs ``samples`` and yields their results in order, each as soon as it is decided.

        At most two samples are in memory. The iterator can be abandoned; the next run is not affected.

        Args:
            samples: arrays (C, H, W, T) or (n, T) of 0 and 1, or of integers for a network that takes values.
            on_result: called with each result before it is yielded.

        Raises:
            DataError: a sample does not fit the network; the session stays usable.
            DeployError: a process failed; the session is closed.
        """
        self._require_open()
        if self._busy:
            raise DeployError(f"{self.path}: a run is in progress on this session; finish or close its iterator first")
        self._busy = True
        try:
            self._send_rule()
            first = self._sent
            remaining = iter(samples)
            while True:
                for sample in itertools.islice(remaining, SLOTS - (self._sent - self._received)):
                    self._feed.put(self._sent, self._frames(sample, self.steps, f"sample {self._sent - first}"))
                    self._sent += 1
                if self._received == self._sent:
                    return
                result = self._receive(first)
                if result is not None:
                    if on_result is not None:
                        on_result(result)
                    yield result
        except (KeyboardInterrupt, SystemExit):
            self.close()  # the exchange may be incomplete
            raise
        finally:
            self._busy = False

    def _require_open(self) -> None:
        if self._runtime is None:
            raise DeployError(f"{self.path}: the session is closed; open another")

    def _send_rule(self) -> None:
        if self.rule is not self._monitor_rule:
            self._rules.send(self.rule)
            self._monitor_rule = self.rule

    def _frames(self, sample: np.ndarray, steps: int, name: str) -> np.ndarray:
        """Transposes (C, H, W, T) to (T, W, H, C), or to (T, n) with n in C, H, W order, as netx and torch flatten."""
        array = np.asarray(sample)
        shape = array.shape[:-1]
        expected = self.network.input_shape
        flat = len(shape) == 1 or len(expected) == 1
        fits = shape == expected or (flat and prod(shape) == prod(expected))
        if array.ndim < 2 or array.shape[-1] != steps or not fits:
            raise DataError(
                f"{name} has shape {array.shape}; the network takes {(*expected, steps)} (inputs, timesteps last)"
            )
        low, high = self.network.limits
        if array.dtype != np.bool_ and (array.min() < low or array.max() > high):
            allowed = "spikes are 0 or 1" if (low, high) == (0, 1) else f"the network takes values of {low}..{high}"
            raise DataError(f"{name} holds {array.min()}..{array.max()}; {allowed}")
        return array.reshape(*expected, steps).T

    def _receive(self, first: int) -> SampleResult | None:
        """The next result; None for a result of an abandoned run."""
        result = self._result(self._message(f"sample {self._received - first}"), first)
        self._received += 1
        return result if result.index >= 0 else None

    def _message(self, doing: str) -> bytes:
        """Waits for the next message of the monitor."""
        begin = time.perf_counter()
        assert self._runtime is not None
        try:
            self._runtime.actors.wait(self._results, self.timeout_s, doing, self._look)
            message: bytes = self._results.recv_bytes()
        except BaseException:
            self.close()  # broken or interrupted: the processes cannot continue
            raise
        self.run_s += time.perf_counter() - begin
        return message

    def _look(self) -> int:
        """Lava steps executed so far; tells :attr:`on_steps`."""
        steps = int(self._executed[0])
        if self.on_steps is not None:
            self.on_steps(steps)
        return steps

    def _result(self, message: bytes, first: int) -> SampleResult:
        sequence, prediction, confidence, step, executed, finished = RESULT.unpack_from(message)
        scores = np.frombuffer(message, np.int64, offset=RESULT.size).copy()
        wall_s = finished - self._feed.started(sequence)
        return SampleResult(sequence - first, prediction, confidence, step, executed, wall_s, scores)

    def recorded(self) -> list[np.ndarray]:
        """States of each layer for the sample with the latest result: int32 (T, 3, *shape), shape in Lava's order.

        The three are u, v and spikes; for sigma-delta neurons sigma (0 in the encoder), residue (0 in the decoder) and
        message. The latency of each layer is removed: row t is output step t + 1. Valid until the next result.
        """
        # While the source waits for a sample, the network's output runs one step ahead: row 0 holds no output step.
        slot = (self._received - 1) % SLOTS
        # An input block sends in the same step, all others in the next.
        rows = enumerate(self.network.records, int(self.latency == len(self.network.records)))
        return [record[slot, n : n + self.steps] for n, record in rows]

    # -- closing --------------------------------------------------------------------------------------------

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of the running processes, by name."""
        return self._runtime.actors.pids if self._runtime is not None else {}

    def close(self) -> None:
        """Ends the processes and frees their memory. Can be called more than once."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.stop()
        for pipe in self._pipes:
            pipe.close()
        self._pipes.clear()
        if runtime is not None:
            del runtime
            gc.collect()  # Lava's objects have reference cycles
        self._restore_sigterm()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_runtime", None) is not None:
            warnings.warn(f"LavaSession of {self.path} was left open; use `with`", ResourceWarning, stacklevel=2)
            self.close()

    def _handle_sigterm(self) -> None:
        """Makes SIGTERM raise SystemExit, so that the session is closed; keeps a handler that is already installed."""
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._previous_handler = signal.signal(signal.SIGTERM, _exit_on_signal)

    def _restore_sigterm(self) -> None:
        if self._previous_handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._previous_handler)
            self._previous_handler = None


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def restore_interpreter_state() -> Iterator[None]:
    """Undoes the side effects of building a Lava network on this interpreter.

    Lava registers each process and variable forever (megabytes per network) and adds a log handler per process; lava-dl
    prints its warnings to stdout.
    """
    registers = [ProcessServer().processes, VarServer().vars]
    lengths = [len(register) for register in registers]
    root = logging.getLogger()
    handlers = list(root.handlers)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        for register, length in zip(registers, lengths, strict=True):
            del register[length:]
        root.handlers[:] = handlers
