"""What an inference costs on a board, until the decision and at T: operations are counted, energy and time estimated.

Counted on the engine, bit for bit what the chip executes: synaptic operations, spikes, neuron updates, timesteps. The
chip is pipelined: when the output of step t is there (t + L steps after the start, :mod:`aoi.netx.description`),
a layer behind d synapses has done its first t + L - d steps, so that early layers are ahead of the decision.

Loihi 1 has published figures for single events; they make a range, because not every figure's circumstances are known
(which neurons change, how many cores a spike goes to). Loihi 2 has one public measurement of one network. If what a
network costs is a sum of its counts times constants that nobody published, then it lies between the least and the
largest ratio of its counts to that network's, times what that network cost: no constants are needed, and the range is
as wide as that leaves it. Input and output of the chip, and its embedded processors, are in neither.
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
    """What each recording makes a chip do until its decision.

    ``operations``, ``spikes``: int64 (recordings, layers, T + L), at each step of the chip, 0 behind the decision;
    ``steps``: int64 (recordings,), steps of the chip; ``neurons``: of each layer.
    """

    operations: np.ndarray
    spikes: np.ndarray
    steps: np.ndarray
    neurons: tuple[int, ...]

    @property
    def counts(self) -> dict[str, float]:
        """Means over the recordings of all that is counted; every neuron is updated at every step of the chip."""
        samples = len(self.steps)
        return {
            "operations": float(self.operations.sum() / samples),
            "spikes": float(self.spikes.sum() / samples),
            "updates": float(self.steps.mean() * sum(self.neurons)),
            "steps": float(self.steps.mean()),
        }

    @property
    def layers(self) -> dict[str, list[float]]:
        """Means over the recordings, one a layer."""
        return {name: getattr(self, name).sum(axis=2).mean(axis=0).tolist() for name in ("operations", "spikes")}


@dataclass(frozen=True)
class Estimate:
    """Of one inference, mean over the recordings."""

    dynamic_j: Range
    static_j: Range | None
    """None where nobody published the chip's static power."""
    latency_s: Range
    """From the first input to the decision, at the chip's own speed: without input and output."""
    basis: str


def workload(description: NetworkDescription, spikes: np.ndarray, operations: np.ndarray, step: np.ndarray) -> Workload:
    """``spikes``, ``operations``: int64 (recordings, layers, T), aligned, as :class:`aoi.engine.Run` holds them;
    ``step``: int64 (recordings,), decision step 1..T."""
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


def share(some: Workload, whole: Workload) -> Range:
    """Share of ``whole``'s energy and time that ``some`` takes, whatever an operation, a spike, an update and a step
    cost: between the least and the largest ratio of their counts."""
    ratios = [some.counts[name] / whole.counts[name] for name in COUNTED if whole.counts[name]]
    return Range(low=min(ratios), high=max(ratios))


def estimate(description: NetworkDescription, done: Workload, board: Board) -> Estimate:
    """Energy and time of ``done`` on ``board``, by what is public of its chip."""
    chip = board.chip
    if chip.events is not None:
        return _by_events(description, place(description, chip), done, chip.events)
    assert chip.anchor is not None
    return _by_anchor(done.counts, chip.anchor, board.chips.value)


def _by_anchor(counts: dict[str, float], anchor: Anchor, chips: int) -> Estimate:
    ratios = [counts[name] / getattr(anchor.counts, name) for name in COUNTED]
    between = Range(low=min(ratios), high=max(ratios))
    latency = between.times(anchor.seconds)
    static = latency.times(anchor.static_w, anchor.static_w * chips)  # one chip was on; here perhaps all
    return Estimate(between.times(anchor.dynamic_j), static, latency, anchor.source)


def _by_events(
    description: NetworkDescription, placements: Sequence[Placement], done: Workload, events: Events
) -> Estimate:
    return Estimate(
        _event_energy(description, placements, done, events).times(1e-12),
        None,
        _event_time(description, placements, done, events).times(1e-9),
        events.source,
    )


def _event_energy(
    description: NetworkDescription, placements: Sequence[Placement], done: Workload, events: Events
) -> Range:
    """pJ of an inference. A spike goes to one core of the next layer at least, and to all of them at most."""
    energy = events.energy_pj
    message = energy.message + energy.hop.times(events.hops.low, events.hops.high)
    total = Range(low=0.0, high=0.0)
    for index, (layer, cores) in enumerate(zip(description.layers, _next_cores(placements), strict=True)):
        operations, spikes = (float(each[:, index].sum(axis=1).mean()) for each in (done.operations, done.spikes))
        synapse = energy.synapse_conv if isinstance(layer, Conv) else energy.synapse_dense
        neurons = (energy.access + energy.update).times(float(done.steps.mean()) * done.neurons[index])
        total += (
            synapse.times(operations) + neurons + energy.spike.times(spikes) + message.times(spikes, spikes * cores)
        )
    return total


def _event_time(
    description: NetworkDescription, placements: Sequence[Placement], done: Workload, events: Events
) -> Range:
    """ns of an inference. Cores work side by side, the fullest one counts; its share of a layer's events lies between
    an even one and all of them. Then all cores agree that the step is over."""
    latency = events.latency_ns
    low, high = (np.zeros_like(done.operations[:, 0], np.float64) for _ in range(2))
    for index, (layer, cores) in enumerate(zip(description.layers, _next_cores(placements), strict=True)):
        operations, spikes = done.operations[:, index], done.spikes[:, index]
        synapse = latency.synapse_conv if isinstance(layer, Conv) else latency.synapse_dense
        spike = latency.spike + latency.message.times(1, cores)
        own = (latency.access + latency.update).times(min(placements[index].neurons.most, done.neurons[index]))
        low = np.maximum(low, own.low + (operations * synapse.low + spikes * spike.low) / placements[index].cores)
        high = np.maximum(high, own.high + operations * synapse.high + spikes * spike.high)
    running = np.arange(done.operations.shape[-1]) < done.steps[:, None]

    def whole(step: np.ndarray, barrier: float) -> float:
        return float((running * (step + barrier)).sum(axis=1).mean())

    return Range(low=whole(low, latency.barrier.low), high=whole(high, latency.barrier.high))


def _next_cores(placements: Sequence[Placement]) -> list[int]:
    """Cores of the layer behind each; what is read out goes to one place."""
    return [*(placed.cores for placed in placements[1:]), 1]
