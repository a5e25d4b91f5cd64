"""Fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.slurm_cluster import Cluster, running_cluster


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Caches encoded recordings in a folder of this test run, not in the user's cache."""
    os.environ["AOI_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the Python versions in which the wheel was installed, from all workers."""
    passed = terminalreporter.getreports("passed")
    tried = sorted({value for report in passed for name, value in report.user_properties if name == "python"})
    if tried:
        terminalreporter.write_line(f"the wheel installs and runs on Python {', '.join(map(str, tried))}")


@pytest.fixture(scope="session")
def nmnist_folder() -> Path:
    """A folder of real N-MNIST recordings, Train/<label>/*.bin."""
    folder = os.environ.get("AOI_DATA_DIR")
    if not folder:
        pytest.skip("AOI_DATA_DIR is unset: it names a folder of N-MNIST recordings, Train/<label>/*.bin")
    return Path(folder)


@pytest.fixture(scope="session")
def public_data() -> Path:
    """A folder of public files of others: networks/*.net, nir/*.nir, loihi-trace/*.csv."""
    folder = os.environ.get("AOI_PUBLIC_DATA")
    if not folder:
        pytest.skip("AOI_PUBLIC_DATA is unset: it names a folder with networks/, nir/ and loihi-trace/")
    return Path(folder)


@pytest.fixture(scope="session")
def shipped() -> Callable[[str], Path]:
    """Path of a network file that lava-dl's wheel brings along."""

    def find(name: str) -> Path:
        for file in distribution("lava-dl").files or []:
            if str(file).endswith(name):
                return Path(str(file.locate()))
        pytest.skip(f"this installation of lava-dl does not bring {name}")

    return find


@pytest.fixture(scope="session")
def slurm_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Slurm cluster of one node; if Slurm is missing, tests are skipped with a reason."""
    with running_cluster(tmp_path_factory.mktemp("slurm")) as cluster:
        yield cluster
