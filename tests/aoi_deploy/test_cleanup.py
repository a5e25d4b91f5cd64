"""However a session ends, it leaves no process and no shared memory, ends within seconds and names the cause.

Each scenario runs in its own process, the victim, which leads a process session, so that all processes that it started
can be found even after it has died.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from aoi.cutoff.rule import ConfidenceRule
from aoi.errors import DeployError
from aoi.netx import NetworkFile
from aoi_deploy.lava.processes.monitor import PyCutoffMonitorModel
from aoi_deploy.lava.processes.source import PyEventSourceModel
from aoi_deploy.lava.runtime import SampleRuntime
from aoi_deploy.lava.session import LavaSession
from tests.aoi_deploy.lava_networks import Make, segments, spikes, wait_until

SECONDS = 15.0  # longest time to end, on a busy machine
Scenario = Callable[[NetworkFile, "Report"], None]


class Report:
    """Sends values from the victim to the test."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, **values: Any) -> None:
        self._connection.send(values)


def alive(leader: int) -> list[psutil.Process]:
    """Living processes of the process session of ``leader``, without zombies."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


@dataclass
class Victim:
    process: Any
    reports: Connection
    before: set[str]

    def receive(self) -> dict[str, Any]:
        assert self.reports.poll(SECONDS), "the victim hangs"
        values: dict[str, Any] = self.reports.recv()
        return values

    def end(self) -> int:
        """Waits for the victim's end, checks that nothing is left, and returns the exit code."""
        self.process.join(SECONDS)
        assert self.process.exitcode is not None, "the victim hangs"
        assert wait_until(lambda: not alive(self.process.pid)), [p.name() for p in alive(self.process.pid)]
        assert wait_until(lambda: segments() <= self.before)
        return int(self.process.exitcode)


def _play(scenario: Scenario, file: NetworkFile, connection: Connection) -> None:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    report = Report(connection)
    try:
        scenario(file, report)
        report(left=[p.pid for p in psutil.Process().children(recursive=True)])
    except BaseException as error:
        left = [p.pid for p in psutil.Process().children(recursive=True)]
        report(left=left, error=type(error).__name__, text=str(error))
        raise


@pytest.fixture
def start(make: Make) -> Iterator[Callable[[Scenario], Victim]]:
    begun: list[Victim] = []

    def begin(scenario: Scenario) -> Victim:
        before = segments()
        reports, connection = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_play, args=(scenario, make("dense"), connection))
        process.start()
        connection.close()
        begun.append(Victim(process, reports, before))
        return begun[-1]

    yield begin
    for victim in begun:
        for process in alive(victim.process.pid):  # left by a failed test
            process.kill()
        victim.process.join()


def endless(file: NetworkFile) -> Iterator[np.ndarray]:
    sample = spikes(file, 1, 8)[0]
    while True:
        yield sample


def run_forever(file: NetworkFile, report: Report) -> None:
    with LavaSession(file, steps=8, model="stock") as session:
        for number, _ in enumerate(session.run(endless(file))):
            if number == 3:
                report(pids=session.pids)


def test_done(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, model="stock") as session:
            report(results=len(list(session.run(spikes(file, 5, 8)))), actors=len(alive(os.getpid())))

    victim = start(scenario)
    seen = victim.receive()
    assert (seen["results"], seen["actors"]) == (5, 8)  # 2 x (synapse, neuron), source, monitor, service, victim
    assert victim.receive() == {"left": []}
    assert victim.end() == 0


class FailingRule(ConfidenceRule):
    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        if scores.sum() > 3:
            raise ZeroDivisionError("the rule broke")
        return super().measure(scores, step, memory)


def test_exception_in_a_process_model(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, rule=FailingRule(1.0, 1.0), model="stock") as session:
            list(session.run(endless(file)))

    victim = start(scenario)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "DeployError")
    assert "'CutoffMonitor' failed: ZeroDivisionError: the rule broke (test_cleanup.py, line" in seen["text"]
    assert victim.end() == 1


@pytest.mark.parametrize("model", [PyEventSourceModel, PyCutoffMonitorModel])
def test_exception_while_a_process_model_is_built(
    start: Callable[[Scenario], Victim], monkeypatch: pytest.MonkeyPatch, model: type
) -> None:
    def fail(self: Any, proc_params: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(model, "__init__", fail)
    victim = start(run_forever)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "DeployError")
    assert "failed: MemoryError: no room" in seen["text"]
    assert victim.end() == 1


def test_exception_in_the_host(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, model="stock") as session:
            for result in session.run(endless(file)):
                if result.index == 3:
                    raise KeyError("mine")

    victim = start(scenario)
    assert victim.receive() == {"left": [], "error": "KeyError", "text": "'mine'"}
    assert victim.end() == 1


