"""What every neuron of a network does in Lava, step by step: the reference that ``aoi verify`` compares with."""

from __future__ import annotations

import numpy as np

from aoi.engine import LayerTrace
from aoi.netx import NetworkFile
from aoi_deploy.lava.session import LavaSession


def lava_trace(network: NetworkFile, spikes: np.ndarray, *, timeout_s: float = 120.0) -> list[LayerTrace]:
    """Runs samples in Lava for all their steps and returns what each layer did, first to last.

    The models are Lava's own bit-accurate ones; they write down u, v and spikes of each step, or sigma, residue and
    message (``s`` is int32 then). The state is cleared between samples and the steps that a signal needs to reach a
    layer are taken off.

    Args:
        network: a network file that was read.
        spikes: uint8 or bool (N, C, H, W, T) or (N, n, T), of 0 and 1; whole numbers for a network that takes values.
        timeout_s: longest time for one sample.

    Raises:
        DataError, DeployError, NetXError: as :class:`LavaSession`.
    """
    count, steps = spikes.shape[0], spikes.shape[-1]
    with LavaSession(network, steps=steps, model="stock", timeout_s=timeout_s, record=True) as session:
        traces = []
        for layer in network.description.layers:
            full = (count, *layer.shape, steps)
            kinds = (np.int32, np.int32, np.int32 if layer.neuron.graded else np.uint8)
            traces.append(LayerTrace(layer.name, *(np.empty(full, kind) for kind in kinds)))
        for result in session.run(spikes):
            for trace, rows in zip(traces, session.recorded(), strict=True):
                trace.u[result.index] = rows[:, 0].T
                trace.v[result.index] = rows[:, 1].T
                trace.s[result.index] = rows[:, 2].T
    return traces
