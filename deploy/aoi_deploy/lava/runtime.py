"""Lava's runtime, changed so that it leaves no process or memory behind and never waits for a process that has ended.

Three things differ from the stock runtime. The models and their messages are the same.

- Channels use anonymous memory and no threads (``lava.channel``): there is nothing to unlink or join.
- Every actor (the OS process of one Lava process) reports its own failure through a pipe and ends with its parent. The
  host always waits for a result *or* the end of an actor.
- There is one way to stop: all actors are killed and reaped. They hold nothing that needs a clean shutdown.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aoi.errors import DeployError
from aoi_deploy.lava.api import ActorType, MultiProcessing, PyPyChannel, Runtime
from aoi_deploy.lava.channel import DirectChannel

_BUILD_TIMEOUT_S = 60.0
_LOOK_S = 1.0  # between two looks whether a waiting run goes on
_REPORT_S = 2.0  # longest time that a failing actor takes to report


@dataclass(frozen=True)
class _Actor:
    name: str
    process: Any  # multiprocessing's ForkProcess
    report: Connection  # receives None when ready, a text on failure, EOF at the end


@contextlib.contextmanager
def _deferred_signals() -> Iterator[None]:
    """Defers Ctrl-C and SIGTERM to the end of the block.

    It replaces the handlers. A signal mask would not do: it applies to one thread, and another could get the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python raises signals only in the main thread
        return
    deferred: list[int] = []
    handlers = {
        number: signal.signal(number, lambda n, _: deferred.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for late in deferred:
            signal.raise_signal(late)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _last_line(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return f"{what} ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"


def _run_actor(builder: Any, report: Connection) -> None:
    """Body of an actor: builds the Lava model (or runtime service), runs it, and reports failures."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the host handles it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        actor = builder.build()
        report.send(None)
        actor.start()
    except BaseException as error:
        report.send(_last_line(error))
        os._exit(1)
    os._exit(0)  # without the parent's exit handlers


class Actors(MultiProcessing):
    """The OS processes of one compiled network, and their channels."""

    def __init__(self, names: dict[int, str]) -> None:
        """``names``: names of the Lava processes by the ``id`` of their builder."""
        super().__init__()
        self._names = names
        self._members: list[_Actor] = []
        self._owner = os.getpid()

    def start(self) -> None:
        pass  # stock Lava starts a manager of named shared memory here

    def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_run_actor, args=(builder, writer), daemon=True)
        # An interrupt during the fork would be raised in the child too.
        with _deferred_signals(), warnings.catch_warnings():
            # Python 3.12 warns of threads at a fork; our threads hold no lock that an actor needs.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
            self._members.append(_Actor(self._names.get(id(builder), "runtime service"), process, reader))
            writer.close()  # so that reading gives EOF when the actor ends

    def channel_class(self, channel_type: Any) -> type[PyPyChannel]:
        return DirectChannel

    @property
    def pids(self) -> dict[str, int]:
        """Name → process id."""
        return {member.name: member.process.pid for member in self._members}

    def pin_to_core(self, name: str) -> None:
        """Gives the actor ``name`` a core of its own; the others share the rest.

        Without it, the scheduler moves two actors that both run all the time between cores at every message. The choice
        of the core depends on the host's process id, so that parallel sessions use different ones.
        """
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return
        own = cores[os.getpid() % len(cores)]
        for member in self._members:
            with contextlib.suppress(OSError):  # it has ended, or the system forbids it
                os.sched_setaffinity(member.process.pid, {own} if member.name == name else set(cores) - {own})

    def wait_ready(self) -> None:
        """Waits until every actor has built its model.

        Raises:
            DeployError: an actor failed, or is not ready within a minute.
        """
        deadline = time.monotonic() + _BUILD_TIMEOUT_S
        building = {member.report for member in self._members}
        while building:
            ready = connection.wait(building, max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise DeployError(
                    f"the Lava processes were not ready within {_BUILD_TIMEOUT_S:g} s; try again on a less busy machine"
                )
            for report in building.intersection(ready):  # type: ignore[arg-type]
                building.remove(report)
                self._read(report)

    def wait(self, channel: Connection, timeout_s: float, doing: str, executed: Callable[[], int]) -> None:
        """Waits until ``channel`` has something to read, however long, as long as steps go on.

        ``executed``: number of steps so far; it is asked about once a second.

        Raises:
            DeployError: an actor ended, or nothing came and no step ended within ``timeout_s`` seconds.
        """
        known, since = executed(), time.monotonic()
        while not (ready := connection.wait({channel, *(m.report for m in self._members)}, min(timeout_s, _LOOK_S))):
            steps = executed()
            if steps != known:
                known, since = steps, time.monotonic()
            elif time.monotonic() - since >= timeout_s:
                raise DeployError(
                    f"{doing}: no message from the Lava processes, and no step, within {timeout_s:g} s; set a larger "
                    "timeout_s"
                )
        if channel not in ready:
            raise self._failure()

    def _read(self, report: Connection) -> None:
        """Reads an actor's report: that it is ready, or why it ended (raised as DeployError)."""
        member = next(member for member in self._members if member.report is report)
        try:
            message = report.recv()
        except EOFError:
            member.process.join(_REPORT_S)
            code = member.process.exitcode
            if code is not None and code < 0:
                cause = f"died of {signal.Signals(-code).name}"
                raise DeployError(f"Lava process {member.name!r} (pid {member.process.pid}) {cause}") from None
            raise
        if message is not None:
            raise DeployError(f"Lava process {member.name!r} failed: {message}")

    def _failure(self) -> DeployError:
        """The error of the actor that failed or was killed; the others end after it, without an error."""
        deadline = time.monotonic() + _REPORT_S
        silent = {member.report for member in self._members}
        while ready := connection.wait(silent, max(deadline - time.monotonic(), 0.0)):
            for report in silent.intersection(ready):  # type: ignore[arg-type]
                try:
                    self._read(report)
                except EOFError:
                    silent.remove(report)
                except DeployError as error:
                    return error
        return DeployError("the Lava processes ended without reporting an error; open a new session")

    def stop(self) -> None:
        """Kills and reaps the actors. Can be called at any time, more than once."""
        if os.getpid() != self._owner:
            return  # the copy of this object in an actor
        with _deferred_signals():
            for member in self._members:
                member.process.kill()
            for member in self._members:
                member.process.join()
                member.process.close()
                member.report.close()
            self._members.clear()


class SampleRuntime(Runtime):
    """Runtime of one compiled network."""

    def __init__(self, executable: Any) -> None:
        super().__init__(executable, ActorType.MultiProcessing)
        self.actors = Actors({id(builder): process.name for process, builder in executable.proc_builders.items()})

    def _build_message_infrastructure(self) -> None:
        self._messaging_infrastructure = self.actors
        self.actors.start()

    def initialize(self, node_cfg_idx: int = 0) -> None:
        self._build_watchdog_manager()
        self._build_message_infrastructure()
        self._build_channels()
        self._build_sync_channels()
        self._build_processes()
        self._build_runtime_services()
        self.exception_q.clear()  # stock Lava would wait for these forever
        self._start_ports()
        self.actors.wait_ready()
        self._is_initialized = True

    def stop(self) -> None:
        """Ends all actors; Lava's destructors call it too."""
        self.actors.stop()
        self.join()  # ends the threads of the host's own ports
        self._is_running = self._is_started = False
