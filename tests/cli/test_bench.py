"""The benchmarks at tiny sizes: what they say, never how fast anything was."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from aoi.engine import Engine, Run
from aoi.errors import CheckFailed
from aoi_benchmarks import stock_lava, stock_slayer
from aoi_benchmarks.bandwidth import bytes_per_second
from aoi_benchmarks.memory import measure
from aoi_benchmarks.scaling import Curve, Point
from aoi_benchmarks.subjects import Subject, mnist, pilotnet
from tests.cli.conftest import Aoi

NAMES = {
    "engine": {"mnist/lava", "mnist/session", "mnist/slayer", "pilotnet/lava", "pilotnet/slayer"},
    "lava": {"mnist/stock", "pilotnet/stock", "mnist/cutoff-lava", "mnist/cutoff-engine", "pilotnet/cutoff-engine"},
    "training": {
        "dense/slayer",
        *(f"training/{name}" for name in ("dense", "conv", "str-dense", "str-conv")),
    },
}


@pytest.fixture(scope="module")
def digits() -> Subject:
    return mnist(3)


def rows_of(aoi: Aoi, *arguments: object) -> tuple[dict[str, dict], dict]:
    result = aoi("bench", *arguments, "--quick", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    for row in found["benchmarks"]:
        assert all(math.isfinite(row[key]) and row[key] > 0 for key in ("ours", "peer", "ratio")), row
        assert row["ratio"] == pytest.approx(row["peer"] / row["ours"])
        assert row["unit"]
    return {row["name"]: row for row in found["benchmarks"]}, found


@pytest.mark.slow
def test_engine(aoi: Aoi) -> None:
    rows, _ = rows_of(aoi, "engine")
    assert set(rows) == NAMES["engine"]
    work = rows["mnist/lava"]
    assert len(work["activity"]) == 3
    assert all(0 < share < 1 for share in work["activity"][:2])
    assert work["operations"] > 1e5
    assert work["share_of_limit"] > 0
    assert rows["mnist/slayer"]["peer_setting"]["threads"] in (1, 2)


@pytest.mark.slow
def test_lava(aoi: Aoi) -> None:
    rows, _ = rows_of(aoi, "lava")
    assert set(rows) == NAMES["lava"]
    assert rows["pilotnet/stock"]["mean_decision_step"] == 2
    assert 1 < rows["mnist/cutoff-engine"]["mean_decision_step"] < 32
    assert 0 < rows["mnist/cutoff-engine"]["operations_saved"] < 1


def test_training(aoi: Aoi) -> None:
    assert set(rows_of(aoi, "training")[0]) == NAMES["training"]


@pytest.mark.slow
def test_scaling_writes_a_picture_and_a_table(aoi: Aoi, tmp_path: Path) -> None:
    picture = tmp_path / "scaling.png"
    _, found = rows_of(aoi, "scaling", "--out", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    sweeps = found["scaling"]["sweeps"]
    assert set(sweeps) == {"batch", "T", "neurons", "spikes"}
    for sweep in sweeps.values():
        assert len(sweep["x"]) == len(sweep["seconds"]["1"]) == len(sweep["seconds"]["2"]) >= 2
        assert all(math.isfinite(slope) for slope in sweep["slope"].values())


@pytest.mark.slow
def test_calibration_prints_the_tables(aoi: Aoi, tmp_path: Path) -> None:
    result = aoi("bench", "calibration", "--network", tmp_path / "none.net", "--quick")
    assert result.returncode == 0, result.stderr
    assert "| 598 | 0.005 | 0 |" in result.stdout
    assert "| steady | 100.0% |" in result.stdout
    assert "none.net does not exist, so the rows on digits are left out; make it with 'aoi demo'" in result.stdout


@pytest.mark.slow
def test_calibration_on_a_trained_network(aoi: Aoi, trained: Path) -> None:
    result = aoi("bench", "calibration", "--network", trained / "network.net", "--quick")
    assert result.returncode == 0, result.stderr
    assert "| confidence | 398 | 0.01 | 2 of 2 |" in result.stdout


def test_error_for_an_unknown_name_lists_the_names(aoi: Aoi) -> None:
    result = aoi("bench", "speed")
    assert result.returncode == 2
    assert "choose one of engine, lava, training, scaling, calibration" in result.stderr
    shown = aoi("bench", "--help").stdout
    assert all(f"{name}:" in shown for name in ("engine", "lava", "training", "scaling", "calibration"))


def test_samples_are_spikes(digits: Subject) -> None:
    assert digits.spikes.shape == (3, 784, 32)
    street = pilotnet(2)
    assert street.spikes.shape == (2, 3, 66, 200, 16)
    for subject in (digits, street):
        assert set(np.unique(subject.spikes)) == {0, 1}
        assert (subject.spikes[0] != subject.spikes[1]).any()


@pytest.mark.parametrize(
    "measure_peer",
    [
        partial(stock_lava.seconds_per_sample, samples=1, repeats=1),
        partial(stock_slayer.seconds_per_sample, batches=(1,), repeats=1),
    ],
    ids=["lava", "slayer"],
)
def test_difference_from_a_peer_is_an_error(
    measure_peer: Callable[[Subject], object], digits: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Engine.run

    def off_by_one(self: Engine, spikes: np.ndarray, **options: object) -> Run:
        run = original(self, spikes, **options)  # type: ignore[arg-type]
        run.scores[..., -1] += 1
        return run

    monkeypatch.setattr(Engine, "run", off_by_one)
    with pytest.raises(CheckFailed, match="mnist: the engine differs from"):
        measure_peer(digits)


def test_slope_after_subtracting_the_overhead() -> None:
    points = tuple(Point(x, (2e-3 * x + 0.5, 3e-3 * x**2)) for x in (1, 10, 100, 1000))
    assert Curve("x", "", points, past=10, base=points[0]).slope(0) == pytest.approx(1)
    assert Curve("x", "", points, past=10).slope(0) < 0.5
    assert Curve("x", "", points, past=10).slope(1) == pytest.approx(2)


def test_memory_grows_only_with_the_results() -> None:
    few, many = measure(256), measure(2048)
    assert many.results == 8 * few.results
    assert many.peak - few.peak < many.results - few.results + 16e6


def test_bandwidth_is_plausible() -> None:
    assert 1e8 < bytes_per_second(1 << 14, 1) < 1e13


EVALUATE = """
import os, pty, sys
from aoi.command import aoi_command
pid, terminal = pty.fork()
if pid == 0:
    os.dup2(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), 1)
    os.execv(sys.executable, [*aoi_command(), "evaluate", *sys.argv[2:]])
