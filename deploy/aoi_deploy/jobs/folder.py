"""A job on disk: everything that a node needs, and what it has decided so far.

::

    JOB/job.json          the plan: how to run, and which samples each chunk has
    JOB/network.net       the network file as it was when the job was made
    JOB/samples.npz       the encoded recordings
    JOB/chunks/000.jsonl  a line a decided sample, appended and synced to disk one by one
    JOB/chunks/000.note   what the chunk's worker last said: when, where, and why it failed
    JOB/submitted.json    chunk → ids of the Slurm jobs that were given to it
    JOB/slurm/            logs, and submitit's files

A chunk may be stopped and started at any time by anybody: what is decided is not decided again.
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
from typing import IO, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aoi.choices import Model, OnNode, Readout
from aoi.cutoff.rule import make_rule
from aoi.errors import DataError, DeployError
from aoi.events.spikes import SpikeData
from aoi.files import atomic_file, write_atomically
from aoi.netx.metadata import CutoffPolicy
from aoi_deploy.targets import Outcome, Work

_NOTE_BYTES = 2048  # reserved when the job is made, so that a worker can say that the disk is full


class JobPlan(BaseModel):
    """``job.json``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    version: Literal[1] = 1
    id: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$", max_length=100)
    created: float = Field(description="seconds since 1970")
    network: str = Field(description="where the network file came from, for people")
    split: str
    readout: Readout
    policy: CutoffPolicy | None = Field(description="the stopping rule; null runs all steps")
    model: Model
    on_node: OnNode
    board: str | None = None
    partition: str | None = None
    minutes: int = Field(2, ge=1)
    at_once: int = Field(16, ge=1)
    chunks: tuple[tuple[int, int], ...] = Field(min_length=1, description="first sample and the one after the last")


@dataclass(frozen=True)
class Note:
    """What a chunk's worker last said."""

    state: Literal["running", "done", "failed"]
    at: float  # seconds since 1970
    host: str
    pid: int
    error: str | None = None


@dataclass(frozen=True)
class JobFolder:
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
        """Raises DataError where the folder is no job."""
        file = self.path / "job.json"
        try:
            return JobPlan.model_validate_json(file.read_bytes())
        except OSError as error:
            raise DataError(f"{self.path}: is no job folder ({error.strerror}: job.json)") from None
        except ValidationError as error:
            raise DataError(f"{file}: is damaged: {error.errors()[0]['msg']}") from None

    def create(self, plan: JobPlan, work: Work) -> None:
        """Writes all but the results; ``job.json`` last, so that half a job is none. Raises WriteError."""
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
            with np.load(file, allow_pickle=False) as held:
                packed = held["packed"]
                channels, height, width, steps = (int(size) for size in held["shape"])
                return SpikeData(
                    ids=tuple(map(str, held["ids"])),
                    labels=held["labels"],
                    classes=tuple(map(str, held["classes"])),
                    fingerprints=held["fingerprints"],
                    shape=(channels, height, width, steps),
                    packed=packed,
                    rows=np.arange(len(packed)),
                )
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{file}: cannot be read ({error}); make the job again with 'aoi deploy'") from None

    def work(self) -> Work:
        """What the job is to do. Raises DataError, NetXError."""
        from aoi.netx import read_network

        plan = self.plan
        policy = plan.policy
        rule = make_rule(policy.rule, policy.threshold, policy.scale, policy.params) if policy else None
        return Work(read_network(self.network), self.spikes(), rule, plan.model, plan.split)

    # -- results --------------------------------------------------------------------------------------------------

    def decided(self, chunk: int) -> dict[int, Outcome]:
        """Sample → outcome of the whole lines there are; the first counts where a sample has several."""
        low, high = self.plan.chunks[chunk]
        found: dict[int, Outcome] = {}
        try:
            lines = self._results(chunk).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return found
        for line in lines:
            try:
                outcome = Outcome(**json.loads(line))
            except (ValueError, TypeError):
                raise DataError(f"{self._results(chunk)}: holds a line that is no result: {line[:80]!r}") from None
            if low <= outcome.index < high:
                found.setdefault(outcome.index, outcome)
        return found

    def outcomes(self) -> list[Outcome]:
        """All that is decided, in the order of the samples."""
        found: dict[int, Outcome] = {}
        for chunk in range(len(self.plan.chunks)):
            found |= self.decided(chunk)
        return [found[index] for index in sorted(found)]

    @contextmanager
    def results(self, chunk: int) -> Iterator[IO[bytes]]:
        """The chunk's results, to be appended by this process alone; waits for another one that is at it.

        What is left of a line that was cut off is removed. The system lets go of the file however the process ends.
        """
        with self._results(chunk).open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
            yield file

    def append(self, file: IO[bytes], outcome: Outcome) -> None:
        """A line, on the disk when this returns. Raises DeployError, and leaves no half line, where it does not fit."""
        line = json.dumps(asdict(outcome)).encode() + b"\n"
        end = os.fstat(file.fileno()).st_size
        try:
            if file.write(line) != len(line):
                raise OSError(28, os.strerror(28))  # ENOSPC: part of the line fitted
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(end)
            raise DeployError(
                f"sample {outcome.index}: its result cannot be written ({error.strerror}); make room on the disk of "
                f"{self.path}, then 'aoi jobs continue {self.plan.id}'"
            ) from None

    def note(self, chunk: int, state: Literal["running", "done", "failed"], error: str | None = None) -> None:
        """Says how it goes, in place: that needs no room on the disk."""
        note = asdict(Note(state, time.time(), socket.gethostname(), os.getpid(), error and error[:1000]))
        text = json.dumps(note).encode()[:_NOTE_BYTES]
        handle = os.open(self._note(chunk), os.O_WRONLY)
        try:
            os.pwrite(handle, text.ljust(_NOTE_BYTES), 0)
            os.fsync(handle)
        finally:
            os.close(handle)

    def last_note(self, chunk: int) -> Note | None:
        try:
            return Note(**json.loads(self._note(chunk).read_bytes()))
        except (OSError, ValueError, TypeError):
            return None  # nothing was said yet

    def _results(self, chunk: int) -> Path:
        return self.path / "chunks" / f"{chunk:03}.jsonl"

    def _note(self, chunk: int) -> Path:
        return self.path / "chunks" / f"{chunk:03}.note"

    # -- who works on it ------------------------------------------------------------------------------------------

    def submitted(self) -> dict[int, list[str]]:
        """Chunk → ids of its Slurm jobs, the last one last."""
        try:
            held: dict[str, Any] = json.loads((self.path / "submitted.json").read_bytes())
        except FileNotFoundError:
            return {}
        return {int(chunk): list(map(str, jobs)) for chunk, jobs in held.items()}

    def note_submitted(self, jobs: dict[int, str]) -> None:
        all_jobs = self.submitted()
        for chunk, job in jobs.items():
            all_jobs.setdefault(chunk, []).append(job)
        write_atomically(self.path / "submitted.json", json.dumps(all_jobs).encode())
