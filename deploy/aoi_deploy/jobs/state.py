"""How a job is, chunk by chunk; what ``aoi jobs status --json`` prints, and a login host answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

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
    seen_s: float | None = None  # since its worker's last sign of life

    @property
    def active(self) -> bool:
        return self.state in ACTIVE


@dataclass(frozen=True)
class JobStatus:
    id: str
    path: str
    login: str | None  # the host over which it was submitted
    samples: int
    chunks: tuple[ChunkStatus, ...]

    @property
    def decided(self) -> int:
        return sum(chunk.decided for chunk in self.chunks)

    @property
    def state(self) -> str:
        """running, waiting, done, or else how the first chunk that is not done was stopped."""
        states = [chunk.state for chunk in self.chunks]
        for state in ("running", "waiting"):
            if state in states:
                return state
        return next((state for state in states if state != "done"), "done")

    @property
    def stopped(self) -> tuple[ChunkStatus, ...]:
        """Chunks that are not done and that nobody works on."""
        return tuple(each for each in self.chunks if each.state != "done" and not each.active)

    def json(self) -> dict[str, Any]:
        return asdict(self) | {"decided": self.decided, "state": self.state}

    @classmethod
    def of(cls, tree: Mapping[str, Any], path: str, login: str | None) -> JobStatus:
        """From :meth:`json`; raises KeyError, TypeError for what is none."""
        return cls(tree["id"], path, login, tree["samples"], tuple(ChunkStatus(**each) for each in tree["chunks"]))

    def __str__(self) -> str:
        """In a sentence."""
        text = f"job {self.id}: {self.decided} of {self.samples} samples are decided"
        if self.state == "done":
            return text
        if not self.stopped:
            return f"{text}, it is {self.state}"
        first = self.stopped[0]
        return f"{text}, chunk {first.chunk} was {first.state}{f': {first.reason}' if first.reason else ''}"
