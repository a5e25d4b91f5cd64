"""Wheel and sdist, built once, as 'make build' builds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]


class Built(NamedTuple):
    wheel: Path
    sdist: Path


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    pytest.importorskip("build", reason="build is not installed: run 'make setup'")
    out = tmp_path_factory.mktemp("dist")
    # Not from the checkout: a folder build/ or dist/ there would be taken for the module.
    command = [sys.executable, "-m", "build", "--outdir", out, ROOT]
    result = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, cwd=out)
    assert result.returncode == 0, result.stdout + result.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return Built(wheel, sdist)
