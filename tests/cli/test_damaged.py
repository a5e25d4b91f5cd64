"""Damaged recordings in a folder: an error in one line, or skipped and counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoi.experiment.config import config_folder
from tests.cli.conftest import Aoi
from tests.events.event_files import write_folder

SMALL = ("training.epochs=1", "encoding.bins=4", "data.splits={validation: 0.3, calibration: 0.3}")
SETS = [text for value in SMALL for text in ("--set", value)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes with 24 recordings each in Train and in Test."""
    return write_folder(tmp_path / "data", {f"{part}/{label}": 24 for part in ("Train", "Test") for label in (0, 1)})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def test_pipeline_skips_damaged_recordings(aoi: Aoi, tmp_path: Path, folder: Path) -> None:
    for file in sorted(folder.glob("*/1/*.bin"))[::3]:
        cut(file)
    config, run = config_folder() / "nmnist.yaml", tmp_path / "run"
    net = run / "network.net"
    begin = ("train", config, "--data", folder, "--run", run, *SETS, "--json")

    def refused(*command: object) -> None:
        result = aoi(*command)
        assert result.returncode == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
        assert str(folder) in result.stderr
        assert "truncated" in result.stderr

    def done(*command: object, skipped: int | None = None) -> int:
        result = aoi(*command, "--skip-damaged")
        assert result.returncode == 0, result.stderr
        summary = json.loads(result.stdout)
        logged = result.stderr.count("skipped: ")
        assert logged == summary["skipped"] if summary["skipped"] <= 5 else logged == 6
        assert summary["skipped"] > 0
        return int(summary["skipped"])

    refused(*begin)
    assert not run.exists()
    damaged = done(*begin)
    assert aoi("export", run).returncode == 0
    refused("calibrate", net, "--json")
    damaged += done("calibrate", net, "--json", "--max-drop", "0.5")
    assert damaged == 8
    for command in ("evaluate", "deploy"):
        refused(command, net, "--json")
        assert done(command, net, "--json") == 8
    resumed = aoi(*begin, "--resume", "--skip-damaged")
    assert resumed.returncode == 0, resumed.stderr


def test_too_many_damaged_recordings(aoi: Aoi, tmp_path: Path, folder: Path) -> None:
    for file in folder.glob("Train/*/*.bin"):
        cut(file)
    config = config_folder() / "nmnist.yaml"
    result = aoi("train", config, "--data", folder, "--run", tmp_path / "run", *SETS, "--skip-damaged")
    assert result.returncode == 2
    assert "recordings are damaged" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
def test_sweep_skips_damaged_recordings(aoi: Aoi, tmp_path: Path, folder: Path) -> None:
    cut(folder / "Test" / "0" / "00003.bin")
    study = tmp_path / "study.yaml"
    study.write_text(
        f"name: small\nseeds: [0]\nset: {{training.epochs: 1, encoding.bins: 4}}\narms: {{tet: {{}}}}\n"
        f"experiments:\n  nmnist: {{config: {config_folder() / 'nmnist.yaml'}, source: {folder}}}\n"
    )
    assert aoi("sweep", study, "--out", tmp_path / "out").returncode == 1
    result = aoi("sweep", study, "--out", tmp_path / "out", "--skip-damaged", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["skipped"] == 1
