"""What Lava's layers do before the first input reaches them.

A layer behind k synapses runs k steps on nothing but biases: that is part of the state that every sample starts from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aoi.engine import kernels
from aoi.engine.plan import NO_BYTES, NetworkPlan


@dataclass(frozen=True, eq=False)
class PipelineFill:
    """The end of the fill, of one sample."""

    state: list[kernels.LayerState]  # before the first aligned step
    spikes: np.ndarray  # uint8 or int32 (L, neurons): what the output layer sends in Lava's first L steps
    voltages: np.ndarray  # int32 (L, neurons): its membrane voltage in them


def fill_pipeline(network: NetworkPlan) -> PipelineFill:
    """Runs each layer as many steps as synapses stand before it."""
    state = [plan.cleared_state(1) for plan in network.layers]
    nothing = np.empty(0, np.int32)
    events = kernels.Events(nothing, nothing, np.zeros(1, np.int64), False, NO_BYTES)
    for n, (plan, latency) in enumerate(zip(network.layers, network.latencies, strict=True)):
        if plan.synapses is None:
            events = events._replace(messages=np.zeros(int(plan.graded), np.int32))
            continue
        # Nothing in the first step, then what the layer before sent while it was filled.
        fed = events._replace(row_starts=np.concatenate([np.zeros(1, np.int64), events.row_starts]))
        steps = np.arange(latency)
        rows = kernels.Rows(np.zeros(latency, np.int64), steps, steps, 0, True)
        trace = plan.trace_buffer(latency, u=False, v=True, s=True)
        events = plan.event_buffer(latency)
        kernels.run_layer(
            fed, rows, plan.synapses, plan.thread_parameters(), state[n], plan.scratch_buffers(), events,
            np.zeros(latency, np.int64), trace,
        )  # fmt: skip
    return PipelineFill(state, network.flat_maps(trace.s[None])[0], network.flat_maps(trace.v[None])[0])
