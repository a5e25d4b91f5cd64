"""Runs a NIR file in another simulator; executed by the Python of an environment that has it.

    python readers.py SIMULATOR FILE.nir SPIKES.npz DT

Prints one JSON object: "scores", output spikes of each recording added up over time, (N, outputs).
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any

import nir
import numpy as np
import torch


def snntorch(graph: nir.NIRGraph, spikes: torch.Tensor, dt: float) -> torch.Tensor:
    from snntorch.import_nir import import_from_nir

    return stepwise(lambda: import_from_nir(graph), spikes)


def sinabs(graph: nir.NIRGraph, spikes: torch.Tensor, dt: float) -> torch.Tensor:
    from sinabs.nir import from_nir

    network = from_nir(graph, batch_size=1)
    totals = []
    for sample in spikes:  # (T, *shape): time is in the batch axis
        for module in network.modules():
            if hasattr(module, "reset_states"):
                module.reset_states()
        out = network(sample)
        totals.append((out[0] if isinstance(out, tuple) else out).reshape(len(sample), -1).sum(0))
    return torch.stack(totals)


def norse(graph: nir.NIRGraph, spikes: torch.Tensor, dt: float) -> torch.Tensor:
    import norse.torch

    return stepwise(lambda: norse.torch.from_nir(graph, dt=dt), spikes)


def rockpool(graph: nir.NIRGraph, spikes: torch.Tensor, dt: float) -> torch.Tensor:
    from rockpool.nn.modules.torch.nir import from_nir

    network = from_nir(graph)
    totals = []
    for sample in spikes:
        out = network(sample[None])
        totals.append((out[0] if isinstance(out, tuple) else out).reshape(len(sample), -1).sum(0))
    return torch.stack(totals)


def spikingjelly(graph: nir.NIRGraph, spikes: torch.Tensor, dt: float) -> torch.Tensor:
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    return stepwise(lambda: import_from_nir(graph, dt=dt), spikes)


def stepwise(make: Any, spikes: torch.Tensor) -> torch.Tensor:
    """Runs all samples step by step, one at a time: readers differ in what they take as the batch axis."""
    totals = []
    for sample in spikes:  # (T, *shape)
        network, state, total = make(), None, 0.0
        for frame in sample:
            out = network(frame[None], state) if state is not None else network(frame[None])
            out, state = out if isinstance(out, tuple) else (out, None)
            total = total + out.reshape(-1)
        totals.append(total)
    return torch.stack(totals)


def main() -> None:
    simulator, file, samples, dt = sys.argv[1:]
    spikes = torch.tensor(np.moveaxis(np.load(samples)["spikes"], -1, 1)).float()  # (N, T, *shape)
    with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
        scores = globals()[simulator](nir.read(file), spikes, float(dt))
    print(json.dumps({"scores": scores.tolist()}))


if __name__ == "__main__":
    main()
