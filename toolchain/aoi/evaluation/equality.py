"""Whether two executions of a network are equal at every layer, step and neuron."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Trace = Mapping[str, np.ndarray]
"""What a layer did: "s", "u", "v" or other quantities, (samples, ..., T) each, aligned in time."""


@dataclass(frozen=True)
class Mismatch:
    """The first difference of two executions, by step, then layer, then sample."""

    layer: int
    quantity: str
    sample: int
    step: int  # from 1
    neuron: tuple[int, ...]
    reference: int
    found: int

    def __str__(self) -> str:
        names = {"s": "spike", "u": "current", "v": "voltage"}
        return (
            f"layer {self.layer}, step {self.step}, neuron {self.neuron}, sample {self.sample}: "
            f"{names.get(self.quantity, self.quantity)} {self.found} instead of {self.reference}"
        )


@dataclass(frozen=True)
class Comparison:
    """The outcome of :func:`compare`."""

    compared: int  # number of values
    mismatches: int  # number of values that differ
    first: Mismatch | None


def compare(reference: Sequence[Trace], found: Sequence[Trace]) -> Comparison:
    """Compares the quantities that both executions recorded, one trace per layer.

    Raises ValueError if the numbers of layers or the shapes differ.
    """
    if len(reference) != len(found):
        raise ValueError(f"{len(found)} layers recorded instead of {len(reference)}")
    compared = mismatches = 0
    first: Mismatch | None = None
    for layer, (a, b) in enumerate(zip(reference, found, strict=True)):
        for quantity in sorted(a.keys() & b.keys()):
            x, y = np.asarray(a[quantity]), np.asarray(b[quantity])
            if x.shape != y.shape:
                raise ValueError(f"layer {layer}: {quantity} has shape {y.shape} instead of {x.shape}")
            x, y = x.astype(np.int64), y.astype(np.int64)
            differs = x != y
            compared += differs.size
            count = int(differs.sum())
            mismatches += count
            if count:
                places = np.argwhere(differs)
                place = tuple(int(i) for i in places[np.lexsort((places[:, 0], places[:, -1]))[0]])
                step = place[-1] + 1
                if first is None or step < first.step:
                    first = Mismatch(layer, quantity, place[0], step, place[1:-1], int(x[place]), int(y[place]))
    return Comparison(compared, mismatches, first)
