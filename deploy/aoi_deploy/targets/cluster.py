"""Target ``slurm``: runs the work as jobs of a cluster, which is local or reached over a login host."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from aoi.boards.board import load_board
from aoi.choices import OnNode
from aoi.errors import DataError
from aoi.netx.metadata import CutoffPolicy
from aoi_deploy.cluster import slurm
from aoi_deploy.jobs import queue
from aoi_deploy.jobs.folder import JobFolder, JobPlan
from aoi_deploy.jobs.registry import new_id, register
from aoi_deploy.jobs.remote import remote
from aoi_deploy.targets import Outcome, Work

if TYPE_CHECKING:
    from typing_extensions import Self

_STARTUP_S = 45.0  # time of a job to start Python and compile the network
_STEP_S = 2e-3  # generous time of a Lava step in the simulator
MAX_CHUNKS = 1000  # default limit of clusters for the jobs of an array


@dataclass(frozen=True)
class JobOptions:
    """How to submit a job."""

    on_node: OnNode = "loihi"
    board: str | None = None
    partition: str | None = None
    minutes: int = 2
    chunk: int | None = None  # samples per job; None: as many as should fit into the time limit
    at_once: int = 16  # jobs that may run at the same time
    login: str | None = None  # ssh host of the cluster; None: this machine
    aoi: str = "aoi"  # command on the login host


class Cluster:
    """Jobs on Slurm. Decided samples are kept, whatever happens to the jobs or to this process."""

    def __init__(self, options: JobOptions, jobs_folder: Path) -> None:
        """``jobs_folder``: where the job's own folder is created. Raises DataError, ClusterError if it cannot run."""
        self.options = options
        self._jobs_folder = jobs_folder
        self.folder: JobFolder | None = None
        board = load_board(options.board) if options.board else None
        self._partition = options.partition or (board.partition if board else None)
        self._id = new_id()
        self._remote = remote(options.login, self._id, options.aoi) if options.login else None
        reason = None if self._remote else slurm.unavailable() or slurm.refusal(self._partition, options.minutes)
        if reason:
            raise slurm.ClusterError(f"target slurm: {reason}; target sim runs in this process")

    def prepare(self, work: Work) -> None:
        """Creates the job's folder and submits the job; removes the folder if that fails.

        Raises DataError, WriteError, ClusterError.
        """
        options = self.options
        size = options.chunk or chunk_size(work.steps, options.minutes)
        count = len(work.spikes)
        if -(-count // size) > MAX_CHUNKS:
            raise DataError(
                f"{count} samples in chunks of {size}: {-(-count // size)} jobs, the limit is {MAX_CHUNKS}; "
                "set more minutes per job, or a larger chunk"
            )
        rule = work.rule
        policy = None
        if rule is not None:
            policy = CutoffPolicy(rule=rule.name, threshold=rule.threshold, scale=rule.scale, params=rule.params())
        plan = JobPlan(
            id=self._id,
            created=time.time(),
            network=str(work.network.path.resolve()),
            split=work.split,
            readout=work.network.readout,
            policy=policy,
            model=work.model,
            on_node=options.on_node,
            board=options.board,
            partition=self._partition,
            minutes=options.minutes,
            at_once=options.at_once,
            chunks=tuple((low, min(low + size, count)) for low in range(0, count, size)),
        )
        self.folder = folder = JobFolder(self._jobs_folder / plan.id)
        try:
            folder.create(plan, work)
            if self._remote is not None:
                self._remote.push(folder)
            queue.submit(folder)
            register(folder, plan.id)
        except BaseException:
            shutil.rmtree(folder.path, ignore_errors=True)
            raise

    def run(self) -> Iterator[Outcome]:
        """Waits for the jobs. Raises DeployError if they end before all samples are decided."""
        assert self.folder is not None, "prepare() comes first"
        yield from queue.follow(self.folder)

    def collect(self) -> list[Outcome]:
        assert self.folder is not None, "prepare() comes first"
        return queue.fetch(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass  # the jobs keep running


def chunk_size(steps: int, minutes: int) -> int:
    """Number of samples that a job should finish in ``minutes``; a job that does not is requeued and resumes."""
    return max(1, int(max(10.0, 60.0 * minutes - _STARTUP_S) / (steps * _STEP_S)))
