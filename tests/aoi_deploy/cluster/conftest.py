"""Jobs long enough for faults to happen while they run, and an sshd as login host."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

from aoi.cutoff.rule import decide, make_rule
from aoi.engine import Engine
from aoi.events.spikes import SpikeData, pack
from aoi.netx import read_network, write_network
from aoi_deploy.jobs import queue
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.targets import Outcome, Work
from tests.aoi_deploy.lava_networks import describe


class MakeWork(Protocol):
    def __call__(self, samples: int, steps: int = ...) -> Work: ...


STEPS = 150  # about 0.15 s per sample in lava-dl's graph of processes


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def work(tmp_path: Path) -> MakeWork:
    """Samples of random spikes for a small network, run as lava-dl's graph of processes."""

    def build(samples: int, steps: int = STEPS) -> Work:
        file = tmp_path / "dense.net"
        write_network(file, describe("dense"))
        network = read_network(file)
        (inputs,) = network.description.input_shape
        spikes = np.random.default_rng(0).random((samples, 1, 1, inputs, steps)) < 0.3
        data = SpikeData(
            ids=tuple(f"sample {n}" for n in range(samples)),
            labels=np.zeros(samples, np.int64),
            classes=tuple(map(str, range(network.description.outputs))),
            fingerprints=np.arange(samples, dtype=np.uint64),
            shape=(1, 1, inputs, steps),
            packed=np.stack([pack(each) for each in spikes]),
            rows=np.arange(samples),
        )
        return Work(network, data, make_rule("fixed", steps - 1), "stock")

    return build


def expected(work: Work) -> list[tuple[int, int, int]]:
    """(index, prediction, decision step) on the engine."""
    spikes = np.stack([work.sample(index) for index in range(len(work.spikes))])
    decisions = decide(work.rule, Engine(work.network.description).run(spikes, readout=work.network.readout).scores)
    return [(n, int(p), int(s)) for n, (p, s) in enumerate(zip(decisions.prediction, decisions.step, strict=True))]


def decisions(outcomes: list[Outcome]) -> list[tuple[int, int, int]]:
    return [(each.index, each.prediction, each.decision_step) for each in outcomes]


def lines(folder: JobFolder) -> list[bytes]:
    """All result lines on the disk."""
    return [line for file in sorted(folder.path.glob("chunks/*.jsonl")) for line in file.read_bytes().splitlines()]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def wait_decided(folder: JobFolder, count: int, seconds: float = 90.0) -> None:
    wait_for(lambda: len(lines(folder)) >= count, f"{count} samples decided in {folder.path}", seconds)


def check_complete(folder: JobFolder, work: Work) -> None:
    """Checks that every sample was decided once, and as by the engine."""
    assert decisions(list(queue.follow(folder))) != []  # waits for the end
    assert decisions(queue.fetch(folder)) == expected(work)
    assert len(lines(folder)) == len(work.spikes)
    assert queue.status(folder).state == "done"


@pytest.fixture
def login_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A real sshd on loopback with its own keys; the home folder is the user's."""
    daemon = shutil.which("sshd", path="/usr/sbin:/usr/bin:/sbin")
    if daemon is None or shutil.which("ssh") is None:
        reason = "sshd is missing: apt-get install openssh-server"
        if os.environ.get("AOI_SLURM") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    keys = f"HostKey {tmp_path / 'host'}\nAuthorizedKeysFile {tmp_path / 'user.pub'}\n"
    (tmp_path / "sshd.conf").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\n{keys}"
        "StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\nPidFile none\n"
    )
    (tmp_path / "ssh.conf").write_text(
        f"Host login\n HostName 127.0.0.1\n Port {port}\n IdentityFile {tmp_path / 'user'}\n IdentitiesOnly yes\n"
        " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
    )
    monkeypatch.setenv("AOI_SSH", f"ssh -F {tmp_path / 'ssh.conf'}")
    server = subprocess.Popen([daemon, "-D", "-e", "-f", tmp_path / "sshd.conf"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield "login"
    finally:
        server.terminate()
        server.wait()
