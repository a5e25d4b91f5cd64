"""The whole pipeline on real digits, with SLAYER and Lava: the commands agree with each other."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aoi.command import aoi_command
from aoi.netx.read import read_network
from tests.cli.conftest import Aoi


@pytest.fixture(scope="module")
def calibrated(aoi: Aoi, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = tmp_path_factory.mktemp("calibrated") / "network.net"
    shutil.copy(trained / "network.net", net)
    result = aoi("calibrate", net, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["calibration_samples"] > 150
    assert 0 < report["threshold"] <= 1
    assert report["temperature"] > 0
    assert report["certified"] is False  # 225 recordings are too few for half a point
    policy = read_network(net).metadata.policy  # type: ignore[union-attr]
    assert policy is not None
    assert policy.threshold == report["threshold"]
    assert policy.evidence["split"] == "calibration"
    return net


def test_files_of_a_run_folder(trained: Path) -> None:
    for name in ("config.yaml", "weights.safetensors", "checkpoints/last.ckpt", "logs/csv/metrics.csv", "network.net"):
        assert (trained / name).stat().st_size > 0
    assert list((trained / "logs" / "tensorboard").glob("events.*"))
    header = (trained / "logs/csv/metrics.csv").read_text().splitlines()[0]
    assert {"train_loss", "val_accuracy", "stf_layer0", "rate_layer0"} <= set(header.split(","))


def test_stock_lava_dl_loads_the_network_file(trained: Path) -> None:
    from aoi.compat import enable_netx

    enable_netx()
    from lava.lib.dl.netx.hdf5 import Network

    network = Network(str(trained / "network.net"))
    assert network.inp.shape == (2 * 16 * 16,)
    assert network.out.shape == (10,)


def test_verify_all_executors(aoi: Aoi, trained: Path) -> None:
    result = aoi("verify", trained / "network.net", "--against", "all", "--samples", "4", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["equal"] is True
    assert report["executors"] == ["engine", "slayer", "lava"]
    assert report["compared"] == 2 * 4 * 24 * (128 + 10) * 3
    assert report["mismatches"] == 0
    assert report["input"] == "calibration recordings"
    assert report["first_mismatch"] is None


def test_deploy_equals_evaluate(aoi: Aoi, calibrated: Path, tmp_path: Path) -> None:
    evaluated = json.loads(aoi("evaluate", calibrated, "--samples", "60", "--json").stdout)
    result = aoi("deploy", calibrated, "--samples", "60", "--out", tmp_path / "out", "--json")
    assert result.returncode == 0, result.stderr
    deployed = json.loads(result.stdout)
    for key in (
        "samples",
        "steps",
        "accuracy",
        "mean_decision_step",
        "speedup_steps",
        "threshold",
        "full_accuracy",
        "accuracy_drop",
        "accuracy_drop_peak",
    ):
        assert deployed[key] == pytest.approx(evaluated[key]), key
    assert deployed["target"] == "sim"
    assert (deployed["rule"], deployed["spec"].split(":")[0]) == ("confidence", "confidence")
    assert deployed["model"] == "fused"
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 60
    assert sum(line["steps_executed"] for line in lines) == deployed["steps_executed"]
    assert all(line["steps_executed"] == line["decision_step"] + 2 for line in lines)
    assert np.mean([line["prediction"] == line["label"] for line in lines]) == pytest.approx(deployed["accuracy"])
    assert json.loads((tmp_path / "out" / "summary.json").read_text()) == deployed

    full = json.loads(
        aoi("deploy", calibrated, "--samples", "60", "--no-cutoff", "--out", tmp_path / "full", "--json").stdout
    )
    assert full["accuracy"] == pytest.approx(evaluated["full_accuracy"])
    assert full["steps_executed"] == 60 * (24 + 2)


def test_rule_from_the_command_line(aoi: Aoi, calibrated: Path) -> None:
    bold = json.loads(aoi("evaluate", calibrated, "--rule", "confidence:0.3", "--json").stdout)
    careful = json.loads(aoi("evaluate", calibrated, "--rule", "confidence:0.999", "--json").stdout)
    assert bold["mean_decision_step"] < careful["mean_decision_step"]
    assert bold["accuracy_at"] == careful["accuracy_at"]
    assert len(bold["accuracy_at"]) == 24


def test_inspect(aoi: Aoi, calibrated: Path) -> None:
    report = json.loads(aoi("inspect", calibrated, "--json").stdout)
    assert [layer["neurons"] for layer in report["layers"]] == [128, 10]
    assert report["aoi"]["encoding"]["bins"] == 24
    text = aoi("inspect", calibrated).stdout
    assert "65,536" in text
    assert "cutoff: confidence >=" in text


@pytest.mark.parametrize("name", ["mnist.net", "tiny.net"])
def test_verify_networks_shipped_with_lava_dl(aoi: Aoi, name: str) -> None:
    from importlib.metadata import files

    path = next(file.locate() for file in files("lava-dl") or [] if file.name == name)
    result = aoi(
        "verify", path, "--input", "random:0.1", "--steps", "32", "--samples", "2", "--against", "lava", "--json"
    )
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["equal"] is True
    assert report["compared"] > 10_000


def test_mismatch_is_located_and_exits_with_1(aoi: Aoi, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If SLAYER gets a network with one changed weight, the first difference is named."""
    from aoi_models.network import AnytimeNetwork

    original = AnytimeNetwork.from_description

    def changed(description):  # type: ignore[no-untyped-def]
        network = original(description)
        network.blocks[0].block.synapse.weight.data[5] += 0.5
        return network

    monkeypatch.setattr(AnytimeNetwork, "from_description", changed)
    result = aoi("verify", trained / "network.net", "--against", "slayer", "--samples", 2, "--split", "Test")
    assert result.returncode == 1
    assert "engine differs from slayer" in result.stderr
    assert "layer 0, step" in result.stderr


def test_help_imports_no_heavy_package() -> None:
    code = (
        "import sys; from aoi.cli.main import run; code = run(['--help'])\n"
        "heavy = {'torch', 'lava', 'numpy', 'h5py', 'numba', 'tonic', 'lightning', 'matplotlib', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert code == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


@pytest.mark.parametrize(
    "command", ["demo", "train", "export", "verify", "calibrate", "evaluate", "compare", "deploy", "inspect", "bench"]
)
def test_help_of_every_command_has_an_example(aoi: Aoi, command: str) -> None:
    result = aoi(command, "--help")
    assert result.returncode == 0
    assert "Example:" in result.stdout


@pytest.mark.parametrize(("arguments", "code"), [(["train", "none.yaml"], 2), (["inspect"], 2), (["--help"], 0)])
def test_process_exit_code(arguments: list[str], code: int) -> None:
    result = subprocess.run([*aoi_command(), *arguments], capture_output=True, check=False)
    assert result.returncode == code
