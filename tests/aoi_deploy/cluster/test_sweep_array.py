"""Six cells of a study as a job array on a real Slurm cluster: one made to fail, one requeued in the middle."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from aoi.command import aoi_command
from aoi.experiment.config import config_folder

STUDY = """
name: six
seeds: [0, 1]
set: {{training.epochs: 3, encoding.bins: 5}}
arms:
  tet: {{training.regulariser: {{name: none}}}}
  str: {{training.regulariser: {{name: str}}}}
  lost: {{training.regulariser: {{name: rate}}}}
experiments:
  digits: {{config: {config}}}
"""


def sweep(*arguments: object) -> tuple[int, dict[str, Any]]:
    command = [*aoi_command(), "sweep", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_failed_and_a_requeued_cell(slurm_cluster: Any, tmp_path: Path) -> None:
    study, out = tmp_path / "study.yaml", tmp_path / "out"
    study.write_text(STUDY.format(config=config_folder() / "digits.yaml"))
    blocked = out / "digits" / "lost" / "seed1"
    blocked.parent.mkdir(parents=True)
    blocked.write_text("a file where the run folder should be")  # makes that cell fail

    def requeue_one() -> None:
        note = out / "slurm.json"
        while not note.exists():
            time.sleep(0.2)
        job = json.loads(note.read_bytes())["digits/str/seed0"]
        while not (out / "digits" / "str" / "seed0" / "checkpoints" / "last.ckpt").exists():
            time.sleep(0.1)
        subprocess.run(["scontrol", "requeue", job], check=True)

    helper = threading.Thread(target=requeue_one, daemon=True)
    helper.start()
    code, found = sweep(study, "--out", out, "--slurm", "--partition", "cpu")
    assert code == 1
    assert found["done"] == 5
    assert list(found["missing"]) == ["digits/lost/seed1"]
    assert "is a file" in found["missing"]["digits/lost/seed1"]
    before = {file: file.stat().st_mtime_ns for file in out.rglob("result.json")}
    blocked.unlink()
    code, found = sweep(study, "--out", out, "--slurm", "--partition", "cpu")
    assert code == 0, found["missing"]
    assert all(file.stat().st_mtime_ns == at for file, at in before.items())
