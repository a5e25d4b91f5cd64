"""State of a job and its chunks, as ``aoi jobs status`` prints it as JSON, here or on a login host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter

from aoi_deploy.cluster.slurm import ACTIVE


@dataclass(frozen=True)
class ChunkStatus:
    chunk: int
    samples: int
    decided: int
    state: str  # done, waiting, running, failed, cancelled, timeout, node failed, stopped, not submitted
    reason: str | None = None
    job: str | None = None  # Slurm's id
    host: str | None = None
    seen_s: float | None = None  # seconds since the last note of its worker

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


_CHUNKS = TypeAdapter(tuple[ChunkStatus, ...])


@dataclass(frozen=True)
class JobStatus:
    id: str
    path: str
    login: str | None  # login host of a remote job
    samples: int
    chunks: tuple[ChunkStatus, ...]

    @property
    def decided(self) -> int:
        return sum(chunk.decided for chunk in self.chunks)

    @property
    def state(self) -> str:
        """``running``, ``waiting``, ``done``, or else the state of the first chunk that is not done."""
        states = [chunk.state for chunk in self.chunks]
        for state in ("running", "waiting"):
            if state in states:
                return state
        return next((state for state in states if state != "done"), "done")

    @property
    def stopped(self) -> tuple[ChunkStatus, ...]:
        """Chunks that are neither done nor active."""
        return tuple(each for each in self.chunks if each.state != "done" and not each.active)

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"decided": self.decided, "state": self.state}

    @classmethod
    def of(cls, tree: Mapping[str, Any], path: str, login: str | None) -> JobStatus:
        """The inverse of :meth:`json`; raises KeyError or ValueError if ``tree`` has another form."""
        chunks = _CHUNKS.validate_python(tree["chunks"], strict=False)
        return cls(str(tree["id"]), path, login, int(tree["samples"]), chunks)

    def __str__(self) -> str:
        """The state in one sentence."""
        text = f"job {self.id}: {self.decided} of {self.samples} samples decided"
        if self.state == "done":
            return text
        if not self.stopped:
            return f"{text}, it is {self.state}"
        first = self.stopped[0]
        return f"{text}, chunk {first.chunk} was {first.state}{f': {first.reason}' if first.reason else ''}"
