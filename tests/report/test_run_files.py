"""What is read from a run folder, and that damaged or unrelated files are ignored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aoi.cutoff.rule import Decisions
from aoi.report.run_files import LavaRun, lava_run, training_log

IDS = ("Test/a/1", "Test/b/2")
DECISIONS = Decisions(np.array([3, 5]), np.array([0, 1]), np.array([0.9, 0.8]))


def write_results(run: Path, steps: tuple[int, int] = (3, 5)) -> None:
    (run / "deploy").mkdir()
    lines = [
        {"id": id_, "prediction": answer, "decision_step": step, "steps_executed": step + 2, "wall_s": 0.5}
        for id_, answer, step in zip(IDS, "ab", steps, strict=True)
    ]
    (run / "deploy" / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def found(run: Path) -> LavaRun | None:
    return lava_run(run, "deploy", IDS, DECISIONS, ["a", "b"])


def test_lava_made_the_same_decisions(tmp_path: Path) -> None:
    assert found(tmp_path) is None
    write_results(tmp_path)
    assert found(tmp_path) == LavaRun(2, 12, None, same_decisions=True)
    (tmp_path / "deploy/summary.json").write_text(json.dumps({"samples": 2, "steps_executed": 12, "wall_s": 1.25}))
    assert found(tmp_path) == LavaRun(2, 12, 1.25, same_decisions=True)


def test_times_of_the_demo(tmp_path: Path) -> None:
    write_results(tmp_path)
    summary = {"samples": 2, "steps_executed_cutoff": 12, "wall_s_cutoff": 1.5}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert found(tmp_path) == LavaRun(2, 12, 1.5, same_decisions=True)


@pytest.mark.parametrize("change", [{"samples": 3}, {"steps_executed": 13}, {"wall_s": 0.9}, {"wall_s": "soon"}])
def test_a_summary_of_other_results_is_ignored(tmp_path: Path, change: dict[str, object]) -> None:
    write_results(tmp_path)
    summary = {"samples": 2, "steps_executed": 12, "wall_s": 1.25} | change
    (tmp_path / "deploy/summary.json").write_text(json.dumps(summary))
    assert found(tmp_path) == LavaRun(2, 12, None, same_decisions=True)


def test_other_decisions_are_noticed(tmp_path: Path) -> None:
    write_results(tmp_path, steps=(3, 6))
    result = found(tmp_path)
    assert result is not None
    assert not result.same_decisions


@pytest.mark.parametrize("content", ["{", "[]\n", '{"id": "x"}\n', "\xff\xfe"])
def test_damaged_results(tmp_path: Path, content: str) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/results.jsonl").write_text(content, "latin-1")
    assert found(tmp_path) is None


def test_training_log(tmp_path: Path) -> None:
    assert training_log(tmp_path) == {}
    log = tmp_path / "logs/csv/metrics.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,stf_layer0,step,train_loss,val_accuracy\n0,0.4,9,,0.5\n0,,9,2.0,\n1,0.3,19,,0.75\n")
    assert training_log(tmp_path) == {"epoch": [0, 1], "stf_layer0": [0.4, 0.3], "val_accuracy": [0.5, 0.75]}
    log.write_text("epoch,val_accuracy\n0,many\n")
    assert training_log(tmp_path) == {}
