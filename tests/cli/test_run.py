"""aoi run and aoi replay: live decisions from files, a pipe and UDP."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from aoi.command import aoi_command
from aoi.events.recording import make_events
from aoi.events.stream import Frame, pack
from tests.aoi_deploy.lava_networks import segments, wait_until
from tests.cli.conftest import Aoi

AOI = [*aoi_command()]


def lines(text: str) -> tuple[list[dict], dict]:
    *decisions, last = [json.loads(line) for line in text.splitlines()]
    return decisions, last["summary"]


@pytest.fixture(scope="module")
def expected(aoi: Aoi, calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Decisions of ``aoi deploy`` on the same recordings."""
    out = tmp_path_factory.mktemp("deployed")
    result = aoi("deploy", calibrated_run / "network.net", "--samples", 60, "--out", out)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]


def same(found: list[dict], expected: list[dict]) -> None:
    keys = ("prediction", "decision_step", "confidence")
    assert [[each[key] for key in keys] for each in found] == [[each[key] for key in keys] for each in expected]


def test_recordings(aoi: Aoi, calibrated_run: Path, expected: list[dict]) -> None:
    result = aoi("run", calibrated_run / "network.net", "--source", "digits", "--windows", 60, "--json")
    assert result.returncode == 0, result.stderr
    decisions, summary = lines(result.stdout)
    same(decisions, expected)
    assert [each["id"] for each in decisions] == [each["id"] for each in expected]
    assert summary["accuracy"] == sum(each["prediction"] == each["label"] for each in expected) / 60
    assert summary["decisions"] == 60
    assert summary["steps_executed"] == sum(each["decision_step"] for each in expected)
    assert summary["latency_s"]["50"] <= summary["latency_s"]["99"] <= summary["latency_s"]["max"]


