"""The tutorials run from their first cell to their last, and end where they say."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jupytext
import pytest

from tests.docs.notebooks import TUTORIALS, execute
from tests.slurm_cluster import Cluster

NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_first_network(tmp_path: Path) -> None:
    _, found = execute(
        TUTORIALS / "first_network.ipynb",
        tmp_path,
        ("trained.val_accuracy", "verification.equal", "evaluation.accuracy", "evaluation.speedup_steps", "same"),
    )
    assert found["verification.equal"]
    assert found["same"]
    assert found["trained.val_accuracy"] > 0.93
    assert found["evaluation.accuracy"] > 0.92
    assert found["evaluation.speedup_steps"] > 2
    assert (tmp_path / "runs/first/network.net").is_file()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_own_recordings(tmp_path: Path) -> None:
    names = ("net.classes", "evaluation.samples", "evaluation.full_accuracy", "worse.full_accuracy", "len(rest)")
    notebook, found = execute(TUTORIALS / "own_recordings.ipynb", tmp_path, names)
    assert found["net.classes"] == ["four", "one", "seven", "zero"]
    assert found["evaluation.full_accuracy"] > 0.95
    assert found["worse.full_accuracy"] > 0.9
    assert found["len(rest)"] == found["evaluation.samples"] - 1
    assert any(f"{found['evaluation.samples']} (test)" in text for text in printed(notebook, "!aoi evaluate"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_cluster(slurm_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_STATE_DIR", str(tmp_path / "state"))
    notebook, found = execute(TUTORIALS / "cluster.ipynb", tmp_path, ("slurm", "same", "accuracy"))
    assert found["slurm"]
    assert found["same"]
    assert found["accuracy"] > 0.3  # two epochs
    assert any("40 of 40 samples decided, done" in text for text in printed(notebook, "!aoi jobs status"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_readers_see_is_of_no_machine(path: Path) -> None:
    """Executed, with small pictures, without paths of the machine that executed it."""
    notebook = jupytext.read(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in code)
    assert sum(bool(cell.outputs) for cell in code) >= len(code) // 2
    for cell in code:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            text = output.text if output.output_type == "stream" else json.dumps(output.data.get("text/plain", ""))
            assert not re.search(r"\x1b|/(?:tmp|home|root|work|usr)/", text), text
            assert len(output.get("data", {}).get("image/png", "")) < 80_000, "60 KB, in base64"


def printed(notebook: Any, beginning: str) -> list[str]:
    """What cells that begin so wrote."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith(beginning)]
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]
