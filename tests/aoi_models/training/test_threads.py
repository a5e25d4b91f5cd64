"""Training uses as many threads as the configuration says, whatever the libraries' defaults."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# In its first parallel loop, numba sets OpenMP's thread count to all cores, and thereby torch's.
WATCHED = """
import torch
from aoi.cli.main import run
from aoi_models.training.module import AnytimeModule

step, found = AnytimeModule.training_step, set()

def watched(self, *arguments, **options):
    result = step(self, *arguments, **options)
    found.add(torch.get_num_threads())
    return result

AnytimeModule.training_step = watched
config, folder = {config!r}, {folder!r}
code = run(["train", config, "--run", folder, "--set", "training.epochs=1", "--set", "training.threads=1"])
print("threads", sorted(found))
raise SystemExit(code)
"""


@pytest.mark.slow
def test_one_thread(tmp_path: Path) -> None:
    script = WATCHED.format(config=str(ROOT / "configs" / "digits.yaml"), folder=str(tmp_path / "run"))
    environment = {**os.environ, "NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, env=environment, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert "threads [1]" in done.stdout
