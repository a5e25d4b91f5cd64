"""The result of a benchmark, and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """A comparison of two times in one run; ``ratio`` is ``peer / ours``."""

    name: str
    ours: float
    peer: float
    unit: str
    more: dict[str, Any] = field(default_factory=dict)  # other measurements, for JSON

    @property
    def ratio(self) -> float:
        return self.peer / self.ours

    def json(self) -> dict[str, Any]:
        row = {"name": self.name, "ours": self.ours, "peer": self.peer, "ratio": self.ratio, "unit": self.unit}
        return self.more | row


@dataclass(frozen=True)
class Table:
    """A table to print; the first column holds labels, the others values."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """All results of a benchmark."""

    rows: tuple[Row, ...] = ()
    tables: tuple[Table, ...] = ()  # in addition to the table of the rows
    text: str = ""  # Markdown
    more: dict[str, Any] = field(default_factory=dict)


def best_of(repeats: int, work: Callable[[], Any], *, warm: bool = True, at_least_s: float = 0.0) -> float:
    """Wall seconds of the fastest of at least ``repeats`` calls, which take at least ``at_least_s`` seconds together.

    The fastest, because other load on the machine can only make a call slower. With ``warm``, a first call is not
    counted.
    """
    if warm:
        work()
    times: list[float] = []
    while len(times) < repeats or sum(times) < at_least_s:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
