"""The cost of an inference on a board, until the decision and at T: counted operations, estimated energy and time.

The engine counts, bit-exactly, what the chip executes: synaptic operations, spikes, neuron updates, timesteps. The chip
is pipelined: when the output of step t is available (t + L steps after the start, :mod:`aoi.netx.description`), a layer
behind d synapses has executed its first t + L - d steps, so that early layers are ahead of the decision.

For Loihi 1, the cost of single events is published. The estimate is a range, because some circumstances are unknown
(which neurons change, how many cores a spike goes to). For Loihi 2, there is one public measurement of one network. If
the cost is a sum of counts times unpublished constants, it lies between the smallest and the largest ratio of a
network's counts to those of the measured network, times the measured cost. Both leave out the chip's input and output
and its embedded processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from aoi.boards.board import Anchor, Board, Events, Range
from aoi.boards.fit import Placement, place
from aoi.netx.description import Conv, Input, NetworkDescription

COUNTED = ("operations", "spikes", "updates", "steps")


@dataclass(frozen=True, eq=False)
class Workload:
    """What a chip executes for each recording until its decision.

    ``operations``, ``spikes``: int64 (recordings, layers, T + L), at each step of the chip, 0 after the decision;
    ``steps``: int64 (recordings,), steps of the chip; ``neurons``: number of neurons of each layer.
    """

    operations: np.ndarray
    spikes: np.ndarray
    steps: np.ndarray
    neurons: tuple[int, ...]

    @property
    def counts(self) -> dict[str, float]:
        """Mean counts over the recordings. Every neuron is updated at every step of the chip."""
        samples = len(self.steps)
        return {
            "operations": float(self.operations.sum() / samples),
            "spikes": float(self.spikes.sum() / samples),
            "updates": float(self.steps.mean() * sum(self.neurons)),
            "steps": float(self.steps.mean()),
        }

    @property
    def layers(self) -> dict[str, list[float]]:
        """Mean operations and spikes over the recordings, one number per layer."""
        return {name: getattr(self, name).sum(axis=2).mean(axis=0).tolist() for name in ("operations", "spikes")}


@dataclass(frozen=True)
class Estimate:
    """Cost of one inference, mean over the recordings."""

    dynamic_j: Range
    static_j: Range | None
    """None if the static power of the chip is not published."""
    latency_s: Range
    """From the first input to the decision, without the chip's input and output."""
    basis: str
    """The source of the figures."""


def workload(description: NetworkDescription, spikes: np.ndarray, operations: np.ndarray, step: np.ndarray) -> Workload:
    """The workload of a chip until each recording's decision.

    ``spikes``, ``operations``: aligned counts as in :class:`aoi.engine.Run`, int64 (recordings, layers, T); ``step``:
    decision steps 1..T, int64 (recordings,).
    """
    latency, total = description.latency, spikes.shape[-1] + description.latency
    chip_steps = np.asarray(step) + latency
    until = np.arange(total) < chip_steps[:, None]

    def on_chip(events: np.ndarray) -> np.ndarray:
        shifted = np.zeros((*events.shape[:2], total), np.int64)
        depth = 0
        for index, layer in enumerate(description.layers):
            depth += not isinstance(layer, Input)
            shifted[:, index, depth : depth + events.shape[-1]] = events[:, index]
        return shifted * until[:, None]

    neurons = tuple(prod(layer.shape) for layer in description.layers)
    return Workload(on_chip(operations), on_chip(spikes), chip_steps, neurons)


def share(part: Workload, whole: Workload) -> Range:
    """Energy and time of ``part`` as a share of ``whole``'s: between the smallest and the largest ratio of their
    counts, whatever an operation, a spike, an update and a step cost."""
    ratios = [part.counts[name] / whole.counts[name] for name in COUNTED if whole.counts[name]]
    return Range(low=min(ratios), high=max(ratios))


def estimate(description: NetworkDescription, executed: Workload, board: Board) -> Estimate:
    """Estimated energy and time of ``executed`` on ``board``, from public figures of its chip."""
    chip = board.chip
    if chip.events is not None:
        return _by_events(description, place(description, chip), executed, chip.events)
    assert chip.anchor is not None
    return _by_anchor(executed.counts, chip.anchor, board.chips.value)


def _by_anchor(counts: dict[str, float], anchor: Anchor, chips: int) -> Estimate:
    ratios = [counts[name] / getattr(anchor.counts, name) for name in COUNTED]
    between = Range(low=min(ratios), high=max(ratios))
    latency = between.times(anchor.seconds)
    static = latency.times(anchor.static_w, anchor.static_w * chips)  # one chip was powered; on this board perhaps all
    return Estimate(between.times(anchor.dynamic_j), static, latency, anchor.source)


def _by_events(
    description: NetworkDescription, placements: Sequence[Placement], executed: Workload, events: Events
) -> Estimate:
    return Estimate(
        _event_energy(description, placements, executed, events).times(1e-12),
        None,
        _event_time(description, placements, executed, events).times(1e-9),
        events.source,
    )


def _event_energy(
    description: NetworkDescription, placements: Sequence[Placement], executed: Workload, events: Events
) -> Range:
    """Energy of an inference, pJ. A spike goes to at least one core of the next layer and at most to all of them."""
    energy = events.energy_pj
    message = energy.message + energy.hop.times(events.hops.low, events.hops.high)
    total = Range(low=0.0, high=0.0)
    for index, (layer, cores) in enumerate(zip(description.layers, _next_cores(placements), strict=True)):
        operations, spikes = (
            float(each[:, index].sum(axis=1).mean()) for each in (executed.operations, executed.spikes)
        )
        synapse = energy.synapse_conv if isinstance(layer, Conv) else energy.synapse_dense
        neurons = (energy.access + energy.update).times(float(executed.steps.mean()) * executed.neurons[index])
        total += (
            synapse.times(operations) + neurons + energy.spike.times(spikes) + message.times(spikes, spikes * cores)
        )
    return total


def _event_time(
    description: NetworkDescription, placements: Sequence[Placement], executed: Workload, events: Events
) -> Range:
    """Duration of an inference, ns. Cores run in parallel and the busiest one counts: its share of a layer's events
    lies between an equal share and all of them. A barrier ends each step."""
    latency = events.latency_ns
    low, high = (np.zeros_like(executed.operations[:, 0], np.float64) for _ in range(2))
    for index, (layer, cores) in enumerate(zip(description.layers, _next_cores(placements), strict=True)):
        operations, spikes = executed.operations[:, index], executed.spikes[:, index]
        synapse = latency.synapse_conv if isinstance(layer, Conv) else latency.synapse_dense
        spike = latency.spike + latency.message.times(1, cores)
        own = (latency.access + latency.update).times(min(placements[index].neurons.most, executed.neurons[index]))
        low = np.maximum(low, own.low + (operations * synapse.low + spikes * spike.low) / placements[index].cores)
        high = np.maximum(high, own.high + operations * synapse.high + spikes * spike.high)
    running = np.arange(executed.operations.shape[-1]) < executed.steps[:, None]

    def whole(step: np.ndarray, barrier: float) -> float:
        return float((running * (step + barrier)).sum(axis=1).mean())

    return Range(low=whole(low, latency.barrier.low), high=whole(high, latency.barrier.high))


def _next_cores(placements: Sequence[Placement]) -> list[int]:
    """Number of cores of each layer's successor; the readout counts as one core."""
    return [*(placed.cores for placed in placements[1:]), 1]
