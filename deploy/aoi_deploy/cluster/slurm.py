"""Jobs on a Slurm cluster: submitted through submitit, asked after with Slurm's own commands.

States come from ``squeue`` and ``scontrol``, not from accounting, which many small clusters do not have.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aoi.compat import require
from aoi.errors import AoiError

State = Literal["waiting", "running", "done", "failed", "cancelled", "timeout", "node failed", "unknown"]
ACTIVE: tuple[State, ...] = ("waiting", "running")
"""Somebody works on it, or will."""

# Slurm's states (squeue(1), "JOB STATE CODES") in our words.
_STATES: dict[str, State] = {
    "PENDING": "waiting",
    "REQUEUED": "waiting",
    "REQUEUE_HOLD": "waiting",
    "REQUEUE_FED": "waiting",
    "SPECIAL_EXIT": "waiting",
    "SUSPENDED": "waiting",
    "CONFIGURING": "running",
    "RUNNING": "running",
    "COMPLETING": "running",
    "STAGE_OUT": "running",
    "SIGNALING": "running",
    "RESIZING": "running",
    "STOPPED": "running",
    "COMPLETED": "done",
    "FAILED": "failed",
    "OUT_OF_MEMORY": "failed",
    "BOOT_FAIL": "failed",
    "DEADLINE": "timeout",
    "TIMEOUT": "timeout",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "PREEMPTED": "waiting",
    "NODE_FAIL": "node failed",
}
_PROGRAMS = ("sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
_ANSWER_S = 20.0


class ClusterError(AoiError):
    """Slurm is not there, does not answer, or refuses."""

    exit_code = 2


@dataclass(frozen=True)
class Resources:
    """What a job asks for."""

    partition: str | None = None
    minutes: int = 2
    cpus: int = 1
    at_once: int = 16  # jobs of an array that run side by side
    warning_s: int = 30  # before the time limit, so that a job can end in order and go back into the queue
    requeues: int = 50  # after a time limit
    comment: str | None = None  # for the scheduler, such as the board that is wanted


def missing() -> str | None:
    """Why no job can be submitted from here; None where one can."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"Slurm's {absent[0]} is not installed here; run this on a login host of the cluster"
    answer = _ask("scontrol", "ping")
    if answer.returncode or "UP" not in answer.stdout:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        return f"Slurm's controller does not answer: {said[-1].strip() if said else 'no reply'}"
    return None


def partitions() -> dict[str, str]:
    """Partition → its longest time, as Slurm writes it."""
    answer = _ask("sinfo", "--noheader", "--format=%R %l")
    pairs = (line.split(maxsplit=1) for line in answer.stdout.splitlines())
    return dict(pairs) if answer.returncode == 0 else {}


def refuses(partition: str | None, minutes: int) -> str | None:
    """Why a job of so many minutes would never run there; None where it would. ``None``: the cluster's own default."""
    known = partitions()
    if partition is None:
        return None
    if partition not in known:
        return f"partition {partition}: this cluster has {', '.join(known) or 'none'}"
    most = _minutes(known[partition])
    if most is not None and minutes > most:
        return (
            f"{minutes} minutes: partition {partition} ends jobs after {most:g}; ask for less: the job is requeued "
            "and resumes"
        )
    return None


def _minutes(limit: str) -> float | None:
    """``infinite``, ``2:00``, ``1:00:00``, ``1-00:00:00`` → minutes, None for no limit."""
    days, _, clock = limit.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        seconds = 0
        for part in parts:
            seconds = 60 * seconds + part
        return (86400 * int(days or 0) + seconds) / 60
    except ValueError:
        return None


def submit(call: Any, arguments: Sequence[tuple[Any, ...]], folder: Path, name: str, wants: Resources) -> list[str]:
    """One job of an array for each of ``arguments``; ``call``: picklable, requeued if it has ``checkpoint``.

    Logs and submitit's files lie in ``folder``. Returns the job ids, ``ID_INDEX`` for arrays. Raises ClusterError.
    """
    reason = missing() or refuses(wants.partition, wants.minutes)
    if reason:
        raise ClusterError(reason)
    submitit = require("submitit", "cluster")
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=wants.requeues)
    extra = {"comment": wants.comment} if wants.comment else {}
    executor.update_parameters(
        job_name=name,
        time=wants.minutes,
        cpus_per_task=wants.cpus,
        ntasks_per_node=1,
        array_parallelism=wants.at_once,
        signal_delay_s=wants.warning_s,
        stderr_to_stdout=True,
        additional_parameters={"requeue": True, "open-mode": "append", **extra},
        **({"partition": wants.partition} if wants.partition else {}),
    )
    try:
        if len(arguments) == 1:
            return [executor.submit(call, *arguments[0]).job_id]
        return [job.job_id for job in executor.map_array(call, *zip(*arguments, strict=True))]
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        raise ClusterError(f"Slurm refuses the job: {' '.join(str(error).split())}") from None


def states(jobs: Sequence[str]) -> dict[str, State]:
    """What becomes of jobs; "unknown" where Slurm no longer remembers them or does not answer."""
    found: dict[str, State] = dict.fromkeys(jobs, "unknown")
    for whole in sorted({job.partition("_")[0] for job in jobs}):
        answer = _ask("scontrol", "--oneliner", "show", "job", whole)
        for line in answer.stdout.splitlines():
            fields = dict(field.partition("=")[::2] for field in line.split() if "=" in field)
            state = _STATES.get(fields.get("JobState", ""), "unknown")
            index = fields.get("ArrayTaskId")
            if index is None:
                found[whole] = state
                continue
            for task in _tasks(index):
                found[f"{whole}_{task}"] = state
    return {job: found[job] for job in jobs}


def _tasks(index: str) -> list[int]:
    """``3``, ``1-4``, ``0-2,7`` or ``0-9%4`` → task numbers."""
    tasks: list[int] = []
    for part in index.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            tasks += range(int(first), int(last or first) + 1)
    return tasks


def cancel(jobs: Sequence[str]) -> None:
    """Ends jobs that still wait or run. Raises ClusterError."""
    answer = _ask("scancel", *jobs)
    if answer.returncode:
        raise ClusterError(f"scancel: {answer.stderr.strip()}")


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
