"""The demo reaches the numbers in the README."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Aoi


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_demo(aoi: Aoi, tmp_path: Path) -> None:
    run = tmp_path / "demo"
    result = aoi("demo", "--run", run, "--json")
    assert result.returncode == 0, result.stderr
    summary = json.loads(result.stdout)
    assert json.loads((run / "summary.json").read_text()) == summary
    assert summary["full_accuracy"] >= 0.95
    assert summary["accuracy_drop"] <= 0.01
    assert summary["accuracy_drop_peak"] <= 0.01
    assert summary["speedup_steps"] >= 3.0
    assert summary["equal"] is True
    assert summary["steps_executed_full"] == summary["samples"] * (summary["steps"] + 2)
    assert summary["steps_executed_cutoff"] == round(summary["samples"] * (summary["mean_decision_step"] + 2))
    for picture in summary["pictures"]:
        assert Path(picture).read_bytes().startswith(b"\x89PNG")
    assert Path(summary["report"]).stat().st_size < 8e6
    assert 'id="headline-wall"' in Path(summary["report"]).read_text()  # with the times measured in Lava
