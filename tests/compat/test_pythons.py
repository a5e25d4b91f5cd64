"""On each supported Python that this machine has, Lava installs, imports and runs a tiny network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = ROOT / ".tools" / "bin" / "uv"


def find_python(version: str) -> str | None:
    """An interpreter that uv finds, or one of pyenv's, which uv sees only while it is activated."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for candidate in (version, *sorted(pyenv.glob(f"{version}.*/bin/python"))):
        command = [UV, "python", "find", "--no-project", "--no-python-downloads", candidate]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return result.stdout.strip()
    return None


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_lava_runs(version: str, tmp_path: Path) -> None:
    if not UV.exists():
        pytest.skip("no .tools/bin/uv: run 'make setup'")
    python = find_python(version)
    if python is None:
        pytest.skip(f"this machine has no Python {version}")
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        runner = sys.executable
    else:
        venv = tmp_path / "venv"
        subprocess.run([UV, "venv", "--quiet", "--python", python, venv], check=True)
        runner = str(venv / "bin" / "python")
        # Deploying needs no torch, whose wheel is large; the interpreter of the test run has it.
        overrides = tmp_path / "overrides.txt"
        overrides.write_text(
            "numpy>=2.2,<2.4\npillow>=11\nnetworkx>=3.1\nasteval>=1.0\n"
            + "".join(f"{name}; sys_platform == 'never'\n" for name in NOT_NEEDED)
        )
        packages = ["lava-nc==0.10.0", "lava-dl==0.6.0", "numba", "h5py", "pydantic", "scipy"]
        subprocess.run(
            [UV, "pip", "install", "--quiet", "--no-config", "--python", runner, "--overrides", overrides, *packages],
            check=True,
        )
    script = Path(__file__).with_name("run_tiny_network.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [runner, script], capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path, check=False
    )
    assert result.returncode == 0, result.stderr
    assert f"Python {version}." in result.stdout
    assert "equal" in result.stdout
    print(result.stdout)


NOT_NEEDED = ("torch", "torchvision", "opencv-python-headless", "unittest2", "pytest", "ninja", "matplotlib")
