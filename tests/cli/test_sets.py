"""Each data set's configuration trains on files of its format, and the rest of the pipeline runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aoi.events.sets import SETS
from aoi.experiment.config import config_folder
from tests.cli.conftest import Aoi
from tests.events.set_files import WRITERS

SMALL = ("training.epochs=1", "training.batch_size=16", "encoding.bins=3", "data.splits.validation=0.3")


def train(aoi: Aoi, name: str, root: Path) -> dict[str, object]:
    # The mirror of DVS Gesture names some of its eleven classes.
    WRITERS[name](root / "data", **({"each": 2} if name == "DVSGesture" else {"each": 8, "classes": 3}))
    sets = [text for value in SMALL for text in ("--set", value)]
    config = config_folder() / f"{name.lower()}.yaml"
    result = aoi("train", config, "--data", root / "data", "--run", root / "run", "--json", *sets)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"CIFAR10DVS", "SHD"}))
def test_its_configuration_trains(aoi: Aoi, tmp_path: Path, name: str) -> None:
    found = train(aoi, name, tmp_path)
    assert (found["epochs"], found["skipped"]) == (1, 0)


@pytest.mark.parametrize("name", ["CIFAR10DVS", "SHD"])
def test_pipeline_after_training(aoi: Aoi, tmp_path: Path, name: str) -> None:
    train(aoi, name, tmp_path)
    net = tmp_path / "run" / "network.net"
    assert aoi("export", tmp_path / "run").returncode == 0
    evaluated = aoi("evaluate", net, "--json", "--corrupt", "noise:0.1")
    assert evaluated.returncode == 0, evaluated.stderr
    summary = json.loads(evaluated.stdout)
    lived = aoi("run", net, "--source", tmp_path / "data", "--no-cutoff", "--json")
    assert lived.returncode == 0, lived.stderr
    *decisions, last = map(json.loads, lived.stdout.splitlines())
    assert len(decisions) == summary["samples"] > 0
    assert last["summary"]["accuracy"] == summary["full_accuracy"]


def test_flip_that_makes_labels_wrong_is_refused(aoi: Aoi, tmp_path: Path) -> None:
    WRITERS["SHD"](tmp_path / "data", each=2)
    result = aoi(
        *("train", config_folder() / "shd.yaml", "--data", tmp_path / "data", "--run", tmp_path / "run"),
        *("--set", "training.augment.flip=0.5"),
    )
    assert result.returncode == 2
    assert "mirror images of SHD" in result.stderr
    assert not (tmp_path / "run").exists()


def test_each_set_has_a_configuration() -> None:
    for name in SETS:
        assert (config_folder() / f"{name}.yaml").is_file()
