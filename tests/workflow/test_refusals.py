"""What a stock file does not say is not assumed, and what two commands write is not mixed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import aoi
from aoi.experiment.config import parse_config
from aoi.netx import Conv, Cuba, NetworkDescription, write_network
from aoi.workflow.train import _with_absolute_source

KIND = [("x", "<u2"), ("y", "<u2"), ("t", "<i8"), ("p", "i1")]
WINDOW = {"window_us": 100_000, "bins": 10}


def write_recordings(root: Path, labels: tuple[str, ...], width: int, height: int, each: int = 4) -> Path:
    random = np.random.default_rng(0)
    for part in ("Train", "Test"):
        for label in labels:
            (root / part / label).mkdir(parents=True)
            for number in range(each):
                events = np.zeros(200, KIND)
                events["x"], events["y"] = random.integers(0, width, 200), random.integers(0, height, 200)
                events["x"][0], events["y"][0] = width - 1, height - 1
                events["t"] = np.sort(random.integers(0, 100_000, 200))
                events["p"] = random.integers(0, 2, 200)
                np.save(root / part / label / f"{number}.npy", events)
    return root


@pytest.fixture
def maps(tmp_path: Path) -> aoi.Network:
    """A stock network of maps (2, 12, 20) with three outputs."""
    weight = np.random.default_rng(0).integers(-20, 20, (3, 2, 12, 20), dtype=np.int32) * 2
    path = tmp_path / "maps.net"
    write_network(path, NetworkDescription((2, 12, 20), (Conv("0", (2, 12, 20), weight, Cuba(64, 4096, 0)),)))
    return aoi.load(path)


def test_pixels_of_another_geometry(maps: aoi.Network, tmp_path: Path) -> None:
    """The product of the extents is the same."""
    right = write_recordings(tmp_path / "right", ("0", "1", "2"), 20, 12)
    assert len(aoi.open_data(right, maps, **WINDOW)) == 12
    for width, height in ((12, 20), (24, 10), (10, 24)):
        folder = write_recordings(tmp_path / f"{width}", ("0", "1", "2"), width, height)
        with pytest.raises(aoi.DataError, match=rf"takes \(2, 12, 20\).*the recordings give \(2, {height}, {width}\)"):
            aoi.open_data(folder, maps, **WINDOW)


def test_classes_that_are_not_those_of_the_outputs(maps: aoi.Network, tmp_path: Path) -> None:
    two = write_recordings(tmp_path / "two", ("cat", "dog"), 20, 12)
    with pytest.raises(aoi.DataError, match=r"2 classes, but maps\.net does not name its outputs, and has 3 outputs"):
        aoi.open_data(two, maps, **WINDOW)
    numbers = write_recordings(tmp_path / "numbers", ("0", "2"), 20, 12)
    data = aoi.open_data(numbers, maps, **WINDOW)
    assert data.classes == ("0", "1", "2")
    assert set(data.labels.tolist()) == {0, 2}


def test_a_report_on_recordings_that_training_saw(tmp_path: Path) -> None:
    network = aoi.load("zoo:digits")
    data = aoi.open_data("digits", network, split="train", samples=3)
    assert aoi.evaluate(network, data).samples == 3  # asked for by name
    from dataclasses import replace

    as_test = replace(data, selection=replace(data.selection, split="test"))
    with pytest.raises(aoi.DataError, match=r"3 of 3 recordings of the split test, .* were used in training"):
        aoi.evaluate(network, as_test)


CONFIG = {
    "name": "x",
    "encoding": {"window_us": 1000, "bins": 4},
    "network": {"layers": [{"type": "dense", "neurons": 4}]},
    "training": {"epochs": 1},
}


def test_a_relative_folder_means_the_same_wherever_a_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here" / "data").mkdir(parents=True)
    (tmp_path / "beside" / "more").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for source, found in (("data", "here/data"), ("more", "beside/more")):
        config = parse_config({**CONFIG, "data": {"source": source}}, "c")
        made = _with_absolute_source(config, tmp_path / "beside" / "c.yaml")
        assert made.data.source == str(tmp_path / found)
    config = parse_config(CONFIG, "c")
    assert _with_absolute_source(config, "c.yaml").data.source == "digits"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "aoi.cli.main", *arguments]


@pytest.mark.slow
def test_two_trainings_in_one_folder(tmp_path: Path) -> None:
    """The second is refused and names the first, which ends as if it had been alone."""
    from aoi.command import aoi_command

    train = [
        *aoi_command(),
        "train",
        "configs/digits.yaml",
        "--run",
        str(tmp_path / "run"),
        "--set",
        "training.epochs=2",
    ]
    first = subprocess.Popen(train, stderr=subprocess.PIPE, text=True)
    lock = tmp_path / ".run.claim"
    while not lock.exists() and first.poll() is None:
        time.sleep(0.05)
    second = subprocess.run([*train, "--overwrite"], capture_output=True, text=True)
    assert second.returncode == 2
    assert f"aoi train (process {first.pid} on " in second.stderr
    assert second.stderr.strip().count("\n") == 0
    assert first.wait() == 0, first.communicate()
    assert not lock.exists()
    assert aoi.load(aoi.export(tmp_path / "run")).classes == tuple("0123456789")


@pytest.mark.slow
def test_a_training_that_diverges_says_so(tmp_path: Path) -> None:
    from aoi.command import aoi_command

    train = [*aoi_command(), "train", "configs/digits.yaml", "--run", str(tmp_path / "run")]
    done = subprocess.run(
        [*train, "--set", "training.epochs=2", "--set", "training.loss.gain=1e38"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "training has diverged; lower training.learning_rate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_ascii_terminal(tmp_path: Path) -> None:
    from aoi.command import aoi_command

    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    for arguments in (["inspect", "zoo:digits"], ["cost", "zoo:digits", "--input", "random:0.1"]):
        done = subprocess.run([*aoi_command(), *arguments], capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.slow
def test_few_descriptors(tmp_path: Path) -> None:
    from aoi.command import aoi_command

    deploy = [
        *aoi_command(),
        "deploy",
        "zoo:digits",
        "--data",
        "digits",
        "--samples",
        "2",
        "--out",
        str(tmp_path / "o"),
    ]
    shell = f"ulimit -n 24; exec {' '.join(deploy)}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert "descriptors" in done.stderr or "Too many open files" in done.stderr


def test_a_cache_folder_for_compiled_code(tmp_path: Path) -> None:
    """Where neither the package nor the home folder can be written."""
    code = (
        "import aoi.compiled as c, os; c._writable = lambda folder: False; c.choose_cache();"
        "print(os.environ['NUMBA_CACHE_DIR'])"
    )
    base = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "AOI_CACHE_DIR")}
    own = subprocess.run(
        [sys.executable, "-c", code], env={**base, "AOI_CACHE_DIR": str(tmp_path)}, capture_output=True, text=True
    )
    assert own.stdout.strip() == str(tmp_path / "numba")
    none = subprocess.run([sys.executable, "-c", code], env=base, capture_output=True, text=True)
    assert none.stdout.strip().endswith(f"aoi-numba-{os.getuid()}")


@pytest.mark.slow
def test_a_calibrated_file_keeps_mode_and_link(tmp_path: Path) -> None:
    network = aoi.load("zoo:digits")
    target, link = tmp_path / "target.net", tmp_path / "link.net"
    target.write_bytes(network.path.read_bytes())
    target.chmod(0o600)
    link.symlink_to(target)
    net = aoi.load(link)
    found = aoi.calibrate(net, aoi.open_data("digits", net, split="calibration"))
    assert json.loads(found.to_json())["network"] == str(link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
