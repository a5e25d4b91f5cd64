"""Jobs on a Slurm cluster: submitted through submitit, queried with Slurm's own commands.

States come from ``scontrol`` and not from accounting, which many small clusters lack.
"""

from __future__ import annotations

import shutil
import subprocess
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aoi.compat import require
from aoi.errors import AoiError

State = Literal["waiting", "running", "done", "failed", "cancelled", "timeout", "node failed", "unknown"]
ACTIVE: tuple[State, ...] = ("waiting", "running")
"""States of jobs that run or will run."""

# Slurm's states, see "JOB STATE CODES" in squeue(1).
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
_TIMEOUT_S = 20.0


class ClusterError(AoiError):
    """Slurm is not installed, does not answer, or refuses a job."""

    exit_code = 2


@dataclass(frozen=True)
class Resources:
    """Resources that a job requests."""

    partition: str | None = None
    minutes: int = 2
    cpus: int = 1
    at_once: int = 16  # jobs of an array that may run at the same time
    warning_s: int = 30  # seconds before the time limit at which a job is told to end and is requeued
    requeues: int = 50  # most requeues after a time limit
    comment: str | None = None  # for the scheduler, such as the requested board


def unavailable() -> str | None:
    """Why no job can be submitted from this machine; None if it can."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"Slurm's {absent[0]} is not installed here; run this on a login host of the cluster"
    answer = _run("scontrol", "ping")
    if answer.returncode or "UP" not in answer.stdout:
        said = (answer.stdout + answer.stderr).strip().splitlines()
        return f"Slurm's controller does not answer: {said[-1].strip() if said else 'no reply'}"
    return None


def partitions() -> dict[str, str]:
    """Time limits of the partitions by name, in Slurm's notation."""
    answer = _run("sinfo", "--noheader", "--format=%R %l")
    pairs = (line.split(maxsplit=1) for line in answer.stdout.splitlines())
    return dict(pairs) if answer.returncode == 0 else {}


def refusal(partition: str | None, minutes: int) -> str | None:
    """Why a job of ``minutes`` would never run in the partition; None if it would.

    ``partition`` None stands for the cluster's default.
    """
    known = partitions()
    if partition is None:
        return None
    if partition not in known:
        return f"partition {partition}: this cluster has {', '.join(known) or 'no partitions'}"
    limit = _minutes(known[partition])
    if limit is not None and minutes > limit:
        return (
            f"{minutes} minutes: partition {partition} ends jobs after {limit:g}; "
            "request less, as a job that reaches its limit is requeued and resumes"
        )
    return None


def _minutes(limit: str) -> float | None:
    """Minutes of a limit such as ``2:00``, ``1:00:00`` or ``1-00:00:00``; None for ``infinite``."""
    days, _, clock = limit.rpartition("-")
    try:
        parts = [int(part) for part in clock.split(":")]
        seconds = 0
        for part in parts:
            seconds = 60 * seconds + part
        return (86400 * int(days or 0) + seconds) / 60
    except ValueError:
        return None


def submit(call: Any, arguments: Sequence[tuple[Any, ...]], folder: Path, name: str, resources: Resources) -> list[str]:
    """Submits an array with one job for each of ``arguments``.

    ``call`` has to be picklable; its job is requeued if it has a method ``checkpoint``. Logs and submitit's files go to
    ``folder``. Returns the job ids, ``ID_INDEX`` for arrays. Raises ClusterError.
    """
    for what, text in {"folder": str(folder.absolute()), "name": name, **_texts(resources)}.items():
        if any(unicodedata.category(letter)[0] == "C" for letter in text):
            raise ClusterError(f"{what} {text!r}: holds a control character, which a batch script cannot; rename it")
    reason = unavailable() or refusal(resources.partition, resources.minutes)
    if reason:
        raise ClusterError(reason)
    submitit = require("submitit", "cluster")
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=resources.requeues)
    extra = {"comment": resources.comment} if resources.comment else {}
    executor.update_parameters(
        job_name=name,
        time=resources.minutes,
        cpus_per_task=resources.cpus,
        ntasks_per_node=1,
        array_parallelism=resources.at_once,
        signal_delay_s=resources.warning_s,
        stderr_to_stdout=True,
        additional_parameters={"requeue": True, "open-mode": "append", **extra},
        **({"partition": resources.partition} if resources.partition else {}),
    )
    try:
        if len(arguments) == 1:
            return [executor.submit(call, *arguments[0]).job_id]
        return [job.job_id for job in executor.map_array(call, *zip(*arguments, strict=True))]
    except (submitit.core.utils.FailedJobError, subprocess.CalledProcessError) as error:
        raise ClusterError(f"Slurm refuses the job: {' '.join(str(error).split())}") from None


def _texts(resources: Resources) -> dict[str, str]:
    return {key: value for key, value in vars(resources).items() if isinstance(value, str)}


def states(jobs: Sequence[str]) -> dict[str, State]:
    """States of jobs; "unknown" if Slurm has forgotten a job or does not answer."""
    found: dict[str, State] = dict.fromkeys(jobs, "unknown")
    for array in sorted({job.partition("_")[0] for job in jobs}):
        answer = _run("scontrol", "--oneliner", "show", "job", array)
        for line in answer.stdout.splitlines():
            fields = dict(field.partition("=")[::2] for field in line.split() if "=" in field)
            state = _STATES.get(fields.get("JobState", ""), "unknown")
            index = fields.get("ArrayTaskId")
            if index is None:
                found[array] = state
                continue
            for task in _tasks(index):
                found[f"{array}_{task}"] = state
    return {job: found[job] for job in jobs}


def _tasks(index: str) -> list[int]:
    """Task numbers of an index such as ``3``, ``1-4``, ``0-2,7`` or ``0-9%4``."""
    tasks: list[int] = []
    for part in index.partition("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            tasks += range(int(first), int(last or first) + 1)
    return tasks


def cancel(jobs: Sequence[str]) -> None:
    """Cancels jobs that wait or run. Raises ClusterError."""
    answer = _run("scancel", *jobs)
    if answer.returncode:
        raise ClusterError(f"scancel: {answer.stderr.strip()}")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))
