"""aoi evaluate: what it prints agrees with what it computes; corruption and rules; bad input."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aoi.cutoff.rule import decide
from aoi.workflow.evaluate import run_engine
from aoi.workflow.network import load
from aoi.workflow.recordings import open_data
from tests.cli.conftest import Aoi, Finished
from tests.cli.test_bad_input import refuse_usage


@pytest.fixture(scope="module")
def calibrated(aoi: Aoi, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    net = tmp_path_factory.mktemp("evaluate") / "network.net"
    shutil.copy(trained / "network.net", net)
    assert aoi("calibrate", net).returncode == 0
    return net


@pytest.fixture(scope="module")
def report(aoi: Aoi, calibrated: Path) -> dict[str, Any]:
    result = aoi(
        "evaluate", calibrated, "--rules", "all", "--corrupt", "drop:0,0.3,0.8", "--corrupt", "hot:10", "--json"
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def refuse(result: Finished, *words: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("aoi: ")]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0]


def test_numbers_equal_the_engine(calibrated: Path, report: dict[str, Any]) -> None:
    network = load(calibrated)
    data = open_data(None, network)
    run = run_engine(network, data, "", None)
    rule = network.rule
    decisions = decide(rule, run.scores)
    assert report["samples"] == len(data) > 400
    assert (report["rule"], report["threshold"]) == ("confidence", rule.threshold)  # type: ignore[union-attr]
    assert report["accuracy"] == (decisions.prediction == data.labels).mean()
    assert report["mean_decision_step"] == decisions.step.mean()
    assert np.sum(report["confusion"]) == len(data)
    assert np.trace(report["confusion"]) == (decisions.prediction == data.labels).sum()
    assert [row["class"] for row in report["per_class"]] == [str(digit) for digit in range(10)]
    assert sum(row["samples"] * row["mean_decision_step"] for row in report["per_class"]) == decisions.step.sum()
    assert report["average_earliest_step"] <= report["oct_mean"] < report["steps"]
    spent = sum(int(run.operations[i, :, :step].sum()) for i, step in enumerate(decisions.step))
    assert report["operations"]["until_decision"] == pytest.approx(spent / len(data))
    assert report["operations"]["full"] == pytest.approx(run.operations.sum() / len(data))
    assert 0 < report["operations"]["ratio"] < 0.7
    assert report["spikes"]["full"] == pytest.approx(run.spikes.sum() / len(data))
    assert len(report["ece_at"]) == report["steps"] == 24
    for name in ("accuracy", "full_accuracy", "mean_decision_step", "speedup_steps", "oct_mean"):
        low, high = report["intervals"][name]
        assert low < report[name] < high


def test_rules_at_equal_drop(report: dict[str, Any]) -> None:
    rows = {row["rule"]: row for row in report["rules"]}
    assert list(rows) == ["confidence", "entropy", "gap", "conformal", "patience", "fixed"]
    for row in rows.values():
        assert row["accuracy_drop"] <= 0.005 + 1e-9
        assert row["full_accuracy"] == report["full_accuracy"]
        assert row["interval"][0] <= row["interval"][1] <= row["steps"]
        assert any(point["front"] for point in row["points"])
        assert row["mean_decision_step"] < 24
    assert rows["fixed"]["difference"]["rule"] == "confidence"
    assert rows["fixed"]["mean_decision_step"] == rows["fixed"]["threshold"]
    at = report["accuracy_at"]
    early_enough = [t for t in range(1, 25) if at[-1] - at[t - 1] <= 0.005 + 1e-9]
    assert rows["fixed"]["threshold"] == early_enough[0]


def test_compared_operating_points_equal_evaluations(aoi: Aoi, calibrated: Path, report: dict[str, Any]) -> None:
    for row in report["rules"]:
        if row["rule"] in ("confidence", "patience", "fixed"):
            rule = f"{row['rule']}:{row['threshold']!r}"
            alone = json.loads(aoi("evaluate", calibrated, "--rule", rule, "--json").stdout)
            for key in ("accuracy", "accuracy_drop", "mean_decision_step", "speedup_steps"):
                assert alone[key] == pytest.approx(row[key], abs=1e-12), rule


def test_corruption_changes_the_answers(report: dict[str, Any]) -> None:
    levels = {level["corruption"]: level for level in report["corruptions"]}
    assert list(levels) == ["drop:0", "drop:0.3", "drop:0.8", "hot:10"]
    for name in ("full_accuracy", "accuracy", "mean_confidence", "mean_decision_step"):
        assert levels["drop:0"][name] == report[name]
        assert levels["drop:0"]["change"][name] == 0
        for level in levels.values():
            assert level["change"][name] == pytest.approx(level[name] - report[name])
            assert level["intervals"][name][0] <= level["change"][name] <= level["intervals"][name][1]
    strong = levels["drop:0.8"]
    assert strong["full_accuracy"] < levels["drop:0.3"]["full_accuracy"]
    assert strong["intervals"]["full_accuracy"][1] < 0
    assert strong["intervals"]["mean_decision_step"][0] > 0


def test_corruption_is_repeatable_and_keeps_the_clean_numbers(
    aoi: Aoi, calibrated: Path, report: dict[str, Any]
) -> None:
    again = json.loads(aoi("evaluate", calibrated, "--corrupt", "hot:10", "--json").stdout)
    assert again["corruptions"] == report["corruptions"][-1:]
    for key in ("accuracy_at", "intervals", "confusion"):
        assert again[key] == report[key]


def test_tables(aoi: Aoi, calibrated: Path, trained: Path, report: dict[str, Any]) -> None:
    result = aoi("evaluate", calibrated, "--rules", "fixed,patience", "--corrupt", "drop:0.3")
    assert result.returncode == 0, result.stderr
    rows = {cells[0]: cells[1:] for cells in map(cells_of, result.stdout.splitlines()) if cells}
    assert rows["mean decision step"][0] == f"{report['mean_decision_step']:.2f}"
    low, high = report["intervals"]["mean_decision_step"]
    assert rows["mean decision step"][1] == f"{low:.2f} to {high:.2f}"
    assert rows["accuracy at T = 24"][0] == f"{report['full_accuracy']:.4f}"
    assert {"patience", "fixed", "drop:0.3", "clean", "9"} <= set(rows)
    assert "look-back" in result.stderr
    plain = aoi("evaluate", trained / "network.net").stdout
    assert "aoi calibrate" in plain
    assert "until the decision" not in plain


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("│")[1:-1]] if line.startswith("│") else []


def test_without_a_rule_all_steps_run(aoi: Aoi, trained: Path) -> None:
    report = json.loads(aoi("evaluate", trained / "network.net", "--samples", "50", "--json").stdout)
    assert report["rule"] is None
    assert report["decision_step_percentiles"]["5"] == report["mean_decision_step"] == 24
    assert report["spikes"]["ratio"] == report["operations"]["ratio"] == 1.0
    assert report["accuracy_drop"] == 0.0


def test_bad_values(aoi: Aoi, calibrated: Path) -> None:
    for text, *words in (
        ("blur:1", "no such corruption", "drop:SHARE"),
        ("drop:2", "2 is out of range", "0 to 1"),
        ("noise:-1", "-1 is out of range"),
        ("jitter:soon", "'soon' is no number"),
        ("hot:257", "16x16", "256 pixels"),
    ):
        refuse(aoi("evaluate", calibrated, "--corrupt", text), text.partition(":")[0], *words)
    refuse(aoi("evaluate", calibrated, "--rules", "best"), "rules best", "'best'", "patience")
    refuse(aoi("evaluate", calibrated, "--rules", "all", "--max-drop", "1"), "max_drop 1")
    refuse(aoi("evaluate", calibrated, "--rules", "gap", "--split", "calibration"), "split calibration", "gap")
    refuse_usage(aoi("evaluate", calibrated, "--split", "best"), "'best'", "validation")


def test_recordings_that_do_not_fit(aoi: Aoi, calibrated: Path, tmp_path: Path) -> None:
    def recording(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        events = np.zeros(5, [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
        events["t"] = np.arange(5) * 1000
        events["x"] = len(path.name)
        np.save(path, events)

    recording(tmp_path / "letters" / "Test" / "a" / "00001.npy")
    refuse(aoi("evaluate", calibrated, "--data", tmp_path / "letters"), "class 'a'", "network.net", "0, 1, 2")
    recording(tmp_path / "train" / "Train" / "3" / "00001.npy")
    refuse(aoi("evaluate", calibrated, "--data", tmp_path / "train"), "split 'test' is empty", "add recordings")
    recording(tmp_path / "test" / "Test" / "3" / "00001.npy")
    result = aoi("evaluate", calibrated, "--data", tmp_path / "test", "--rules", "confidence,patience,fixed")
    assert result.returncode == 0, result.stderr  # one recording is enough if no rule has to be fitted
    refuse(
        aoi("evaluate", calibrated, "--data", tmp_path / "test", "--rules", "all"),
        "split 'calibration' is empty", "leave out the rules entropy, gap, conformal",
    )  # fmt: skip


def test_fitting_on_training_recordings_is_refused(aoi: Aoi, calibrated: Path, tmp_path: Path) -> None:
    from aoi.netx.write import update_metadata

    net = tmp_path / "network.net"
    shutil.copy(calibrated, net)
    metadata = load(net).metadata
    assert metadata is not None
    assert metadata.data is not None
    # With another seed, the calibration split holds recordings that were used in training.
    other = metadata.data.splits.model_copy(update={"seed": 1})
    data = metadata.data.model_copy(update={"splits": other})
    update_metadata(net, metadata.model_copy(update={"data": data}))
    refuse(aoi("evaluate", net, "--rules", "gap"), "were used in training", "leave out the rules gap")
