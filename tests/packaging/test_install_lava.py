"""``aoi install-lava``: what it would run, and what it says where it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aoi.cli.main import app
from aoi.errors import MissingDependency
from aoi.workflow import install_lava as module
from aoi.workflow.install_lava import LAVA, InstallError, install_commands, install_lava


def test_the_needs_are_those_of_the_extra() -> None:
    needs, lava = install_commands()
    assert any(part.startswith("asteval>=") for part in needs)
    assert any(part.startswith("networkx>=") for part in needs)
    assert not any(part.startswith("torch") for part in needs)
    assert lava[-2:] == LAVA
    assert "--no-deps" in lava


def test_dry_run_prints_the_commands_and_runs_none() -> None:
    result = CliRunner().invoke(app, ["install-lava", "--dry-run"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].endswith("lava-nc==0.10.0 lava-dl==0.6.0")
    assert len(result.stdout.splitlines()) == 2


def test_without_pip_and_uv_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    with pytest.raises(MissingDependency, match=r"has neither.*-m ensurepip' adds pip"):
        install_commands()
    uv = tmp_path / ".tools" / "bin" / "uv"
    uv.parent.mkdir(parents=True)
    uv.touch()
    assert install_commands()[0][:3] == (str(uv), "pip", "install")


def test_a_failed_step_is_named() -> None:
    def fails(command: Any, **options: Any) -> Any:
        script = "import sys; sys.exit('WARNING: slow\\nERROR: No matching distribution found for asteval')"
        return subprocess.run([sys.executable, "-c", script], **options)

    steps: list[str] = []
    with pytest.raises(InstallError, match=r"asteval.* failed: ERROR: No matching distribution found for asteval$"):
        install_lava(run=fails, progress=steps.append)
    assert len(steps) == 1


def test_lava_that_cannot_be_imported_is_no_success() -> None:
    def fails_at_last(command: Any, **options: Any) -> Any:
        script = command[2] if command[1] == "-c" else ""
        return subprocess.run([sys.executable, "-c", f"import sys; sys.modules['lava'] = None\n{script}"], **options)

    with pytest.raises(InstallError, match=r"cannot be imported: .*MissingDependency: Lava is not installed"):
        install_lava(run=fails_at_last)