def test_iterator_closed_early(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, model="stock") as session:
            run = session.run(endless(file))
            next(run)
            run.close()

    victim = start(scenario)
    assert victim.receive() == {"left": []}
    assert victim.end() == 0


def test_interrupt(start: Callable[[Scenario], Victim]) -> None:
    """Ctrl-C: the terminal sends it to the whole process group."""
    victim = start(run_forever)
    victim.receive()
    os.killpg(victim.process.pid, signal.SIGINT)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "KeyboardInterrupt")
    assert victim.end() == 1


def test_repeated_interrupts(start: Callable[[Scenario], Victim]) -> None:
    victim = start(run_forever)
    victim.receive()
    for _ in range(10):
        os.killpg(victim.process.pid, signal.SIGINT)
        time.sleep(0.001)
    victim.end()


def test_termination(start: Callable[[Scenario], Victim]) -> None:
    victim = start(run_forever)
    victim.receive()
    victim.process.terminate()
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "SystemExit")
    assert victim.end() == 143


@pytest.mark.parametrize("phase", ["_build_processes", "_build_runtime_services", "_start_ports"])
def test_interrupt_during_the_build(
    start: Callable[[Scenario], Victim], monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    original = getattr(SampleRuntime, phase)

    def interrupt(self: SampleRuntime) -> None:
        threading.Timer(0.01, os.killpg, (os.getpgid(0), signal.SIGINT)).start()
        original(self)
        time.sleep(1)

    monkeypatch.setattr(SampleRuntime, phase, interrupt)
    victim = start(run_forever)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "KeyboardInterrupt")
    assert victim.end() == 1


def test_kill_of_the_parent(start: Callable[[Scenario], Victim]) -> None:
    victim = start(run_forever)
    victim.receive()
    assert len(alive(victim.process.pid)) == 8
    victim.process.kill()
    assert victim.end() == -signal.SIGKILL


def test_kill_of_the_parent_while_the_network_waits(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, model="stock") as session:
            report(pids=session.pids)
            time.sleep(60)

    victim = start(scenario)
    victim.receive()
    victim.process.kill()
    assert victim.end() == -signal.SIGKILL


@pytest.mark.parametrize(
    "name", ["EventSource", "CutoffMonitor", "layer 0 synapse", "layer 1 neuron", "runtime service"]
)
def test_kill_of_one_actor(start: Callable[[Scenario], Victim], name: str) -> None:
    victim = start(run_forever)
    pid = victim.receive()["pids"][name]
    os.kill(pid, signal.SIGKILL)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "DeployError")
    assert seen["text"] == f"Lava process {name!r} (pid {pid}) died of SIGKILL"
    assert victim.end() == 1


def test_an_actor_that_stands_still(start: Callable[[Scenario], Victim]) -> None:
    def scenario(file: NetworkFile, report: Report) -> None:
        with LavaSession(file, steps=8, timeout_s=0.5, model="stock") as session:
            run = session.run(endless(file))
            next(run)
            os.kill(session.pids["layer 0 neuron"], signal.SIGSTOP)
            for _ in run:
                pass

    victim = start(scenario)
    seen = victim.receive()
    assert (seen["left"], seen["error"]) == ([], "DeployError")
    assert "within 0.5 s" in seen["text"]
    assert victim.end() == 1


def test_broken_session_is_closed(make: Make) -> None:
    file = make("dense")
    session = LavaSession(file, steps=8, model="stock")
    os.kill(session.pids["EventSource"], signal.SIGKILL)
    with pytest.raises(DeployError, match="died of SIGKILL"):
        list(session.run(spikes(file, 2, 8)))
    with pytest.raises(DeployError, match="closed"):
        list(session.run(spikes(file, 2, 8)))


SCRIPT = """
import sys, time
import numpy as np
from aoi.netx import read_network
from aoi_deploy.lava.session import LavaSession
session = LavaSession(read_network(sys.argv[1]), steps=4, model="stock")
next(session.run([np.zeros((48, 4), np.uint8)]))
print("ready", flush=True)
{end}
"""


@pytest.mark.parametrize(
    ("end", "code"),
    [("1 / 0", 1), ("import os; os._exit(7)", 7), ("time.sleep(60)", None)],
)
def test_program_that_leaves_its_session_open(make: Make, end: str, code: int | None) -> None:
    """Nothing is left after the interpreter has ended. ``None``: SIGTERM ends it while it sleeps."""
    before = segments()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(end=end), str(make("dense").path)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        if code is None:
            process.terminate()
        assert process.wait(SECONDS) == (143 if code is None else code)
        assert wait_until(lambda: not alive(process.pid))
        assert wait_until(lambda: segments() <= before)
    finally:
        for left in alive(process.pid):
            left.kill()
        process.stdout.close()  # type: ignore[union-attr]
