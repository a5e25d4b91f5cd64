"""Runs the command line in this process, so that Lava and torch are imported only once."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from aoi.cli.main import run
from aoi.experiment.config import config_folder


@dataclass(frozen=True)
class Finished:
    returncode: int
    stdout: str
    stderr: str


Aoi = Callable[..., Finished]


@pytest.fixture(scope="session")
def aoi() -> Aoi:
    """Runs a command, such as ``aoi("train", …)``, and returns its exit code and output."""

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


@pytest.fixture(scope="session")
def calibrated_run(aoi: Aoi, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained run with a cutoff in its network file."""
    run = tmp_path_factory.mktemp("report") / "run"
    shutil.copytree(trained, run)
    assert aoi("calibrate", run / "network.net").returncode == 0
    return run


@pytest.fixture(scope="session")
def hostile_report(aoi: Aoi, calibrated_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report page with recordings and classes whose names contain markup."""
    from aoi.events.recording import make_events
    from aoi.netx.read import read_network
    from aoi.netx.write import update_metadata

    folder = tmp_path_factory.mktemp("hostile")
    evil = "<img src=x onerror=hacked=1>"
    generator = np.random.default_rng(0)
    for label in ("0", evil):
        (folder / "data/Test" / label).mkdir(parents=True)
        for name in ("a", '"><svg onload=hacked=2>'):
            events = make_events(
                generator.integers(0, 16, 500),
                generator.integers(0, 16, 500),
                np.sort(generator.integers(0, 300_000, 500)),
                generator.integers(0, 2, 500),
            )
            np.save(folder / "data/Test" / label / f"{name}.npy", events)
    run = folder / "run"
    shutil.copytree(calibrated_run, run)
    metadata = read_network(run / "network.net").metadata
    assert metadata is not None
    classes = ("0", evil, *(f"</script><script>hacked={k}</script>" for k in range(8)))
    provenance = metadata.provenance | {"config": metadata.provenance["config"] | {"name": "</title><b>&"}}
    update_metadata(run / "network.net", metadata.model_copy(update={"classes": classes, "provenance": provenance}))
    result = aoi("report", run, "--data", folder / "data")
    assert result.returncode == 0, result.stderr
    return run / "report.html"
