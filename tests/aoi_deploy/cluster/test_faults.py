"""Faults of a job on a real Slurm cluster: afterwards every sample is decided exactly once."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aoi.errors import DeployError
from aoi_deploy.jobs import queue
from aoi_deploy.jobs.folder import JobFolder
from aoi_deploy.targets import Work
from aoi_deploy.targets.cluster import Cluster as ClusterTarget
from aoi_deploy.targets.cluster import JobOptions
from tests.aoi_deploy.cluster.conftest import MakeWork, check_complete, lines, wait_decided, wait_for
from tests.aoi_deploy.lava_networks import segments
from tests.slurm_cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def submitted(work: Work, parent: Path, **options: object) -> JobFolder:
    target = ClusterTarget(JobOptions(on_node="sim", partition="oheogulch", **options), parent)  # type: ignore[arg-type]
    target.prepare(work)
    assert target.folder is not None
    return target.folder


@pytest.fixture(autouse=True)
def nothing_is_left_behind(slurm_cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    before = segments()
    yield
    slurm_cluster.revive()
    wait_for(lambda: not workers(tmp_path), "workers are gone")
    wait_for(lambda: segments() <= before, "shared memory is gone")


def workers(below: Path) -> list[psutil.Process]:
    """Processes ``aoi jobs work`` on jobs in a folder."""
    commands = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [
        process
        for process, command in commands
        if {"jobs", "work"} <= set(command) and any(word.startswith(str(below)) for word in command)
    ]


def test_scancel_in_the_middle(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    asked = work(40)
    folder = submitted(asked, tmp_path, chunk=20)
    wait_decided(folder, 6)
    slurm_cluster.run("scancel", *(ids[-1] for ids in folder.submitted().values()))
    wait_for(lambda: queue.status(folder).state == "cancelled", "cancelled")
    assert 6 <= queue.status(folder).decided < 40
    with pytest.raises(DeployError, match=r"cancelled.*aoi jobs continue"):
        list(queue.follow(folder))
    assert queue.submit(folder) > 0
    check_complete(folder, asked)


def test_cancel_and_continue(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    asked = work(20)
    folder = submitted(asked, tmp_path, chunk=20)
    wait_decided(folder, 3)
    assert queue.submit(folder) == 0  # a job is active
    assert queue.cancel(folder) == 1
    wait_for(lambda: queue.status(folder).state == "cancelled", "cancelled")
    assert queue.submit(folder) == 1
    check_complete(folder, asked)
    assert queue.submit(folder) == 0


@pytest.mark.timeout(600)
def test_time_limit_reached(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    """The job is requeued without any action."""
    asked = work(10_000, 30)
    folder = submitted(asked, tmp_path, chunk=10_000, minutes=1)
    job = folder.submitted()[0][0]

    def restarts() -> int:
        shown = slurm_cluster.run("scontrol", "--oneliner", "show", "job", job)
        return int(dict(each.partition("=")[::2] for each in shown.split())["Restarts"])

    wait_for(lambda: restarts() >= 1, "requeued", 150)
    before = len(lines(folder))
    assert before > 10
    wait_decided(folder, before + 10, 150)
    # Running to the end would take long: it is enough that it continues in order and without gaps.
    queue.cancel(folder)
    wait_for(lambda: not queue.status(folder).chunks[0].active, "cancelled")
    assert list(folder.decided(0)) == list(range(len(lines(folder))))


def test_slurmd_killed_and_back(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    asked = work(60)
    folder = submitted(asked, tmp_path, chunk=60)
    wait_decided(folder, 5)
    slurm_cluster.kill("slurmd")
    wait_decided(folder, 10)
    slurm_cluster.start("slurmd")
    slurm_cluster.wait_ready()
    check_complete(folder, asked)


def test_node_lost_with_its_processes(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    """The whole node crashes: Slurm marks it down, requeues the job, and starts it again when the node is back."""
    asked = work(60)
    folder = submitted(asked, tmp_path, chunk=60)
    wait_decided(folder, 5)
    slurm_cluster.kill("slurmd")
    for process in workers(folder.path):
        above = [each for each in process.parents() if each.name().startswith("slurmstepd")]
        for each in [*above, process, *process.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):  # killed with its parent
                each.kill()
    decided = len(lines(folder))
    assert decided < 60

    def down() -> bool:
        return "down" in slurm_cluster.run("sinfo", "--noheader", "--format=%T", check=False)

    wait_for(down, "the node is down")
    slurm_cluster.start("slurmd")
    slurm_cluster.wait_ready()
    if queue.status(folder).stopped:
        queue.submit(folder)
    check_complete(folder, asked)
    assert len(folder.submitted()[0]) <= 2


def test_controller_restarted(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    asked = work(100)
    folder = submitted(asked, tmp_path, chunk=50)
    wait_decided(folder, 5)
    slurm_cluster.kill("slurmctld")
    followed: list[object] = []
    attached = threading.Thread(target=lambda: followed.extend(queue.follow(folder)))  # waits meanwhile
    attached.start()
    before = len(lines(folder))
    wait_decided(folder, before + 5)  # the jobs keep running
    assert len(lines(folder)) < 100
    slurm_cluster.start("slurmctld")
    slurm_cluster.wait_ready()
    check_complete(folder, asked)
    attached.join(60)
    assert len(followed) == 100


def test_worker_killed(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path) -> None:
    asked = work(30)
    folder = submitted(asked, tmp_path, chunk=30)
    wait_decided(folder, 5)
    for process in workers(folder.path):
        os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: bool(queue.status(folder).stopped), "stopped")
    assert queue.submit(folder) == 1
    check_complete(folder, asked)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs is not permitted")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_disk_full(slurm_cluster: Cluster, work: MakeWork, tmp_path: Path, small_disk: Path) -> None:
    asked = work(40, 100)
    folder = submitted(asked, small_disk, chunk=40)
    wait_decided(folder, 2)
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while file.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    wait_for(lambda: bool(queue.status(folder).stopped), "stopped by the full disk")
    now = queue.status(folder)
    assert now.state == "failed"
    assert "cannot be written (No space left on device)" in str(now.chunks[0].reason)
    assert 2 <= now.decided < 40
    ballast.unlink()
    assert queue.submit(folder) == 1
    check_complete(folder, asked)
