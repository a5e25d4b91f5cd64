"""What the engine is asked with and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Batch = Callable[[np.ndarray], np.ndarray]
"""Sample indices, int64 (n,) → what the network is fed for them, (n, \\*input_shape, T)."""


class StoppingRule(Protocol):
    """What the engine asks of a rule (``aoi.cutoff``): a sample stops where the measure reaches the threshold."""

    @property
    def threshold(self) -> float: ...

    def begin(self, samples: int) -> Any:
        """What the rule remembers of so many samples before their first step."""

    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        """``scores`` int64 (samples, outputs) at ``step`` 1..T → float64 (samples,), and the new memory."""

    def select(self, memory: Any, keep: np.ndarray) -> Any:
        """The memory of the samples that go on; ``keep`` bool (samples,)."""


@dataclass(frozen=True, eq=False)
class LayerTrace:
    """What a layer did at each aligned step. Shape (N, \\*shape, T).

    Example:
        >>> hidden = engine.run(spikes, return_traces=True).traces[0]
        >>> hidden.name, hidden.v.shape, hidden.s.mean()  # the last: spikes a neuron and step
        ('0', (64, 512, 32), 0.043)
    """

    name: str
    u: np.ndarray  # int32, state units: current; sigma of sigma-delta neurons
    v: np.ndarray  # int32, state units: membrane voltage after the reset of the neurons that fired; residue
    s: np.ndarray  # uint8 spikes, or int32 messages


@dataclass(frozen=True, eq=False)
class Run:
    """Result of a run over N samples.

    Example:
        >>> run = engine.run(spikes)
        >>> run.scores.argmax(axis=1)[:, -1]  # the class of each sample at step T
        array([3, 8, 1])
    """

    scores: np.ndarray
    """int64 (N, outputs, T), accumulated readout. "spikes": number of spikes (sum of messages) of each output up to and
    including step t; of a sigma output its message at step t, which is a sum already. "voltage": membrane voltage at
    step t in state units. Output maps are flattened in the order C, H, W."""
    spikes: np.ndarray
    """int64 (N, layers, T): spikes (messages) that each layer sent in each step."""
    operations: np.ndarray
    """int64 (N, layers, T): synaptic operations in each step, i.e. spikes times the weights other than 0 that each
    reaches."""
    traces: tuple[LayerTrace, ...] = ()
    """Of all layers, first to last, if they were asked for."""


@dataclass(frozen=True, eq=False)
class StoppedRun:
    """Result of N samples each of which ran until its rule stopped it, and no further.

    Example:
        >>> found = engine.run_until(len(spikes), lambda indices: spikes[indices], rule)
        >>> found.step.mean(), found.operations.sum(axis=1).mean()  # steps and synaptic operations a decision
        (8.4, 51930.0)
    """

    step: np.ndarray  # int64 (N,): decision step 1..T
    scores: np.ndarray  # int64 (N, outputs): accumulated readout at the decision
    spikes: np.ndarray  # int64 (N, layers): until the decision
    operations: np.ndarray  # int64 (N, layers): synaptic operations until the decision

    @property
    def prediction(self) -> np.ndarray:
        """int64 (N,): class index; a tie goes to the smaller one."""
        return self.scores.argmax(axis=1)
