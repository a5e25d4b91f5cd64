"""The command line in this process, which spares each call the seconds that Lava and torch take to import."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from toolchain.cli.main import run
from toolchain.training.config import config_folder


@dataclass(frozen=True)
class Finished:
    returncode: int
    stdout: str
    stderr: str


Aoi = Callable[..., Finished]


@pytest.fixture(scope="session")
def aoi() -> Aoi:
    """``aoi("train", …)`` → exit code and output."""

    def call(*arguments: object) -> Finished:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run([str(argument) for argument in arguments])
        return Finished(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture(scope="session")
def trained(aoi: Aoi, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder on the digits, trained for a few epochs and exported."""
    run = tmp_path_factory.mktemp("runs") / "digits"
    result = aoi("train", config_folder() / "digits.yaml", "--run", run, "--set", "training.epochs=8")
    assert result.returncode == 0, result.stderr
    result = aoi("export", run)
    assert result.returncode == 0, result.stderr
    return run
