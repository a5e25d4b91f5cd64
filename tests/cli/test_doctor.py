"""aoi doctor: each line is compared with this machine."""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.cli.conftest import Aoi


def test_findings_match_this_machine(aoi: Aoi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("PATH", str(tmp_path))
    result = aoi("doctor", "--json")
    assert result.returncode == 0
    found = {each["name"]: each for each in json.loads(result.stdout)["findings"]}
    assert found["Python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert found["Lava"]["found"] == f"lava-nc {version('lava-nc')}, lava-dl {version('lava-dl')}"
    assert (found["GPU"]["state"] == "ok") == torch.cuda.is_available()
    assert (found["Loihi extension"]["state"] == "ok") == (find_spec("lava.utils.loihi2_profiler") is not None)
    assert found["Slurm"]["state"] == "missing"
    assert found["Slurm"]["lacks"].startswith("Slurm's sbatch is not installed here")
    assert found["C compiler"]["state"] == "missing"
    for board in ("oheogulch", "kapohopoint", "nahuku"):
        assert found[f"board {board}"]["state"] == "missing"
        assert "Slurm's partition" in found[f"board {board}"]["lacks"]
    assert "Lava has one only for Loihi 2" in found["board nahuku"]["lacks"]


def test_read_only_cache_is_an_error(aoi: Aoi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOI_CACHE_DIR", str(Path(__file__) / "cache"))
    result = aoi("doctor")
    assert result.returncode == 1
    assert "AOI_CACHE_DIR" in result.stdout


@pytest.mark.slow
def test_slurm_is_found(aoi: Aoi, slurm_cluster: object) -> None:
    found = {each["name"]: each for each in json.loads(aoi("doctor", "--json").stdout)["findings"]}
    assert found["Slurm"]["state"] == "ok"
    assert "oheogulch (at most 2:00)" in found["Slurm"]["found"]
    assert found["board oheogulch"]["found"] == "Slurm's partition oheogulch"
    assert found["board oheogulch"]["lacks"] == "the Loihi extension"
