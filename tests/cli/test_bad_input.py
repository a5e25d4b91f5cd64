"""Bad input: one clear line on stderr, exit code 2, nothing on stdout, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from aoi.experiment.config import config_folder
from tests.cli.conftest import Aoi, Finished

CONFIG = config_folder() / "nmnist.yaml"


def refuse_usage(result: Finished, *words: str) -> None:
    """What typer itself refuses: an option's value that is not one of its choices."""
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


def refuse(result: Finished, *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("aoi: ")]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A small folder of valid N-MNIST files: two classes, twelve recordings each."""
    generator = np.random.default_rng(0)
    root = tmp_path / "data"
    for label in ("0", "1"):
        (root / "Train" / label).mkdir(parents=True)
        for index in range(12):
            events = generator.integers(0, 34, (300, 5), dtype=np.uint8)
            stamps = np.sort(generator.integers(0, 300_000, 300))
            events[:, 2] = (generator.integers(0, 2, 300) << 7) | (stamps >> 16)
            events[:, 3] = (stamps >> 8) & 255
            events[:, 4] = stamps & 255
            events.tofile(root / "Train" / label / f"{index:05d}.bin")
    return root


def train(aoi: Aoi, tmp_path: Path, *arguments: object) -> Finished:
    run = tmp_path / "run"
    result = aoi("train", CONFIG, "--run", run, "--set", "training.epochs=1", *arguments)
    if result.returncode == 2:
        assert not run.exists()
    return result


def test_small_valid_folder_trains(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    result = train(aoi, tmp_path, "--data", recordings)
    assert result.returncode == 0, result.stderr
    refuse(aoi("train", CONFIG, "--run", tmp_path / "run", "--data", recordings), "resume", "overwrite")
    refuse(
        aoi("train", CONFIG, "--run", tmp_path / "run", "--data", recordings, "--resume", "--set", "seed=5"),
        "another configuration",
    )


def test_train_configuration(aoi: Aoi, tmp_path: Path) -> None:
    refuse(train(aoi, tmp_path, "--set", "training.epoch=3"), "unknown key 'training.epoch'")
    refuse(train(aoi, tmp_path, "--set", "training.batch_size=big"), "training.batch_size", "'big'")
    refuse(aoi("train", tmp_path / "none.yaml"), "none.yaml", str(config_folder()))


def test_train_data(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    refuse(train(aoi, tmp_path, "--data", tmp_path / "nowhere"), "nowhere")
    refuse(train(aoi, tmp_path), "NMNIST", "option download")
    (recordings / "Train" / "2").mkdir()
    refuse(train(aoi, tmp_path, "--data", recordings), "Train/2")
    (recordings / "Train" / "2").rmdir()
    broken = recordings / "Train" / "1" / "00003.bin"
    broken.write_bytes(broken.read_bytes()[:-2])
    refuse(train(aoi, tmp_path, "--data", recordings), "00003.bin")
    broken.write_bytes(b"")
    refuse(train(aoi, tmp_path, "--data", recordings), "00003.bin")


@pytest.mark.parametrize("command", ["deploy", "evaluate", "calibrate", "verify", "inspect"])
def test_network_files(aoi: Aoi, tmp_path: Path, trained: Path, command: str) -> None:
    content = (trained / "network.net").read_bytes()
    net = tmp_path / "x.net"
    for damaged in (content[: len(content) // 2], np.random.default_rng(0).bytes(5000), b""):
        net.write_bytes(damaged)
        refuse(aoi(command, net), "x.net")
        assert net.read_bytes() == damaged
    net.unlink()
    refuse(aoi(command, net), "x.net")
    import h5py

    with h5py.File(net, "w") as file:
        file["something"] = np.arange(4)
    refuse(aoi(command, net), "x.net", "layer")
    assert [path.name for path in tmp_path.iterdir()] == ["x.net"]


def test_values(aoi: Aoi, tmp_path: Path, trained: Path) -> None:
    net = tmp_path / "network.net"
    shutil.copy(trained / "network.net", net)
    before = net.read_bytes()
    refuse(aoi("calibrate", net, "--max-drop", "1.5"), "max_drop 1.5")
    refuse(aoi("calibrate", net, "--max-drop", "0"), "max_drop 0")
    refuse(aoi("calibrate", net, "--split", "train"), "split train")
    refuse_usage(aoi("calibrate", net, "--split", "best"), "'best'", "calibration")
    refuse(aoi("deploy", net), "aoi calibrate")
    refuse(aoi("deploy", net, "--rule", "confidence:2:1"), "confidence:2:1")
    refuse(aoi("deploy", net, "--rule", "guess:1"), "guess:1")
    refuse(aoi("deploy", net, "--no-cutoff", "--target", "slurm"), "slurm", "sim")
    refuse_usage(aoi("deploy", net, "--no-cutoff", "--model", "warp"), "warp", "fused", "stock")
    refuse_usage(aoi("verify", net, "--against", "hope"), "hope", "slayer")
    refuse(aoi("verify", net, "--input", "random:7"), "random:7")
    refuse(aoi("verify", net, "--input", "random:0.1", "--data", "digits"), "exclude each other")
    refuse(aoi("verify", net, "--steps", "100"), "steps 100", "24")
    refuse(aoi("evaluate", net, "--bins", "7"), "bins", "24")
    refuse(aoi("export", tmp_path), "not a run folder")
    refuse(aoi("bench", "nothing"), "nothing", "engine")
    assert net.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["network.net"]


def test_recordings_used_in_training_do_not_calibrate(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    """Copies under other names, and so in other splits, are recognised by their content."""
    assert train(aoi, tmp_path, "--data", recordings).returncode == 0
    assert aoi("export", tmp_path / "run").returncode == 0
    net = tmp_path / "run" / "network.net"
    copied = tmp_path / "copied"
    for path in recordings.glob("Train/*/*.bin"):
        for name in ("a", "b", "c"):
            target = copied / "Train" / path.parent.name / f"{name}{path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    refuse(aoi("calibrate", net, "--data", copied), "used in training", "calibrate on other recordings")
    refuse(aoi("calibrate", net, "--data", copied, "--split", "test"), "kept for reporting")
    refuse(aoi("evaluate", net, "--data", recordings, "--split", "test"), "'test' is empty")
    (copied / "Train" / "9").mkdir()
    shutil.copy(next(recordings.glob("Train/0/*.bin")), copied / "Train" / "9" / "a.bin")
    refuse(aoi("evaluate", net, "--data", copied, "--split", "calibration"), "class '9'")


def test_folders_without_a_run_are_not_overwritten(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    other = tmp_path / "other"
    (other / "logs").mkdir(parents=True)
    (other / "logs" / "precious.txt").write_text("mine")
    (other / "config.yaml").write_text("mine")
    for more in ([], ["--overwrite"]):
        refuse(aoi("train", CONFIG, "--run", other, "--data", recordings, *more), "holds no run")
    refuse(aoi("demo", "--run", other), "holds no run")
    assert (other / "logs" / "precious.txt").read_text() == "mine"
    assert (other / "config.yaml").read_text() == "mine"
    refuse(aoi("train", CONFIG, "--run", "", "--data", recordings), "run '.':", "runs/mine")
    refuse(aoi("train", CONFIG, "--run", other / "config.yaml" / "x", "--data", recordings), "is a file")
    refuse(train(aoi, tmp_path, "--data", recordings, "--set", "name=.."), "name")
    refuse(train(aoi, tmp_path, "--data", ""), "data.source")


def test_impossible_network_keeps_the_old_run(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    too_large = ["--set", "network.layers=[{type: conv, channels: 4, kernel: 99}]"]
    refuse(train(aoi, tmp_path, "--data", recordings, *too_large), "kernel = 99")
    assert train(aoi, tmp_path, "--data", recordings).returncode == 0
    refuse(aoi("train", CONFIG, "--run", tmp_path / "run", "--data", recordings, "--overwrite", *too_large), "kernel")
    assert (tmp_path / "run" / "weights.safetensors").exists()


@pytest.mark.parametrize(
    "override",
    [
        "training.learning_rate=.inf",
        "training.threads=100000",
        "network.layers.0.channels=99999999999",
        "training.batch_size=99999999999999999999999",
        "network.neuron.threshold=0.001",
        "training.epochs=2026-99-99",
        "training.loss.gain=.nan",
    ],
)
def test_configuration_values_out_of_range(aoi: Aoi, tmp_path: Path, override: str) -> None:
    refuse(train(aoi, tmp_path, "--set", override), override.partition("=")[0])


def test_damaged_run_folders(aoi: Aoi, tmp_path: Path, recordings: Path) -> None:
    assert train(aoi, tmp_path, "--data", recordings).returncode == 0
    run = tmp_path / "run"
    damages = (b"", b"{", b"[1]", b"{}", b"\xff\x00\x93", b"a: [1")
    for name in ("config.yaml", "data.json", "trained_on.npy", "weights.safetensors"):
        whole = (run / name).read_bytes()
        for damaged in (*damages, whole[: len(whole) // 2]):
            (run / name).write_bytes(damaged)
            refuse(aoi("export", run), name)
        (run / name).write_bytes(whole)
    last = run / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    resume = ("train", CONFIG, "--run", run, "--data", recordings, "--set", "training.epochs=1", "--resume")
    for damaged in (b"", b"random", whole[: len(whole) // 2]):
        last.write_bytes(damaged)
        refuse(aoi(*resume), "last.ckpt", "overwrite")
    last.unlink()
    refuse(aoi(*resume), "last.ckpt")
    last.write_bytes(whole)
    shutil.copy(recordings / "Train" / "0" / "00001.bin", recordings / "Train" / "0" / "new.bin")
    for index in range(30):
        shutil.copy(recordings / "Train" / "0" / "00001.bin", recordings / "Train" / "0" / f"new{index}.bin")
    refuse(aoi(*resume), "have changed")
    assert not (run / "network.net").exists()


@pytest.mark.parametrize(
    "data",
    [
        {"source": 3},
        {"digits": []},
        {"digits": {"size": -1}},
        {"splits": {"seed": "x"}},
        {"splits": {"validation": 0.9}},
        {"surprise": 1},
        7,
    ],
)
def test_hostile_metadata(aoi: Aoi, tmp_path: Path, trained: Path, data: object) -> None:
    import json

    import h5py

    net = tmp_path / "x.net"
    shutil.copy(trained / "network.net", net)
    with h5py.File(net, "r+") as file:
        stored = json.loads(file["aoi/metadata"][()])
        del file["aoi/metadata"]
        file["aoi/metadata"] = np.bytes_(json.dumps(stored | {"data": data}))
    refuse(aoi("evaluate", net), "x.net")


def test_results_folder(aoi: Aoi, tmp_path: Path, trained: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        refuse(aoi("deploy", trained / "network.net", "--no-cutoff", "--samples", "2", "--out", out), str(out))
    assert (tmp_path / "file").read_text() == "mine"
    refuse(aoi("deploy", trained / "network.net", "--no-cutoff", "--samples", "2", "--out", "/proc"), "/proc/results")
    refuse(aoi("report", trained, "--samples", "4", "--out", "/dev/full"), "/dev/full", "regular file")


def test_run_folder_that_cannot_be_created(aoi: Aoi, recordings: Path) -> None:
    refuse(aoi("train", CONFIG, "--run", "/proc/x", "--data", recordings), "run /proc/x", "cannot be written")
