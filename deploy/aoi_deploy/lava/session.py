"""Build a network once, run any number of samples, always clean up."""

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

_STEPS_FOR_EVER = 2**31 - 1  # 24 days at a step a millisecond


@dataclass(frozen=True)
class SampleResult:
    """What the monitor decided about one sample, and what that took."""

    index: int  # position among the samples of its run
    prediction: int  # class index
    confidence: float
    decision_step: int  # output step 1..T
    steps_executed: int  # Lava steps that the sample really took: decision_step + L
    wall_s: float  # from the sample's first step to its decision
    scores: np.ndarray  # int64 (classes,): accumulated readout at the decision


class LavaSession:
    """A network file compiled into Lava processes: event source → network → cutoff monitor.

    The network is built once; samples of any number of runs then follow one another without a pause, each starting on
    the Lava step after the decision about the one before, in a network whose state is cleared. Use it as a context
    manager, or call :meth:`close`.

    The monitor decides inside the run. Memory does not grow with samples.
    """

    _stepwise: ClassVar[bool] = False  # the samples' steps come one by one

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
            network: a network file that was read.
            steps: T, timesteps of each sample; None: those of the file's encoding.
            readout: "spikes", output spike counts (of a sigma-delta network: the sum of its output's messages, or what
                a sigma output sends), or "voltage", that of an output layer that never fires. None: the file's own.
            rule: stopping rule; None runs all T steps. Assign :attr:`rule` to change it for the next run.
            model: "fused" runs the whole network in one process, "stock" in lava-dl's graph of processes: the same
                spikes in the same Lava steps.
            timeout_s: longest time without a result, after which the session gives up.
            record: keep states and spikes of every layer for :meth:`recorded`; only with model="stock".

        Raises:
            NetXError: Lava cannot run the file, or not with this readout.
            DeployError: T is not known, or a process failed while it was built.
        """
        self._runtime: SampleRuntime | None = None
        self._pipes: list[Any] = []
        self._previous_handler: Any = None
        if steps is None:
            steps = network.metadata.encoding.bins if network.metadata and network.metadata.encoding else 0
            if not steps:
                raise DeployError(f"{network.path}: names no number of timesteps; give steps")
        if steps < 1:
            raise DeployError(f"steps = {steps}: a sample needs at least one timestep")
        begin = time.perf_counter()
        self.path = network.path
        self.steps = steps
        self.readout: Readout = readout or network.readout
        self.rule = rule
        self.timeout_s = timeout_s
        self.run_s = 0.0  # wall time spent waiting for results, all runs together
        self._known_rule: Rule | None = None  # the monitor's
        self._sent = self._received = 0  # samples, all runs together
        self._busy = False
        self._handle_sigterm()
        try:
            self._build(network, model, record)
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
            source = EventSource(shape=shape, feed=self._feed, slot=slot)
            monitor = CutoffMonitor(shape=network.process.out.shape, settings=settings)
            source.name, network.process.name, monitor.name = "EventSource", "SpikingNetwork", "CutoffMonitor"
            self._wire(source, network, monitor)
            executable = source.compile(self._run_config(model))
            self._runtime = SampleRuntime(executable)
            self._runtime.initialize()
            if model == "fused":
                self._runtime.actors.pin_to_core(network.process.name)
            self._runtime.start(RunSteps(num_steps=_STEPS_FOR_EVER, blocking=False))

    # What a session on other hardware does otherwise.

    def _network(self, file: NetworkFile, model: Model, record: bool) -> LavaNetwork:
        if model == "stock":
            return stock_network(file, self.readout, record_steps=self.steps if record else None)
        if record:
            raise DeployError(f"{self.path}: only model='stock' keeps states of layers; it has one process each")
        return fused_network(file, self.readout)

    def _slot_length(self) -> int | None:
        """Steps that every sample takes; None where it ends with its decision."""
        return None

    def _wire(self, source: EventSource, network: LavaNetwork, monitor: CutoffMonitor) -> None:
        source.s_out.connect(network.process.inp)
        network.process.out.connect(monitor.s_in)

    def _run_config(self, model: Model) -> Any:
        return SampleRunConfig(model)

    # -- running ------------------------------------------------------------------------------------------------

    def run(
        self, samples: Iterable[np.ndarray], on_result: Callable[[SampleResult], None] | None = None
    ) -> Iterator[SampleResult]:
        """Runs ``samples`` and yields their results in order, each as soon as it falls.

        At most two samples are in memory. The iterator may be abandoned: the next run starts afresh.

        Args:
            samples: arrays (C, H, W, T), (n, T) or any other shape with as many inputs, of 0 and 1, or of whole numbers
                where the network takes values.
            on_result: called with each result before it is yielded.

        Raises:
            DataError: a sample does not fit the network; the session stays usable.
            DeployError: a process failed; the session is closed.
        """
        self._require_open()
        if self._busy:
            raise DeployError(f"{self.path}: a run is under way on this session; finish or close its iterator first")
        self._busy = True
        try:
            self._tell_rule()
            first = self._sent
            waiting = iter(samples)
            while True:
                for sample in itertools.islice(waiting, SLOTS - (self._sent - self._received)):
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
            self.close()  # who knows in the middle of what
            raise
        finally:
            self._busy = False

    def _require_open(self) -> None:
        if self._runtime is None:
            raise DeployError(f"{self.path}: the session is closed; open another")

    def _tell_rule(self) -> None:
        if self.rule is not self._known_rule:
            self._rules.send(self.rule)
            self._known_rule = self.rule

    def _frames(self, sample: np.ndarray, steps: int, what: str) -> np.ndarray:
        """(C, H, W, T) → (T, W, H, C), or (T, n) with n in C, H, W order: as netx flattens and as torch does."""
        array = np.asarray(sample)
        shape = array.shape[:-1]
        wanted = self.network.input_shape
        flat = len(shape) == 1 or len(wanted) == 1
        fits = shape == wanted or (flat and prod(shape) == prod(wanted))
        if array.ndim < 2 or array.shape[-1] != steps or not fits:
            raise DataError(
                f"{what} has shape {array.shape}; the network takes {(*wanted, steps)} (inputs, timesteps last)"
            )
        low, high = self.network.limits
        if array.dtype != np.bool_ and (array.min() < low or array.max() > high):
            allowed = "spikes are 0 or 1" if (low, high) == (0, 1) else f"the network takes values of {low}..{high}"
            raise DataError(f"{what} holds {array.min()}..{array.max()}; {allowed}")
        return array.reshape(*wanted, steps).T

    def _receive(self, first: int) -> SampleResult | None:
        """Next result; ``None`` for one of an abandoned run."""
        result = self._result(self._message(f"sample {self._received - first}"), first)
        self._received += 1
        return result if result.index >= 0 else None

    def _message(self, doing: str) -> bytes:
        """What the monitor sends next."""
        begin = time.perf_counter()
        assert self._runtime is not None
        try:
            self._runtime.actors.wait(self._results, self.timeout_s, doing)
            message: bytes = self._results.recv_bytes()
        except BaseException:
            self.close()  # broken or interrupted: the processes cannot go on
            raise
        self.run_s += time.perf_counter() - begin
        return message

    def _result(self, message: bytes, first: int) -> SampleResult:
        sequence, prediction, confidence, step, executed, finished = RESULT.unpack_from(message)
        scores = np.frombuffer(message, np.int64, offset=RESULT.size).copy()
        wall_s = finished - self._feed.started(sequence)
        return SampleResult(sequence - first, prediction, confidence, step, executed, wall_s, scores)

    def recorded(self) -> list[np.ndarray]:
        """u, v and spikes of the sample whose result came last: a block (T, 3, *shape) int32, shape in Lava's order.

        Of a sigma-delta block: sigma (0 in its encoder), residue (0 in its decoder) and message.

        Aligned: row t of each block is output step t + 1, its latency removed. Valid until the next result is asked
        for.
        """
        # The network's end runs one step ahead while the source waits for a sample: into row 0, which is no output yet.
        slot = (self._received - 1) % SLOTS
        # An input block answers in the same step, all others in the next one.
        rows = enumerate(self.network.records, int(self.latency == len(self.network.records)))
        return [record[slot, n : n + self.steps] for n, record in rows]

    # -- closing --------------------------------------------------------------------------------------------

    @property
    def pids(self) -> dict[str, int]:
        """Name → process id of the running processes."""
        return self._runtime.actors.pids if self._runtime is not None else {}

    def close(self) -> None:
        """Ends the processes and frees their memory; may be called again."""
        runtime, self._runtime = self._runtime, None
        if runtime is not None:
            runtime.stop()
        for pipe in self._pipes:
            pipe.close()
        self._pipes.clear()
        if runtime is not None:
            del runtime
            gc.collect()  # Lava's objects refer to one another in circles
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
        """SIGTERM leaves by the same way as an error; a handler that somebody else installed stays."""
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
    """Undoes what building a Lava network leaves behind in this interpreter.

    Lava registers each process and variable for ever (megabytes a network), adds a log handler a process, and lava-dl
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
