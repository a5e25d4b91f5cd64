"""What a run folder holds besides its network file: the training log, and results of deployments in Lava."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aoi.cutoff.rule import Decisions


@dataclass(frozen=True)
class LavaRun:
    """A deployment in Lava, compared with the engine's decisions."""

    samples: int
    steps_executed: int
    wall_s: float | None  # s; None if there is no summary of these results
    same_decisions: bool  # every recording of the report has the same prediction and decision step


def training_log(run: Path) -> dict[str, list[float]]:
    """Column → values after each epoch, for columns with a value after every epoch; {} without a log."""
    try:
        with (run / "logs" / "csv" / "metrics.csv").open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row.get("val_accuracy")]
        columns = {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else {}) if name}
    except (OSError, ValueError, csv.Error):
        return {}
    return {
        name: [value for value in values if value is not None]
        for name, values in columns.items()
        if None not in values and name not in ("step",)
    }


def lava_run(run: Path, folder: str, ids: tuple[str, ...], decisions: Decisions, classes: list[str]) -> LavaRun | None:
    """The deployment in ``run/folder``, compared with the ``decisions`` on recordings ``ids``; None if there is none or
    its files cannot be read."""
    try:
        lines = [json.loads(line) for line in (run / folder / "results.jsonl").read_text("utf-8").splitlines()]
        found = {line["id"]: (line["prediction"], line["decision_step"]) for line in lines}
        executed = sum(int(line["steps_executed"]) for line in lines)
        spent = sum(float(line["wall_s"]) for line in lines)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    expected = {
        id_: (classes[answer], int(step))
        for id_, answer, step in zip(ids, decisions.prediction, decisions.step, strict=True)
    }
    key = "full" if folder.endswith("-full") else "cutoff"
    wall_s = _wall_s(run / folder / "summary.json", "", len(lines), executed, spent)
    if wall_s is None:
        wall_s = _wall_s(run / "summary.json", f"_{key}", len(lines), executed, spent)
    return LavaRun(len(lines), executed, wall_s, bool(lines) and found == expected)


def _wall_s(file: Path, suffix: str, samples: int, executed: int, spent: float) -> float | None:
    """Wall time from the summary of these results, s: with equal recordings and steps, and at least their time."""
    try:
        summary: dict[str, Any] = json.loads(file.read_text("utf-8"))
        wall_s = float(summary[f"wall_s{suffix}"])
        same = (summary["samples"], summary[f"steps_executed{suffix}"]) == (samples, executed)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return wall_s if same and math.isfinite(wall_s) and wall_s >= spent else None


def _number(text: str | None) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None
