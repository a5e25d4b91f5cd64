"""What every neuron of a network does in Lava, step by step: the reference that ``aoi verify`` compares with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aoi.engine import LayerTrace
from aoi_deploy.lava.session import LavaSession


def lava_trace(
    path: str | Path,
    spikes: np.ndarray,
    *,
    skip_layers: int = 0,
    input_shape: tuple[int, ...] | None = None,
    input_block: bool = False,
    timeout_s: float = 120.0,
) -> list[LayerTrace]:
    """Runs samples in Lava for all their steps and returns what each block did, first to last.

    The models are Lava's own bit-accurate ones; they write down u, v and spikes of each step, or sigma, residue and
    message (``s`` is int32 then). The state is cleared between samples and the steps that a signal needs to reach a
    block are taken off.

    Args:
        path: NetX file.
        spikes: uint8 or bool (N, C, H, W, T) or (N, n, T), of 0 and 1; whole numbers for a network that takes values.
        skip_layers: blocks of the file to leave out at the beginning.
        input_shape: (C, H, W), where the file does not say it.
        input_block: feed values to a CUBA input block, as in :class:`LavaSession`.
        timeout_s: longest time for one sample.

    Raises:
        DataError, DeployError, NetXError: as :class:`LavaSession`.
    """
    count, steps = spikes.shape[0], spikes.shape[-1]
    with LavaSession(
        path,
        steps=steps,
        skip_layers=skip_layers,
        input_shape=input_shape,
        input_block=input_block,
        timeout_s=timeout_s,
        record=True,
    ) as session:
        traces, network = [], session.network
        for name, shape, graded in zip(network.layers, network.layer_shapes, network.graded, strict=True):
            full = (count, *shape, steps)
            kinds = (np.int32, np.int32, np.int32 if graded else np.uint8)
            traces.append(LayerTrace(name, *(np.empty(full, kind) for kind in kinds)))
        for result in session.run(spikes):
            for trace, rows in zip(traces, session.recorded(), strict=True):
                trace.u[result.index] = rows[:, 0].T
                trace.v[result.index] = rows[:, 1].T
                trace.s[result.index] = rows[:, 2].T
    return traces
