"""The folder of a job: everything that a node needs, and the outcomes so far.

::

    JOB/job.json          the plan: how to run, and the samples of each chunk
    JOB/network.net       copy of the network file
    JOB/samples.npz       the encoded recordings
    JOB/chunks/000.jsonl  one line per decided sample, each synced to disk
    JOB/chunks/000.note   last note of the chunk's worker: its state, when, where, and why it failed
    JOB/submitted.json    Slurm job ids of each chunk
    JOB/slurm/            logs, and submitit's files

A chunk can be stopped and started at any time, on any node: decided samples are not run again.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from aoi.choices import Model, OnNode, Readout
from aoi.cutoff.rule import make_rule
from aoi.errors import DataError, DeployError
from aoi.events.spikes import SpikeData
from aoi.files import atomic_file, write_atomically
from aoi.netx.metadata import CutoffPolicy
from aoi_deploy.targets import Outcome, Work

_WORD = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"  # of what reaches a batch script
_NOTE_BYTES = 2048  # reserved at the start, so that a worker can report that the disk is full


class JobPlan(BaseModel):
    """Content of ``job.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    id: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=100)
    created: float = Field(description="seconds since 1970")
    network: str = Field(max_length=4096, description="path of the original network file, for information")
    split: str = Field(max_length=100)
    readout: Readout
    policy: CutoffPolicy | None = Field(description="the stopping rule; null runs all steps")
    model: Model
    on_node: OnNode
    board: str | None = Field(None, pattern=_WORD, max_length=100)
    partition: str | None = Field(None, pattern=_WORD, max_length=100)
    minutes: int = Field(2, ge=1)
    at_once: int = Field(16, ge=1)
    chunks: tuple[tuple[int, int], ...] = Field(
        min_length=1, description="index of the first sample, and of the last plus 1"
    )


@dataclass(frozen=True)
class WorkerNote:
    """Last note of a chunk's worker."""

    state: Literal["running", "done", "failed"]
    at: float  # seconds since 1970
    host: str
    pid: int
    error: str | None = None


_NOTES = TypeAdapter(WorkerNote)
_OUTCOMES = TypeAdapter(Outcome)
_JobId = Annotated[str, StringConstraints(pattern=r"^[0-9]+(_[0-9]+)?$")]
_SUBMITTED = TypeAdapter(dict[int, list[_JobId]])


