"""Wheel and sdist hold what they must, and no more; their metadata lets any Python from 3.10 in."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, Built

PACKAGES = ("toolchain/aoi", "models/aoi_models", "deploy/aoi_deploy")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


def files(folder: str) -> set[str]:
    """Paths below a folder of the checkout, relative to it, without caches."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT / folder).as_posix() for path in paths}


@pytest.fixture(scope="module")
def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(wheel.read(name).decode())


def test_wheel(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    info = {name for name in names if ".dist-info/" in name}
    expected = {f"{Path(package).name}/{file}" for package in PACKAGES for file in files(package)}
    expected |= {f"aoi/configs/{file}" for file in files("configs")}
    assert names - info == expected
    assert {"aoi/py.typed", "aoi_models/py.typed", "aoi_deploy/py.typed"} < names
    assert {"aoi/configs/studies/str.yaml", "aoi_models/zoo/digits.net", "aoi/boards/embedded/monitor.c"} < names
    assert {"aoi/boards/oheogulch.yaml", "aoi/report/assets/report.html"} < names
    assert any(name.endswith("/licenses/LICENSE") for name in info)


def test_sdist_builds_and_tests(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    for folder in (*PACKAGES, "configs", "tests", "benchmarks/aoi_benchmarks", "docs"):
        assert {f"{folder}/{file}" for file in files(folder)} <= names
    assert {"pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "Makefile", "PKG-INFO"} <= names
    assert not {name for name in names if name.startswith(("runs/", ".", "uv.lock")) and name != ".gitignore"}
    assert not {name for name in names if "__pycache__" in name}


def test_the_index_accepts_both(built: Built) -> None:
    pytest.importorskip("twine", reason="twine is not installed: run 'make setup'")
    command = [sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("PASSED") == 2


def test_metadata(metadata: Message) -> None:
    assert metadata["Requires-Python"] == ">=3.10"
    assert (metadata["License-Expression"], metadata.get_all("License-File")) == ("Apache-2.0", ["LICENSE"])
    extras = {"train", "lava", "cluster", "all", "docs", "sanafe", "dev"}
    assert set(metadata.get_all("Provides-Extra") or ()) == extras


def test_the_core_has_no_upper_bounds_and_no_heavy_packages(metadata: Message) -> None:
    required = [line for line in metadata.get_all("Requires-Dist") or () if "extra ==" not in line]
    for line in required:
        assert re.fullmatch(r"[A-Za-z0-9-]+>=[0-9.]+", line), line
    names = {line.partition(">=")[0].lower() for line in required}
    assert {"numpy", "numba", "h5py"} < names
    assert not names & {"torch", "lava-nc", "lava-dl", "lightning", "tonic", "submitit"}
