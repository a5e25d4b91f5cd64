"""aoi calibrate: every rule into the file and back, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aoi.cutoff.rule import RULES
from aoi.events.recording import make_events
from aoi.netx.read import read_network
from tests.cli.conftest import Aoi
from tests.cli.test_bad_input import refuse, refuse_usage


@pytest.fixture
def net(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(trained / "network.net", tmp_path / "network.net"))


@pytest.mark.parametrize("rule", list(RULES))
def test_every_rule_round_trips_through_the_file(aoi: Aoi, net: Path, rule: str) -> None:
    result = aoi("calibrate", net, "--rule", rule, "--max-drop", "0.05", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert {"threshold", "temperature", "certified", "bound", "calibration_samples"} <= set(report)
    assert report["certified"] is True
    assert report["bound"] == 0.05
    policy = read_network(net).metadata.policy  # type: ignore[union-attr]
    assert policy is not None
    assert (policy.rule, policy.threshold) == (rule, report["threshold"])
    assert policy.evidence["split"] == "calibration"
    assert policy.evidence["lost"] + policy.evidence["gained"] <= policy.evidence["test_samples"]
    evaluated = json.loads(aoi("evaluate", net, "--json").stdout)
    assert evaluated["threshold"] == report["threshold"]
    assert 1 <= evaluated["mean_decision_step"] <= 24
    again = json.loads(aoi("evaluate", net, "--rule", f"{rule}:{report['threshold']!r}", "--json").stdout)
    assert again["mean_decision_step"] == evaluated["mean_decision_step"]
    inspected = aoi("inspect", net).stdout
    assert f"cutoff: {rule} >=" in inspected
    assert ", certified" in inspected


def test_uncertified_result_names_the_needed_recordings(aoi: Aoi, net: Path) -> None:
    result = aoi("calibrate", net, "--max-drop", "0.005")
    assert result.returncode == 0
    assert "no: it takes at least 648 recordings" in result.stdout
    assert "upper bound of the drop at 95%, for this threshold alone" in result.stdout
    assert "at 99.6%" in aoi("calibrate", net, "--max-drop", "0.005", "--risk", "0.004").stdout
    assert "not certified" in aoi("inspect", net).stdout
    report = json.loads(aoi("calibrate", net, "--max-drop", "0.005", "--json").stdout)
    assert report["certified"] is False
    assert report["samples_needed"] == 648


def test_one_temperature_per_step(aoi: Aoi, net: Path) -> None:
    assert aoi("calibrate", net, "--temperature", "step").returncode == 0
    policy = read_network(net).metadata.policy  # type: ignore[union-attr]
    assert policy is not None
    assert len(policy.params["scales"]) == 24
    assert json.loads(aoi("evaluate", net, "--json").stdout)["mean_decision_step"] < 24


def test_arguments_out_of_range(aoi: Aoi, net: Path) -> None:
    before = net.read_bytes()
    for value in ("0", "1", "-0.1", "1.5", "nan"):
        refuse(aoi("calibrate", net, f"--max-drop={value}"), f"max_drop {float(value)}", "between 0 and 1")
        refuse(aoi("calibrate", net, f"--risk={value}"), f"risk {float(value)}")
    refuse(aoi("calibrate", net, "--risk", "1e-9"), "risk 1e-09", "1e-06")
    refuse(aoi("calibrate", net, "--risk", "0.9"), "risk 0.9", "0.5")
    refuse(aoi("calibrate", net, "--max-drop", "1e-310"), "max_drop 1e-310", "1e-06")
    refuse_usage(aoi("calibrate", net, "--rule", "hope"), "hope", "confidence")
    refuse_usage(aoi("calibrate", net, "--temperature", "warm"), "warm", "shared")
    refuse(aoi("calibrate", net, "--rule", "int-confidence", "--temperature", "step"), "one scale")
    refuse(aoi("calibrate", net, "--split", "train"), "it was used in training")
    refuse(aoi("calibrate", net, "--split", "test"), "kept for reporting")
    assert net.read_bytes() == before


def write(folder: Path, count: int) -> None:
    """Recordings of a 16 x 16 sensor, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(1, count + 1):
        random = np.random.default_rng(index)
        x, y = random.integers(0, 16, (2, 60))
        events = make_events(x, y, np.sort(random.integers(0, 100_000, 60)), random.integers(0, 2, 60))
        np.save(folder / f"{index:05d}.npy", events)


def test_recordings_that_cannot_calibrate(aoi: Aoi, net: Path, tmp_path: Path) -> None:
    """Empty splits and unknown labels; recordings used in training are in test_bad_input.py."""
    data = tmp_path / "data"
    write(data / "Test" / "3", 2)
    write(data / "Train" / "3", 1)
    refuse(aoi("calibrate", net, "--data", data), "'calibration' is empty", "add recordings")
    write(data / "Train" / "3", 30)
    assert aoi("calibrate", net, "--data", data).returncode == 0
    before = net.read_bytes()
    write(data / "Train" / "cat", 30)
    refuse(aoi("calibrate", net, "--data", data), "class 'cat'", "not one of the classes of network.net")
    assert net.read_bytes() == before


def test_copies_count_once(aoi: Aoi, net: Path, tmp_path: Path) -> None:
    """Ten recordings, each with 150 copies, would otherwise certify a drop."""
    original = tmp_path / "data"
    write(original / "Train" / "3", 10)
    write(original / "Test" / "3", 1)
    for index in range(1, 11):
        for copy in range(150):
            shutil.copy(original / f"Train/3/{index:05d}.npy", original / f"Train/3/{index:05d}_{copy}.npy")
    result = aoi("calibrate", net, "--data", original, "--max-drop", "0.05", "--json")
    assert result.returncode == 0, result.stderr
    assert "are copies of others; each recording counts once" in result.stderr
    report = json.loads(result.stdout)
    assert report["samples"] <= 10
    assert report["certified"] is False
    policy = read_network(net).metadata.policy  # type: ignore[union-attr]
    assert policy is not None
    assert policy.evidence["copies"] > 200
    assert policy.evidence["source"] == str(original)
    assert len(policy.evidence["fingerprint"]) == 12


def test_report_on_calibration_recordings_warns(aoi: Aoi, net: Path) -> None:
    assert aoi("calibrate", net).returncode == 0
    again = aoi("evaluate", net, "--split", "calibration", "--samples", "20", "--json")
    assert "calibrated on these recordings" in again.stderr
    assert "calibrated on" not in aoi("evaluate", net, "--samples", "20", "--json").stderr
