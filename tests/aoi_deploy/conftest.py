"""Network files of each kind, and a check after every test that no process and no shared memory is left."""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from aoi.netx import NetworkFile, read_network, write_network
from tests.aoi_deploy.lava_networks import Make, describe, segments, wait_until


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes the network of a given kind and reads it back."""

    def build(kind: str) -> NetworkFile:
        path = tmp_path / f"{kind}.net"
        write_network(path, describe(kind))
        return read_network(path)

    return build


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    resource_tracker.ensure_running()  # Python's own child process, which the first spawned process would start
    before, children = segments(), set(psutil.Process().children(recursive=True))
    yield
    assert wait_until(lambda: set(psutil.Process().children(recursive=True)) <= children), "a process was left behind"
    assert wait_until(lambda: segments() <= before), "shared memory was left behind"