@pytest.mark.parametrize("model", ["fused", "stock"])
def test_in_lava(aoi: Aoi, calibrated_run: Path, expected: list[dict], model: str) -> None:
    result = aoi(
        "run", calibrated_run / "network.net", "--source", "digits", "--windows", 60, "--json", "--on", "lava",
        "--model", model,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    decisions, summary = lines(result.stdout)
    same(decisions, expected)
    assert summary["steps_executed"] == sum(each["steps_executed"] for each in expected)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_in_lava(calibrated_run: Path, number: int) -> None:
    """While a window is open: prints the summary, and leaves no process and no shared memory."""
    before, address = segments(), f"udp://127.0.0.1:{free_port()}"
    command = [*AOI, "run", str(calibrated_run / "network.net"), "--source", address, "--on", "lava", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receiver:
        assert receiver.stderr is not None
        assert "listening" in receiver.stderr.readline()
        processes = psutil.Process(receiver.pid).children(recursive=True)
        assert len(processes) == 4  # source, network, monitor, runtime service
        frame = Frame(0, 0, make_events([1, 2], [1, 2], [0, 50_000], [True, True]), False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(pack(frame), ("127.0.0.1", int(address.rpartition(":")[2])))
        time.sleep(0.2)
        receiver.send_signal(number)
        out, err = receiver.communicate(timeout=60)
        assert receiver.returncode == 130, err
    assert lines(out)[1]["windows"] == 1
    assert wait_until(lambda: not any(process.is_running() for process in processes))
    assert wait_until(lambda: segments() <= before)


def test_table(aoi: Aoi, calibrated_run: Path) -> None:
    result = aoi("run", calibrated_run / "network.net", "--source", "digits", "--windows", 3, "--no-cutoff")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("at step 24 of 24") == 3
    assert "latency" in result.stdout


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_pipe(calibrated_run: Path, expected: list[dict]) -> None:
    sender = subprocess.Popen([*AOI, "replay", "digits", "-", "--speed", "1000"], stdout=subprocess.PIPE)
    found = subprocess.run(
        [*AOI, "run", calibrated_run / "network.net", "--source", "-", "--windows", "60", "--json"],
        stdin=sender.stdout,
        capture_output=True,
        text=True,
        timeout=120,
    )
    sender.kill()
    sender.wait()
    assert found.returncode == 0, found.stderr
    same(lines(found.stdout)[0], expected)


@pytest.mark.parametrize("seconds", [1, pytest.param(15, marks=pytest.mark.slow)])
def test_udp(aoi: Aoi, calibrated_run: Path, expected: list[dict], seconds: int) -> None:
    """At ten times real speed over loopback: the same decisions as from files, also with malformed datagrams."""
    address = f"udp://127.0.0.1:{free_port()}"
    command = [*AOI, "run", str(calibrated_run / "network.net"), "--source", address, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receiver:
        assert receiver.stderr is not None
        assert "listening" in receiver.stderr.readline()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            for n in range(20):
                other.sendto(b"AOIE" * n, ("127.0.0.1", int(address.rpartition(":")[2])))
        sent = aoi("replay", "digits", address, "--speed", 10, "--seconds", seconds, "--json")
        assert sent.returncode == 0, sent.stderr
        counts = json.loads(sent.stdout)
        assert receiver.stdout is not None
        out = "".join(receiver.stdout.readline() for _ in range(counts["recordings"]))  # takes longer on a busy machine
        time.sleep(2.0)  # for events after the last decision, which are counted too
        receiver.send_signal(signal.SIGINT)
        rest, err = receiver.communicate(timeout=60)
        assert receiver.returncode == 130, err
    decisions, summary = lines(out + rest)
    assert counts["recordings"] >= 20 * seconds
    assert summary["windows"] == summary["decisions"] == len(decisions) == counts["recordings"]
    assert (summary["dropped"], summary["lost_frames"], summary["malformed"]) == (0, 0, 20)
    assert summary["events"] == counts["events"]
    same(decisions[:60], expected[: len(decisions)])
    if seconds > 10:
        assert summary["memory_mb"][-1] < summary["memory_mb"][0] + 10


@pytest.mark.slow
def test_real_recordings(nmnist_folder: Path, aoi: Aoi, tmp_path: Path) -> None:
    """N-MNIST, whose recordings are longer than the window: one decision each."""
    from aoi.workflow.cost import lava_dl_file

    net = lava_dl_file("tiny.net")
    result = aoi("run", net, "--source", nmnist_folder, "--split", "train")
    assert result.returncode == 2  # the file has no encoding
    train = aoi(
        "train", "configs/nmnist.yaml", "--data", nmnist_folder, "--run", tmp_path / "run",
        "--set", "training.epochs=1", "--set", "network.layers=[{type: conv, channels: 4, kernel: 5, stride: 4}]",
    )  # fmt: skip
    assert train.returncode == 0, train.stderr
    assert aoi("export", tmp_path / "run").returncode == 0
    net, rule = tmp_path / "run/network.net", "confidence:0.5:0.0001"
    deployed = aoi("deploy", net, "--split", "validation", "--rule", rule, "--out", tmp_path / "out")
    assert deployed.returncode == 0, deployed.stderr
    live = aoi("run", net, "--source", nmnist_folder, "--split", "validation", "--rule", rule, "--json")
    assert live.returncode == 0, live.stderr
    decisions, summary = lines(live.stdout)
    same(decisions, [json.loads(line) for line in (tmp_path / "out/results.jsonl").read_text().splitlines()])
    assert summary["beyond"] > 0
    assert summary["late"] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--source", "nowhere"), "nowhere"),
        (("--source", "udp://127.0.0.1"), "expected udp://HOST:PORT"),
        (("--source", "udp://192.0.2.1:9"), "cannot listen there"),
        (("--source", "digits", "--split", "none"), "'none' is not one of 'train'"),
        (("--source", "digits", "--rule", "fixed:3", "--no-cutoff"), "exclude each other"),
        (("--source", "digits", "--bins", "3"), "fixed in the file"),
        (("--source", "digits", "--on", "chip"), "'chip' is not one of 'engine', 'lava'"),
        (("--source", "digits", "--on", "lava", "--model", "other"), "'other' is not one of 'fused', 'stock'"),
        (("--source", "Makefile"), "Makefile"),
    ],
)
def test_bad_input(aoi: Aoi, calibrated_run: Path, arguments: tuple[str, ...], message: str) -> None:
    result = aoi("run", calibrated_run / "network.net", *arguments)
    assert result.returncode == 2, result.stdout
    assert message in result.stderr
    assert result.stderr.count("\n") <= 4


def test_replay_to_an_unknown_host(aoi: Aoi) -> None:
    result = aoi("replay", "digits", "udp://nowhere.invalid:1")
    assert result.returncode == 2
    assert "cannot be sent to" in result.stderr
    assert aoi("replay", "digits", "-", "--json").returncode == 2
