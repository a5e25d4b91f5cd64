"""Submits, follows and cancels the chunks of a job on Slurm."""

from __future__ import annotations

import time
from collections.abc import Iterator

from aoi.command import aoi_command
from aoi.errors import DataError, DeployError
from aoi.files import claimed
from aoi_deploy.cluster import slurm
from aoi_deploy.cluster.command_job import CommandJob
from aoi_deploy.jobs.folder import JobFolder, JobPlan
from aoi_deploy.jobs.remote import remote_of
from aoi_deploy.jobs.state import ChunkStatus, JobStatus
from aoi_deploy.targets import Outcome

_POLL_S = 1.0
_HEARTBEAT_TIMEOUT_S = 15.0  # a chunk that Slurm does not know counts as stopped this long after its last note


def submit(folder: JobFolder) -> int:
    """Submits the chunks that are not done and have no active job; returns their number. Raises ClusterError."""
    remote = remote_of(folder)
    if remote is not None:
        return remote.submit(folder)
    with claimed(folder.path, "aoi jobs continue"):
        return _submit_here(folder)


def _submit_here(folder: JobFolder) -> int:
    plan = folder.plan
    chunks = [each.chunk for each in status(folder).chunks if each.state != "done" and not each.active]
    if not chunks:
        return 0
    command = (*aoi_command(), "jobs", "work", str(folder.path.resolve()))
    ids = slurm.submit(
        CommandJob(), [(*command, str(chunk)) for chunk in chunks], folder.slurm, f"aoi-{plan.id}", _resources(plan)
    )
    folder.add_submitted(dict(zip(chunks, ids, strict=True)))
    return len(chunks)


def _resources(plan: JobPlan) -> slurm.Resources:
    return slurm.Resources(
        partition=plan.partition,
        minutes=plan.minutes,
        at_once=plan.at_once,
        warning_s=15,  # short, as the time limit can be two minutes and a worker stops immediately
        comment=plan.board,
    )


def status(folder: JobFolder) -> JobStatus:
    """The state of a job and its chunks. Raises DataError if the folder is not a job."""
    remote = remote_of(folder)
    if remote is not None:
        return remote.status(folder)
    plan, jobs = folder.plan, folder.submitted()
    last = {chunk: ids[-1] for chunk, ids in jobs.items()}
    states = slurm.states(list(last.values())) if last else {}
    found = []
    for number, (low, high) in enumerate(plan.chunks):
        done, job, note = len(folder.decided(number)), last.get(number), folder.read_note(number)
        seen_s = time.time() - note.at if note else None
        state: str = "not submitted" if job is None else states[job]
        reason = None
        if done == high - low:
            state = "done"
        elif state == "done" or (state == "unknown" and not _recently_seen(seen_s)):
            state = "stopped"
        if state not in ("done", *slurm.ACTIVE) and note and note.state == "failed":
            state, reason = ("failed" if state == "stopped" else state), note.error
        found.append(ChunkStatus(number, high - low, done, state, reason, job, note.host if note else None, seen_s))
    return JobStatus(plan.id, str(folder.path), None, plan.chunks[-1][1], tuple(found))


def _recently_seen(seen_s: float | None) -> bool:
    return seen_s is not None and seen_s < _HEARTBEAT_TIMEOUT_S


def cancel(folder: JobFolder) -> int:
    """Cancels waiting and running chunks; returns their number. Outcomes are kept. Raises ClusterError."""
    remote = remote_of(folder)
    if remote is not None:
        return remote.cancel(folder)
    active = [each for each in status(folder).chunks if each.active and each.job]
    if active:
        slurm.cancel([str(each.job) for each in active])
    return len(active)


def logs(folder: JobFolder, chunk: int | None = None) -> dict[str, str]:
    """Texts of the logs by file name, of all attempts. Raises DataError if there is no such chunk."""
    remote = remote_of(folder)
    if remote is not None:
        return remote.logs(folder, chunk)
    jobs = folder.submitted()
    if chunk is not None and chunk not in range(len(folder.plan.chunks)):
        raise DataError(f"chunk {chunk}: job {folder.plan.id} has chunks 0 to {len(folder.plan.chunks) - 1}")
    wanted = {job for number, ids in jobs.items() if chunk in (None, number) for job in ids}
    return {
        file.name: file.read_text(errors="replace")
        for file in sorted(folder.slurm.glob("*.out"))
        if any(file.name.startswith((f"{job}_", f"{job}.")) for job in wanted)
    }


def fetch(folder: JobFolder) -> list[Outcome]:
    """All outcomes so far; copies them from the login host first if the job is remote."""
    remote = remote_of(folder)
    if remote is not None:
        remote.pull(folder)
    return folder.outcomes()


def follow(folder: JobFolder) -> Iterator[Outcome]:
    """Yields outcomes as they are decided, until the job is complete.

    Raises DeployError, with the reason, if samples are missing and no job works on them.
    """
    seen: set[int] = set()
    while True:
        now = status(folder)
        for outcome in fetch(folder):
            if outcome.index not in seen:
                seen.add(outcome.index)
                yield outcome
        if len(seen) == now.samples:
            return
        if now.stopped and not any(each.active for each in now.chunks) and not _slurm_unreachable(folder):
            raise DeployError(f"{now}; 'aoi jobs continue {now.id}' resumes the rest")
        time.sleep(_POLL_S)


def _slurm_unreachable(folder: JobFolder) -> bool:
    """Whether the local Slurm does not answer. Its jobs keep running, and a restarted controller still knows them."""
    return remote_of(folder) is None and slurm.unavailable() is not None
