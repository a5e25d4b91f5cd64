"""If Lava, torch or another extra is missing, one line names how to install it, and the exit code is 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aoi.compat import require
from aoi.errors import MissingDependency

LAVA = "aoi: Lava is not installed in this Python; 'aoi install-lava' installs it\n"
TORCH = "aoi: torch is not installed in this Python; \"pip install 'aoi-toolchain[train]'\" installs it\n"
TONIC = "aoi: tonic is not installed in this Python; \"pip install 'aoi-toolchain[train]'\" installs it\n"
NET = "models/aoi_models/zoo/digits.net"
ROOT = Path(__file__).parents[2]

# {0}: the missing package; {1}: the code to run.
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {0!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
from aoi.cli.main import run
from aoi.errors import AoiError
{1}
"""


def blocked(package: str, code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED.format(package, code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("package", "functions", "line"),
    [
        ("lava", ["enable_lava", "enable_netx", "enable_slayer"], LAVA),
        ("torch", ["enable_slayer"], TORCH),
        ("scipy", ["enable_lava"], "scipy, which Lava needs, is not installed in this Python; 'aoi install-lava'"),
    ],
)
def test_each_entry_point_names_the_install_command(package: str, functions: list[str], line: str) -> None:
    code = f"""
from aoi import compat
for function in {functions}:
    try:
        getattr(compat, function)()
    except AoiError as error:
        print(error, error.exit_code)
"""
    result = blocked(package, code)
    said = result.stdout.splitlines()
    assert len(said) == len(functions), result.stderr
    assert all(each.startswith(line.removeprefix("aoi: ").strip()) and each.endswith(" 2") for each in said)


@pytest.mark.parametrize(
    ("package", "arguments", "line"),
    [
        ("lava", ["deploy", NET, "--data", "digits", "--split", "test", "--samples", "2"], LAVA),
        ("lava", ["train", "configs/digits.yaml", "--run", "RUN"], LAVA),
        ("torch", ["verify", NET, "--against", "slayer", "--samples", "2", "--data", "digits"], TORCH),
        ("torch", ["train", "configs/digits.yaml", "--run", "RUN"], TORCH),
        ("tonic", ["evaluate", NET, "--data", "NMNIST", "--download"], TONIC),
    ],
)
def test_commands_end_in_one_line(
    package: str, arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AOI_DATA_CACHE", str(tmp_path))
    arguments = [str(tmp_path / "run") if each == "RUN" else each for each in arguments]
    result = blocked(package, f"sys.exit(run({arguments!r}))")
    assert result.stderr.endswith(line)
    assert "Traceback" not in result.stderr
    assert (result.returncode, result.stdout) == (2, "")


def test_missing_module_of_this_project_is_not_a_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"aoi_models\.no_such_module"):
        require("aoi_models.no_such_module", "train")
    with pytest.raises(MissingDependency, match=r"^no_such_package is not .* 'aoi-toolchain\[cluster\]'"):
        require("no_such_package.part", "cluster")