seen = b""
while True:
    try:
        part = os.read(terminal, 1 << 16)
    except OSError:
        break
    if not part:
        break
    seen += part
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024)
sys.stdout.flush()
os.write(1, seen)
"""


@pytest.mark.slow
def test_evaluating_ten_thousand_recordings_takes_bounded_memory(trained: Path, tmp_path: Path) -> None:
    """A folder of digits with different noise; stderr is a terminal, so that ``aoi evaluate`` shows a progress bar."""
    from aoi.events.digits import Digits, DigitsOptions

    samples = 10_000
    for seed in range(-(-samples // 1797)):
        digits = Digits(DigitsOptions(seed=1000 + seed))  # other noise than in training
        for ref in digits.recordings[: samples - 1797 * seed]:
            _, label, name = ref.id.split("/")
            folder = tmp_path / "data" / "Test" / label
            folder.mkdir(parents=True, exist_ok=True)
            np.save(folder / f"{seed}-{name}.npy", digits.read(ref))
    arguments = [tmp_path / "out.json", trained / "network.net", "--data", tmp_path / "data", "--json"]
    done = subprocess.run([sys.executable, "-c", EVALUATE, *map(str, arguments)], capture_output=True, check=True)
    head, _, shown = done.stdout.partition(b"\n")
    code, peak = map(int, head.split())
    assert code == 0, shown.decode()
    assert json.loads((tmp_path / "out.json").read_text())["samples"] == samples
    assert peak < 1.5e9
    assert b"10000/10000" in shown
