"""States and spikes of every neuron at every step in Lava, which ``aoi verify`` compares with the engine's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aoi.engine import LayerTrace
from aoi.netx import NetworkFile
from aoi_deploy.lava.session import LavaSession


def lava_trace(
    network: NetworkFile,
    spikes: np.ndarray,
    *,
    timeout_s: float = 120.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[LayerTrace]:
    """Runs all steps of the samples in Lava and returns the trace of each layer, from the first to the last.

    Lava's own bit-accurate models run; u, v and spikes of each step are recorded, or sigma, residue and message, where
    ``s`` is int32. The state is cleared between samples. Each layer's latency is removed.

    Args:
        network: the network file.
        spikes: 0 or 1, uint8 or bool, (N, C, H, W, T) or (N, n, T); integers for a network that takes values.
        timeout_s: longest time without a step, in seconds.
        progress: called with (steps, all steps) of all samples.

    Raises:
        DataError, DeployError, NetXError: as :class:`LavaSession`.
    """
    count, steps = spikes.shape[0], spikes.shape[-1]
    with LavaSession(
        network, steps=steps, readout="spikes", model="stock", timeout_s=timeout_s, record=True
    ) as session:
        total = count * (steps + network.description.latency)
        if progress is not None:
            session.on_steps = lambda done: progress(min(done, total), total)
        traces = []
        for layer in network.description.layers:
            shape = (count, *layer.shape, steps)
            dtypes = (np.int32, np.int32, np.int32 if layer.neuron.graded else np.uint8)
            traces.append(LayerTrace(layer.name, *(np.empty(shape, dtype) for dtype in dtypes)))
        for result in session.run(spikes):
            for trace, rows in zip(traces, session.recorded(), strict=True):
                trace.u[result.index] = rows[:, 0].T
                trace.v[result.index] = rows[:, 1].T
                trace.s[result.index] = rows[:, 2].T
    return traces
