"""Loihi boards: one YAML file per board and per chip. Every number has its source, and says whether the source states
it or we derived it."""

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
    """The available amount of a resource, on one core unless stated otherwise."""

    value: int
    stated: bool
    """True if the source states the number, False if we derived it from the source."""
    source: str
    earlier: int | None = None
    """The limit in earlier compilers."""


class Limits(_Frozen):
    """The resources of a core; ``cores``: of a chip."""

    cores: Limit
    neurons: Limit
    axons_in: Limit
    axon_map: Limit  # entries that route outgoing spikes
    synapse_words: Limit  # of 64 bits
    neuron_groups: Limit | None = None  # different sets of neuron parameters; None: unlimited


class Range(_Frozen):
    """An interval from ``low`` to ``high``."""

    low: float
    high: float

    def __add__(self, other: Range) -> Range:
        return Range(low=self.low + other.low, high=self.high + other.high)

    def times(self, low: float, high: float | None = None) -> Range:
        """This range times ``low``, or times the range ``low`` to ``high``. All numbers are nonnegative."""
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
    """Time of one event on its core, ns; ``barrier``: synchronisation of all cores at the end of a timestep."""

    synapse_dense: Range
    synapse_conv: Range
    access: Range
    update: Range
    spike: Range
    message: Range
    barrier: Range


class Events(_Frozen):
    """Cost of single events, from published figures."""

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
    """A published measurement of one network, and the engine's counts for it, both per inference."""

    network: str
    source: str
    stated: bool
    total_j: float
    dynamic_j: float
    step_s: float
    counts: AnchorCounts

    @property
    def seconds(self) -> float:
        """Duration of an inference."""
        return self.step_s * self.counts.steps

    @property
    def static_w(self) -> float:
        return (self.total_j - self.dynamic_j) / self.seconds


class Chip(_Frozen):
    """A chip: its limits, and what is published about its cost."""

    name: str
    format: Literal["loihi1", "loihi2"]
    limits: Limits
    events: Events | None = None
    anchor: Anchor | None = None


class BoardFile(_Frozen):
    """The YAML file of a board."""

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
    """Default Slurm partition on the INRC cloud; names change there."""

    @property
    def cores(self) -> int:
        return self.chips.value * self.chip.limits.cores.value


def board_names() -> list[str]:
    """Names of the known boards, sorted."""
    found = (each.name for each in files("aoi.boards").iterdir())
    return sorted(name[:-5] for name in found if name.endswith(".yaml") and not name.endswith(".chip.yaml"))


@lru_cache(maxsize=16)
def load_board(name: str) -> Board:
    """The board ``name``. Raises DataError if there is none."""
    names = board_names()
    if name not in names:
        raise DataError(f"board {name!r}: there is no such board; the boards are {', '.join(names)}")
    board = BoardFile.model_validate(_read(f"{name}.yaml"))
    chip = Chip.model_validate(_read(f"{board.chip}.chip.yaml"))
    return Board(**{**board.model_dump(), "chip": chip, "chips": board.chips})


def _read(name: str) -> object:
    return yaml.safe_load((files("aoi.boards") / name).read_text("utf-8"))
