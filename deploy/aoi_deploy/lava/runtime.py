"""Lava's runtime, made so that nothing survives it and nothing waits for the dead.

Three things differ from the stock runtime; what the models do and exchange is untouched.

- Channels lie in anonymous memory and need no threads (``lava.channel``): nothing to unlink, nothing to join.
- Every actor (one OS process a Lava process) reports its own failure through a pipe and dies with its parent. The host
  waits for results *or* for an actor's end, never for one thing alone.
- There is one way out: the actors are killed and reaped. They hold nothing that would need a farewell.
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
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aoi.errors import DeployError
from aoi_deploy.lava.api import ActorType, MultiProcessing, PyPyChannel, Runtime
from aoi_deploy.lava.channel import DirectChannel

_BUILD_TIMEOUT_S = 60.0
_LAST_WORDS_S = 2.0  # a failing actor needs this long at most to report while the others already end


@dataclass(frozen=True)
class _Actor:
    name: str
    process: Any  # multiprocessing's ForkProcess
    report: Connection  # brings None once when ready, a text on failure, EOF at the end


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Holds Ctrl-C and SIGTERM back until the end of the block.

    Handlers are exchanged, not signals masked: a mask holds for one thread only, and any other may take the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Python raises nothing here
        return
    held: list[int] = []
    handlers = {
        number: signal.signal(number, lambda n, _: held.append(n)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for missed in held:
            signal.raise_signal(missed)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os.kill(os.getpid(), signal.SIGKILL)


def _last_line(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    what = "".join(traceback.format_exception_only(error)).strip().splitlines()[-1]
    return f"{what} ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"


def _act(builder: Any, report: Connection) -> None:
    """Body of an actor: build the Lava model (or runtime service), run it, report what goes wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group: the host decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        actor = builder.build()
        report.send(None)
        actor.start()
    except BaseException as error:
        report.send(_last_line(error))
        os._exit(1)
    os._exit(0)  # none of the parent's exit handlers


class Actors(MultiProcessing):
    """The OS processes of one build and the memory between them."""

    def __init__(self, names: dict[int, str]) -> None:
        """``names``: of the Lava processes, by the ``id`` of their builder."""
        super().__init__()
        self._names = names
        self._members: list[_Actor] = []
        self._owner = os.getpid()

    def start(self) -> None:
        pass  # stock Lava starts a manager of named shared memory here

    def build_actor(self, target_fn: Any, builder: Any, exception_q: Any = None) -> None:
        reader, writer = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_act, args=(builder, writer), daemon=True)
        # An interrupt in the middle of a fork would be raised in the child too: it waits until both are on their feet.
        with _uninterrupted(), warnings.catch_warnings():
            # Python 3.12 warns of threads at a fork; ours hold no lock that an actor takes.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
            self._members.append(_Actor(self._names.get(id(builder), "runtime service"), process, reader))
            writer.close()  # so that the end of the actor is the end of the file

    def channel_class(self, channel_type: Any) -> type[PyPyChannel]:
        return DirectChannel

    @property
    def pids(self) -> dict[str, int]:
        """Name → process id."""
        return {member.name: member.process.pid for member in self._members}

    def pin_to_core(self, name: str) -> None:
        """Lets the actor ``name`` have a core, the others share the rest.

        Where two actors are always at work, the scheduler moves them about with every message otherwise. Which core
        depends on the host's process id, so that sessions side by side do not all choose the same.
        """
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            return
        own = cores[os.getpid() % len(cores)]
        for member in self._members:
            with contextlib.suppress(OSError):  # it ended already, or the system forbids it
                os.sched_setaffinity(member.process.pid, {own} if member.name == name else set(cores) - {own})

    def wait_ready(self) -> None:
        """Returns when every actor has built its model.

        Raises:
            DeployError: one failed, or is not ready within a minute.
        """
        deadline = time.monotonic() + _BUILD_TIMEOUT_S
        building = {member.report for member in self._members}
        while building:
            ready = connection.wait(building, max(deadline - time.monotonic(), 0.0))
            if not ready:
                raise DeployError(f"the Lava processes were not ready within {_BUILD_TIMEOUT_S:g} s; gave up")
            for report in building.intersection(ready):  # type: ignore[arg-type]
                building.remove(report)
                self._read(report)

    def wait(self, channel: Connection, timeout_s: float, doing: str) -> None:
        """Returns when ``channel`` has something to read.

        Raises:
            DeployError: an actor ended, or nothing came within ``timeout_s``.
        """
        ready = connection.wait({channel, *(member.report for member in self._members)}, timeout_s)
        if not ready:
            raise DeployError(f"{doing}: nothing came from the Lava processes within {timeout_s:g} s; gave up")
        if channel not in ready:
            raise self._failure()

    def _read(self, report: Connection) -> None:
        """Takes what an actor has to say: that it is ready, or why it ended."""
        member = next(member for member in self._members if member.report is report)
        try:
            message = report.recv()
        except EOFError:
            member.process.join(_LAST_WORDS_S)
            code = member.process.exitcode
            if code is not None and code < 0:
                cause = f"died of {signal.Signals(-code).name}"
                raise DeployError(f"Lava process {member.name!r} (pid {member.process.pid}) {cause}") from None
            raise
        if message is not None:
            raise DeployError(f"Lava process {member.name!r} failed: {message}")

    def _failure(self) -> DeployError:
        """Finds the actor whose end is the cause: it reports an error or was killed; the others were told to end."""
        deadline = time.monotonic() + _LAST_WORDS_S
        silent = {member.report for member in self._members}
        while ready := connection.wait(silent, max(deadline - time.monotonic(), 0.0)):
            for report in silent.intersection(ready):  # type: ignore[arg-type]
                try:
                    self._read(report)
                except EOFError:
                    silent.remove(report)
                except DeployError as error:
                    return error
        return DeployError("the Lava processes ended without a word")

    def stop(self) -> None:
        """Kills and reaps the actors. May be called at any time, any number of times."""
        if os.getpid() != self._owner:
            return  # an actor's copy of this object
        with _uninterrupted():
            for member in self._members:
                member.process.kill()
            for member in self._members:
                member.process.join()
                member.process.close()
                member.report.close()
            self._members.clear()


class SampleRuntime(Runtime):
    """Runtime of one build."""

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
        self.exception_q.clear()  # stock Lava waits on these for ever
        self._start_ports()
        self.actors.wait_ready()
        self._is_initialized = True

    def stop(self) -> None:
        """The one way out, also from Lava's destructors."""
        self.actors.stop()
        self.join()  # ends the threads of the host's own ports
        self._is_running = self._is_started = False