@dataclass(frozen=True)
class JobFolder:
    """Reads and writes the files of a job."""

    path: Path

    # -- the plan -------------------------------------------------------------------------------------------------

    @property
    def network(self) -> Path:
        return self.path / "network.net"

    @property
    def slurm(self) -> Path:
        return self.path / "slurm"

    @property
    def plan(self) -> JobPlan:
        """The content of ``job.json``. Raises DataError if the folder is not a job."""
        file = self.path / "job.json"
        try:
            return JobPlan.model_validate_json(file.read_bytes())
        except OSError as error:
            raise DataError(
                f"{self.path}: is not a job folder ({error.strerror}: job.json); 'aoi jobs list' shows the jobs"
            ) from None
        except ValidationError as error:
            raise DataError(
                f"{file}: is damaged ({error.errors()[0]['msg']}); submit the job again with 'aoi deploy'"
            ) from None

    def create(self, plan: JobPlan, work: Work) -> None:
        """Writes the job; ``job.json`` comes last, so that an incomplete folder is not a job. Raises WriteError."""
        for number in range(len(plan.chunks)):
            with atomic_file(self._note(number)) as file:
                file.write(b" " * _NOTE_BYTES)
        write_atomically(self.network, work.network.path.read_bytes())
        spikes = work.spikes
        with atomic_file(self.path / "samples.npz") as file:
            np.savez(
                file,
                ids=np.array(spikes.ids),
                labels=spikes.labels,
                classes=np.array(spikes.classes),
                fingerprints=spikes.fingerprints,
                shape=np.array(spikes.shape),
                packed=spikes.packed[spikes.rows],
            )
        write_atomically(self.path / "job.json", plan.model_dump_json(indent=1).encode())

    def spikes(self) -> SpikeData:
        """The recordings. Raises DataError."""
        file = self.path / "samples.npz"
        try:
            with np.load(file, allow_pickle=False) as arrays:
                packed = arrays["packed"]
                channels, height, width, steps = (int(size) for size in arrays["shape"])
                count = len(arrays["labels"])
                bits = -(-channels * height * width * steps // 8)
                lengths = {count, *(len(arrays[name]) for name in ("ids", "fingerprints", "packed"))}
                if len(lengths) > 1 or packed.shape != (count, bits) or min(channels, height, width, steps) < 1:
                    raise ValueError(f"its arrays are for {sorted(lengths)} recordings of {bits} bytes")
                return SpikeData(
                    ids=tuple(map(str, arrays["ids"])),
                    labels=arrays["labels"],
                    classes=tuple(map(str, arrays["classes"])),
                    fingerprints=arrays["fingerprints"],
                    shape=(channels, height, width, steps),
                    packed=packed,
                    rows=np.arange(len(packed)),
                )
        except Exception as error:  # numpy passes on whatever its header parser, zipfile and zlib raise
            raise DataError(f"{file}: cannot be read ({error}); submit the job again with 'aoi deploy'") from None

    def work(self) -> Work:
        """The work of this job. Raises DataError, NetXError."""
        from aoi.netx import read_network

        plan = self.plan
        policy = plan.policy
        rule = make_rule(policy.rule, policy.threshold, policy.scale, policy.params) if policy else None
        return Work(read_network(self.network), self.spikes(), rule, plan.model, plan.split)

    # -- results --------------------------------------------------------------------------------------------------

    def decided(self, chunk: int) -> dict[int, Outcome]:
        """Outcomes of a chunk by sample, the first if a sample has several. Ignores an incomplete last line.

        Raises DataError if a line is not an outcome.
        """
        low, high = self.plan.chunks[chunk]
        found: dict[int, Outcome] = {}
        try:
            lines = self._results(chunk).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                outcome = _OUTCOMES.validate_json(line)
            except ValueError:
                raise DataError(
                    f"{self._results(chunk)}: holds a line that is not a result ({line[:80]!r}); remove it, then "
                    f"'aoi jobs continue {self.plan.id}' decides its sample again"
                ) from None
            if low <= outcome.index < high:
                found.setdefault(outcome.index, outcome)
        return found

    def outcomes(self) -> list[Outcome]:
        """All outcomes so far, in the order of the samples."""
        found: dict[int, Outcome] = {}
        for chunk in range(len(self.plan.chunks)):
            found |= self.decided(chunk)
        return [found[index] for index in sorted(found)]

    @contextmanager
    def results(self, chunk: int) -> Iterator[IO[bytes]]:
        """Opens a chunk's results for appending, with an exclusive lock; waits while another process holds it.

        Removes an incomplete last line. The system releases the lock however the process ends.
        """
        with self._results(chunk).open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
            yield file

    def append(self, file: IO[bytes], outcome: Outcome) -> None:
        """Appends one line and syncs it to disk. Raises DeployError, without leaving part of a line, if it fails."""
        line = json.dumps(asdict(outcome)).encode() + b"\n"
        end = os.fstat(file.fileno()).st_size
        try:
            if file.write(line) != len(line):
                raise OSError(28, os.strerror(28))  # ENOSPC: only part of the line was written
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            raise DeployError(
                f"sample {outcome.index}: its result cannot be written ({error.strerror}); free space on the disk of "
                f"{self.path}, then run 'aoi jobs continue {self.plan.id}'"
            ) from None

    def write_note(self, chunk: int, state: Literal["running", "done", "failed"], error: str | None = None) -> None:
        """Overwrites the worker's note in place, which needs no free space on the disk."""
        note = asdict(WorkerNote(state, time.time(), socket.gethostname(), os.getpid(), error and error[:1000]))
        text = json.dumps(note).encode()[:_NOTE_BYTES]
        handle = os.open(self._note(chunk), os.O_WRONLY)
        try:
            os.pwrite(handle, text.ljust(_NOTE_BYTES), 0)
            os.fsync(handle)
        finally:
            os.close(handle)

    def read_note(self, chunk: int) -> WorkerNote | None:
        try:
            return _NOTES.validate_json(self._note(chunk).read_bytes())
        except (OSError, ValueError):
            return None  # not written yet, or damaged

    def _results(self, chunk: int) -> Path:
        return self.path / "chunks" / f"{chunk:03}.jsonl"

    def _note(self, chunk: int) -> Path:
        return self.path / "chunks" / f"{chunk:03}.note"

    # -- Slurm jobs -----------------------------------------------------------------------------------------------

    def submitted(self) -> dict[int, list[str]]:
        """Ids of the Slurm jobs of each chunk, oldest first."""
        file = self.path / "submitted.json"
        try:
            return _SUBMITTED.validate_json(file.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError):
            raise DataError(f"{file}: is damaged; remove it if no job of {self.plan.id} is in the queue") from None

    def add_submitted(self, jobs: dict[int, str]) -> None:
        all_jobs = self.submitted()
        for chunk, job in jobs.items():
            all_jobs.setdefault(chunk, []).append(job)
        write_atomically(self.path / "submitted.json", json.dumps(all_jobs).encode())
