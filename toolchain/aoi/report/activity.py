"""The activity of each layer at each step: Spatial-Temporal Factor and spike rates, on the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np

from aoi.choices import Readout
from aoi.engine import Engine, LayerTrace, Run
from aoi.netx.description import STATE_SHIFT, Cuba, NetworkDescription

TRACED = 128  # the Spatial-Temporal Factor is a mean over so many recordings
_TRACE_VALUES = 1 << 24  # held in memory at a time
_FLOOR = 0.01  # relative to S of a layer whose neurons all fire, as in training


@dataclass(frozen=True, eq=False)
class Activity:
    """Means over recordings of one layer at each step, float64 (T,)."""

    rate: np.ndarray  # spikes per neuron
    stf: np.ndarray | None  # None for the output and for layers without spiking neurons


def hidden(description: NetworkDescription) -> dict[int, Cuba]:
    """Index → neuron of the layers with a Spatial-Temporal Factor: hidden layers of spiking neurons."""
    return {
        index: layer.neuron
        for index, layer in enumerate(description.layers[:-1])
        if isinstance(layer.neuron, Cuba) and layer.neuron.fires
    }


def activity(
    description: NetworkDescription,
    run: Run,
    samples: int,
    batch: Callable[[np.ndarray], np.ndarray],
    readout: Readout,
) -> list[Activity]:
    """One entry per layer: rates over all of ``run``, the factor over the first :data:`TRACED` samples.

    ``batch``: indices (n,) → spikes (n, \\*input_shape, T); ``samples``: number of recordings.
    """
    neurons, steps = hidden(description), run.scores.shape[-1]
    totals = {index: np.zeros(steps) for index in neurons}
    count = min(TRACED, samples) if neurons else 0
    room = max(1, _TRACE_VALUES // (steps * description.neurons))
    engine = Engine(description)
    for first in range(0, count, room):
        part = np.arange(first, min(first + room, count))
        traces = engine.run(batch(part), readout=readout, return_traces=True).traces
        for index, neuron in neurons.items():
            totals[index] += spatial_temporal_factor(traces[index], neuron).sum(axis=0)
    rates = run.spikes.mean(axis=0)
    return [
        Activity(rates[index] / prod(layer.shape), totals[index] / count if index in totals else None)
        for index, layer in enumerate(description.layers)
    ]


def spatial_temporal_factor(trace: LayerTrace, neuron: Cuba) -> np.ndarray:
    """STF of one layer at each step, float64 (N, T) in [0, 1]: ``S / (S + V + F)``.

    ``S``: threshold times number of spikes; ``V``: voltage that remains below the threshold, negative values counted as
    0; ``F``: 1 % of S when all neurons fire. Defined as in ``aoi_models.regularisers.str_factor``, on the integers that
    the chip computes; dimensionless.
    """
    threshold = np.asarray(neuron.threshold, np.float64) * (1 << STATE_SHIFT)
    if threshold.ndim:  # one per channel
        threshold = threshold.reshape(-1, *(1,) * (trace.v.ndim - 2))
    spatial = _total(threshold * trace.s)
    temporal = _total(np.where(trace.v <= threshold, np.maximum(trace.v, 0), 0))
    floor = _FLOOR * float(np.broadcast_to(threshold, trace.v.shape[1:]).sum()) / trace.v.shape[-1]
    return spatial / (spatial + temporal + floor)


def _total(values: np.ndarray) -> np.ndarray:
    """Sum over a layer's neurons, (N, \\*shape, T) → float64 (N, T)."""
    total: np.ndarray = values.reshape(len(values), prod(values.shape[1:-1]), -1).sum(axis=1, dtype=np.float64)
    return total
