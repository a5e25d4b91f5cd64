"""What a benchmark hands back, and how it takes time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Row:
    """One comparison in one run. ``ours`` and ``peer`` are times; the ratio says how many times faster we are."""

    name: str
    ours: float
    peer: float
    unit: str
    more: dict[str, Any] = field(default_factory=dict)  # whatever else was measured, as JSON holds it

    @property
    def ratio(self) -> float:
        return self.peer / self.ours

    def json(self) -> dict[str, Any]:
        row = {"name": self.name, "ours": self.ours, "peer": self.peer, "ratio": self.ratio, "unit": self.unit}
        return self.more | row


@dataclass(frozen=True)
class Table:
    """For people: the first column says what, the others how much."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Report:
    """All that a benchmark measured."""

    rows: tuple[Row, ...] = ()
    tables: tuple[Table, ...] = ()  # besides that of the rows
    text: str = ""  # Markdown
    more: dict[str, Any] = field(default_factory=dict)


def best_of(repeats: int, work: Callable[[], Any], *, warm: bool = True, at_least_s: float = 0.0) -> float:
    """Wall seconds of the fastest of ``repeats`` calls, after one that is not counted; more calls till ``at_least_s``.

    The fastest, since whatever else the machine does can only make a call slower.
    """
    if warm:
        work()
    times: list[float] = []
    while len(times) < repeats or sum(times) < at_least_s:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)
