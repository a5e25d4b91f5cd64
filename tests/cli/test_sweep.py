"""aoi sweep: parallel cells, failed and killed cells, and a second call."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from aoi.command import aoi_command
from aoi.experiment.config import config_folder
from tests.cli.conftest import Aoi

ROOT = Path(__file__).parents[2]


def study(folder: Path, arms: str, seeds: str = "[0, 1]", epochs: int = 1) -> Path:
    path = folder / "study.yaml"
    path.write_text(
        f"name: small\nseeds: {seeds}\nset: {{training.epochs: {epochs}, encoding.bins: 5}}\n"
        f"arms:\n{arms}experiments:\n  digits: {{config: {config_folder() / 'digits.yaml'}}}\n"
    )
    return path


ARMS = "  tet: {training.regulariser: {name: none}}\n  str: {training.regulariser: {name: str}}\n"


def test_bad_study_is_an_error_in_one_line(aoi: Aoi, tmp_path: Path) -> None:
    path = study(tmp_path, ARMS)
    for arguments, said in (
        ((tmp_path / "none.yaml",), "no such study"),
        ((path, "--data", "other=/tmp"), "no experiment other"),
        ((path, "--only", "xyz"), "digits/tet/seed0"),
    ):
        result = aoi("sweep", *arguments, "--out", tmp_path / "out")
        assert result.returncode == 2
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    result = aoi("sweep", path, "--out", tmp_path / "out", "--table", "--json")
    assert result.returncode == 0
    assert json.loads(result.stdout)["missing"]["digits/str/seed1"] == "has not run"
    assert not (tmp_path / "out").exists()  # --table creates nothing
    cell = tmp_path / "out" / "digits" / "tet" / "seed0"
    cell.mkdir(parents=True)
    (cell / "result.json").write_text('{"steps": 24}')
    result = aoi("sweep", path, "--out", tmp_path / "out", "--table")
    assert result.returncode == 2
    assert "seed0/result.json: is not the result of a cell" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_failed_cell_is_run_again_and_others_are_kept(aoi: Aoi, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    out = tmp_path / "out"
    path = study(tmp_path, f"{ARMS}  lost: {{data.source: {gone}}}\n", seeds="[0]")
    result = aoi("sweep", path, "--out", out, "--json")
    assert result.returncode == 1
    found = json.loads(result.stdout)
    assert found["done"] == 2
    assert "no such data set or folder" in found["missing"]["digits/lost/seed0"]
    [tet, str_] = found["experiments"]["digits"]
    assert (tet["arm"], str_["arm"]) == ("tet", "str")
    assert str_["against"]["tet"]["seeds"] == [0]
    assert (out / "study.png").stat().st_size > 10_000
    cell = out / "digits" / "str" / "seed0"
    kept = json.loads((cell / "result.json").read_text())
    with np.load(cell / "scores.npz", allow_pickle=False) as scores:
        right = scores["scores"].argmax(1) == scores["labels"][:, None]
        assert right.mean(0).tolist() == kept["accuracy_at"]
    assert np.shape(kept["stf"]) == (1, 5)
    assert np.shape(kept["rate"]) == (2, 5)
    before = {file: file.stat().st_mtime_ns for file in out.rglob("result.json")}
    study(tmp_path, f"{ARMS}  lost: {{}}\n", seeds="[0]")
    result = aoi("sweep", path, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["missing"] == {}
    assert all(file.stat().st_mtime_ns == at for file, at in before.items())
    # With more cameras, cells are evaluated again, but not trained again.
    trained = {file: file.stat().st_mtime_ns for file in out.rglob("checkpoints/*")}
    assert trained
    path.write_text(path.read_text().replace("digits: {", "digits: {cameras: 2, "))
    result = aoi("sweep", path, "--out", out, "--only", "tet")
    assert result.returncode == 0, result.stderr
    assert all(file.stat().st_mtime_ns == at for file, at in trained.items())
    with np.load(out / "digits" / "tet" / "seed0" / "scores.npz", allow_pickle=False) as scores:
        films = scores["scores"].reshape(2, -1, *scores["scores"].shape[1:])
        assert (scores["ids"][: len(films[0])] == scores["ids"][len(films[0]) :]).all()
        assert not np.array_equal(*films)
    study(tmp_path, ARMS, seeds="[0]", epochs=2)
    result = aoi("sweep", path, "--out", out)
    assert result.returncode == 2
    assert "another configuration" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_sweep_leaves_no_process_and_resumes(aoi: Aoi, tmp_path: Path) -> None:
    path, out = study(tmp_path, ARMS, seeds="[0]", epochs=40), tmp_path / "out"
    command = [*aoi_command(), "sweep", str(path), "--out", str(out)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    cells = [out / "digits" / arm / "seed0" for arm in ("tet", "str")]
    while process.poll() is None and not all((cell / "checkpoints" / "last.ckpt").exists() for cell in cells):
        time.sleep(0.05)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not any((cell / "result.json").exists() for cell in cells)
    result = aoi("sweep", path, "--out", out, "--table", "--json")
    assert set(json.loads(result.stdout)["missing"].values()) == {"interrupted; aoi sweep resumes it"}
    result = aoi("sweep", path, "--out", out, "--json")
    assert result.returncode == 0, result.stderr
    for cell in cells:
        assert json.loads((cell / "result.json").read_text())["resumed"]
