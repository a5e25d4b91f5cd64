"""The public face: what ``import aoi`` promises, and what it costs."""

from __future__ import annotations

import doctest
import inspect
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import aoi
from tests.readme import python_blocks


def test_public_names_exist_and_are_documented() -> None:
    assert sorted(aoi.__all__) == aoi.__all__
    assert set(aoi.__all__) == {*aoi._HOME, "__version__"}
    for name in aoi.__all__:
        found = getattr(aoi, name)
        assert name == "__version__" or inspect.getdoc(found), name
    assert set(aoi.__all__) <= set(dir(aoi))
    assert aoi.__version__ == version("aoi-toolchain")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        aoi.nothing  # noqa: B018


def test_docstrings_have_arguments_errors_and_examples() -> None:
    for name in ("load", "open_data", "train", "export", "verify", "calibrate", "evaluate", "deploy"):
        text = inspect.getdoc(getattr(aoi, name)) or ""
        for part in ("Args:", "Raises:", "Example:"):
            assert part in text, f"{name}: {part}"
        for parameter in inspect.signature(getattr(aoi, name)).parameters:
            assert f"{parameter}:" in text or f"``{parameter}``:" in text, f"{name}: {parameter}"


def test_import_imports_no_heavy_package() -> None:
    code = (
        "import sys, aoi\n"
        "heavy = {'torch', 'lava', 'numpy', 'h5py', 'numba', 'tonic', 'lightning', 'matplotlib', 'pydantic', 'typer'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "aoi.AoiError\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_core_needs_neither_torch_nor_lava(tmp_path: Path) -> None:
    """Loads, opens, evaluates, runs, calibrates, reports and decides live with both blocked."""
    code = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lava", "lightning", "tonic", "submitit"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
import aoi
net = aoi.load("zoo:digits")
data = aoi.open_data("digits", net, split="Test", samples=40)
found = aoi.evaluate(net, data)
assert found.samples == 40 and found.full_accuracy > 0.8
assert aoi.verify(net, data, against="engine").equal
assert aoi.Engine(net).run(data.batch([0])).scores.shape == (1, 10, 24)

import pathlib, shutil, sys
from aoi.cli.main import run
copy = pathlib.Path(sys.argv[1]) / "network.net"
shutil.copy(net.path, copy)
few = ["--samples", "20"]
for arguments in (
    ["inspect", copy],
    ["calibrate", copy],
    ["evaluate", copy, *few, "--corrupt", "drop:0.1"],
    ["compare", copy, *few, "--rules", "confidence,fixed"],
    ["cost", copy, *few],
    ["report", copy, *few],
    ["run", copy, "--source", "digits", "--windows", "5"],
    ["verify", copy, "--against", "engine"],
    ["export-monitor", copy, "--out", copy.parent / "c", "--rule", "int-confidence:0.9"],
):
    assert run([str(each) for each in arguments]) == 0, arguments
assert run(["doctor"]) == 1  # Lava is installed but blocked, so that it counts as broken
assert run(["deploy", str(copy), "--no-cutoff", "--samples", "2"]) == 2
assert run(["verify", str(copy)]) == 2
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "'aoi install-lava' installs it" in done.stderr


def test_code_of_the_readme_runs(tmp_path: Path) -> None:
    """Unchanged, in a folder with the user's own ``models``, ``deploy`` and ``toolchain``."""
    for name in ("models", "deploy", "toolchain"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('a folder of the user was imported')")
    script = tmp_path / "script.py"
    script.write_text("\n".join(python_blocks()))
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "mean decision step" in done.stdout
    assert len(done.stdout.splitlines()) > 438


def test_examples_in_docstrings_are_correct(monkeypatch: pytest.MonkeyPatch) -> None:
    """Executes the examples that need no training, and compares their output."""
    net = aoi.load("zoo:digits")
    data = aoi.open_data("digits", net, split="test")
    runner = doctest.DocTestRunner()
    finder = doctest.DocTestFinder(recurse=False)
    for name in ("load", "open_data", "evaluate", "verify", "deploy"):
        for example in finder.find(getattr(aoi, name), name, globs={"aoi": aoi, "net": net, "data": data}):
            assert example.examples, name
            assert runner.run(example).failed == 0, name
