"""The boards that a network may be meant for: one YAML file each, beside the file of its chip; every number with its
source and whether that states it or we derived it."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict

from aoi.errors import DataError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Limit(_Frozen):
    """The most that there is of something, on one core unless it says otherwise."""

    value: int
    stated: bool
    """True where the source says or prints the number, False where it is derived from that source."""
    source: str
    earlier: int | None = None
    """What compilers of an earlier time allowed."""


class Limits(_Frozen):
    cores: Limit  # on a chip
    neurons: Limit
    axons_in: Limit
    axon_map: Limit  # entries that say where spikes go
    synapse_words: Limit  # of 64 bits
    neuron_groups: Limit | None = None  # sets of neuron parameters; None: not limited


class Range(_Frozen):
    """From ``low`` to ``high``."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(low=self.low + other.low, high=self.high + other.high)

    def times(self, low: float, high: float | None = None) -> Range:
        """Times ``low``; times a range where ``high`` is given. Nothing is negative."""
        return Range(low=self.low * low, high=self.high * (low if high is None else high))


class EventEnergy(_Frozen):
    """Energy of one event, pJ."""

    synapse_dense: Range
    synapse_conv: Range
    access: Range
    update: Range
    spike: Range
    message: Range
    hop: Range


class EventLatency(_Frozen):
    """Time of one event on its core, ns; ``barrier``: of one timestep, for all cores to agree that it is over."""

    synapse_dense: Range
    synapse_conv: Range
    access: Range
    update: Range
    spike: Range
    message: Range
    barrier: Range


class Events(_Frozen):
    """What single events cost, from published figures."""

    source: str
    stated: bool
    energy_pj: EventEnergy
    latency_ns: EventLatency
    hops: Range  # of a message


class AnchorCounts(_Frozen):
    operations: int
    spikes: int
    updates: int
    steps: int


class Anchor(_Frozen):
    """One published measurement of one network, and what the engine counts in it: an inference each."""

    network: str
    source: str
    stated: bool
    total_j: float
    dynamic_j: float
    step_s: float
    counts: AnchorCounts

    @property
    def seconds(self) -> float:
        return self.step_s * self.counts.steps

    @property
    def static_w(self) -> float:
        return (self.total_j - self.dynamic_j) / self.seconds


class Chip(_Frozen):
    name: str
    format: Literal["loihi1", "loihi2"]
    limits: Limits
    events: Events | None = None
    anchor: Anchor | None = None


class BoardFile(_Frozen):
    name: str
    title: str
    chip: str
    chips: Limit
    partition: str


class Board(_Frozen):
    """A board with its chips."""

    name: str
    title: str
    chip: Chip
    chips: Limit
    partition: str
    """Its Slurm partition on the INRC cloud, for a start: names change there."""

    @property
    def cores(self) -> int:
        return self.chips.value * self.chip.limits.cores.value


def board_names() -> list[str]:
    """The boards that have a file."""
    found = (each.name for each in files("aoi.boards").iterdir())
    return sorted(name[:-5] for name in found if name.endswith(".yaml") and not name.endswith(".chip.yaml"))


@lru_cache(maxsize=16)
def load_board(name: str) -> Board:
    """The board of that name. Raises DataError."""
    names = board_names()
    if name not in names:
        raise DataError(f"board {name!r}: there is no such board; the boards are {', '.join(names)}")
    board = BoardFile.model_validate(_read(f"{name}.yaml"))
    chip = Chip.model_validate(_read(f"{board.chip}.chip.yaml"))
    return Board(**{**board.model_dump(), "chip": chip, "chips": board.chips})


def _read(name: str) -> object:
    return yaml.safe_load((files("aoi.boards") / name).read_text("utf-8"))
