"""aoi compare: networks and rules side by side."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from tests.cli.conftest import Aoi
from tests.cli.test_evaluate import refuse


@pytest.fixture(scope="module")
def runs(aoi: Aoi, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A calibrated run folder and one that is not calibrated."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "one").mkdir()
    (folder / "two").mkdir()
    shutil.copy(trained / "network.net", folder / "one" / "network.net")
    shutil.copy(trained / "network.net", folder / "two" / "other.net")
    assert aoi("calibrate", folder / "one" / "network.net").returncode == 0
    return folder / "one", folder / "two" / "other.net"


def test_two_networks(aoi: Aoi, runs: tuple[Path, Path], tmp_path: Path) -> None:
    picture = tmp_path / "new" / "compared.png"
    result = aoi("compare", *runs, "--rules", "patience,fixed", "--out", picture, "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    rows = report["rows"]
    assert [(row["network"], row["rule"]) for row in rows] == [
        ("one", "patience"), ("one", "fixed"), ("two", "patience"), ("two", "fixed"),
    ]  # fmt: skip
    assert "look-back" in report["look_back"]
    # They are one network: the same numbers, and no difference between the two.
    for key in ("mean_decision_step", "accuracy", "interval", "points"):
        assert rows[0][key] == rows[2][key]
        assert rows[1][key] == rows[3][key]
    assert "difference" not in rows[0]
    assert rows[2]["difference"] == {"network": "one", "rule": "patience", "mean_decision_step": 0, "interval": [0, 0]}
    assert rows[3]["difference"]["network"] == "two"
    assert rows[3]["difference"]["mean_decision_step"] == pytest.approx(
        rows[3]["mean_decision_step"] - rows[2]["mean_decision_step"]
    )
    assert [path.name for path in picture.parent.iterdir()] == ["compared.png"]
    pixels = image.imread(picture)
    assert pixels.shape[1] > 1000
    assert pixels.std() > 0.05
    one = tmp_path / "one.png"
    assert aoi("compare", runs[0], "--rules", "fixed", "--out", one).returncode == 0
    assert not np.array_equal(image.imread(one).shape, pixels.shape)


def test_all_rules_as_in_evaluate(aoi: Aoi, runs: tuple[Path, Path]) -> None:
    result = aoi("compare", runs[0], "--max-drop", "0.01", "--json")
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["picture"] == str(runs[0] / "compare.png")
    assert (runs[0] / "compare.png").stat().st_size > 10_000
    evaluated = json.loads(
        aoi("evaluate", runs[0] / "network.net", "--rules", "all", "--max-drop", "0.01", "--json").stdout
    )
    assert len(report["rows"]) == 6
    for row, same in zip(report["rows"], evaluated["rules"], strict=True):
        row.pop("difference", None), same.pop("difference", None)
        assert row | {"network": ""} == same | {"network": ""}


def test_table(aoi: Aoi, runs: tuple[Path, Path], tmp_path: Path) -> None:
    result = aoi("compare", *runs, "--rules", "fixed", "--samples", "100", "--out", tmp_path / "x.png")
    assert result.returncode == 0, result.stderr
    assert "one: fixed" in result.stdout
    assert "two: fixed" in result.stdout
    assert "100 recordings: one of them is a drop of 0.0100, more than 0.005" in result.stderr
    assert "look-back" in result.stderr
    assert str(tmp_path / "x.png") in result.stderr


def test_bad_input(aoi: Aoi, runs: tuple[Path, Path], tmp_path: Path) -> None:
    out = ("--out", tmp_path / "never.png")
    refuse(aoi("compare", tmp_path / "none", *out), "none")
    (tmp_path / "empty").mkdir()
    refuse(aoi("compare", tmp_path / "empty", *out), "empty", "network.net", "aoi export")
    refuse(aoi("compare", runs[0], runs[0] / "network.net", *out), "given twice")
    refuse(aoi("compare", runs[0], "--rules", "fixed,luck", *out), "'luck'", "patience")
    refuse(aoi("compare", runs[0], "--max-drop", "0", *out), "max_drop 0")
    refuse(aoi("compare", runs[0], "--split", "calibration", *out), "split calibration")
    refuse(aoi("compare", runs[0], "--rules", "fixed", "--out", tmp_path), "is a folder", "compare.png")
    assert not (tmp_path / "never.png").exists()
    damaged = tmp_path / "damaged.net"
    damaged.write_bytes(b"nothing")
    refuse(aoi("compare", runs[0], damaged, "--rules", "fixed", *out), "damaged.net")
