"""Draws a small network in another simulator, runs it and exports it as NIR; executed by the Python that has it.

    python exporters.py SIMULATOR OUT.nir OUT.npz

Writes the NIR file, and "spikes" (N, 12, T) with "outputs" (N, 5, T) into the other.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import nir
import numpy as np
import torch

SHAPE, HIDDEN, OUTPUTS, STEPS, SAMPLES = 12, 24, 5, 60, 20


def linear(inputs: int, outputs: int, scale: float = 1.5) -> torch.nn.Linear:
    layer = torch.nn.Linear(inputs, outputs, bias=False)
    torch.nn.init.normal_(layer.weight, 0.05, scale / inputs**0.5)
    return layer


def snntorch(spikes: torch.Tensor) -> tuple[Any, torch.Tensor]:
    import snntorch as snn
    from snntorch.export_nir import export_to_nir

    def options(size: int) -> dict[str, Any]:
        threshold = torch.ones(size)
        return {"init_hidden": True, "reset_mechanism": "zero", "reset_delay": False, "threshold": threshold}

    network = torch.nn.Sequential(
        linear(SHAPE, HIDDEN),
        snn.Leaky(beta=torch.full((HIDDEN,), 0.9), **options(HIDDEN)),
        linear(HIDDEN, OUTPUTS),
        snn.Synaptic(
            alpha=torch.full((OUTPUTS,), 0.6), beta=torch.full((OUTPUTS,), 0.8), output=True, **options(OUTPUTS)
        ),
    )
    outputs = []
    for sample in spikes:
        for module in network.modules():
            if hasattr(module, "reset_mem"):
                module.reset_mem()
        outputs.append(torch.stack([network(frame[None])[0][0] for frame in sample]))
    for module in network.modules():
        if hasattr(module, "reset_mem"):
            module.reset_mem()
    return export_to_nir(network, spikes[0, 0]), torch.stack(outputs)


def sinabs(spikes: torch.Tensor) -> tuple[Any, torch.Tensor]:
    import sinabs.activation as sa
    import sinabs.layers as sl
    from sinabs.nir import to_nir

    def neurons() -> Any:
        return sl.IAFSqueeze(batch_size=1, spike_fn=sa.SingleSpike, reset_fn=sa.MembraneReset())

    network = torch.nn.Sequential(linear(SHAPE, HIDDEN, 0.5), neurons(), linear(HIDDEN, OUTPUTS, 0.5), neurons())
    outputs = []
    for sample in spikes:
        for module in network.modules():
            if hasattr(module, "reset_states"):
                module.reset_states()
        outputs.append(network(sample))
    return to_nir(network, spikes[0]), torch.stack(outputs)


def norse(spikes: torch.Tensor) -> tuple[Any, torch.Tensor]:
    import norse.torch as norse_torch

    def neurons(size: int) -> Any:
        ones = torch.ones(size)
        return norse_torch.LIFBoxCell(
            norse_torch.LIFBoxParameters(tau_mem_inv=100.0 * ones, v_th=0.1 * ones, v_leak=0.0 * ones), dt=1e-3
        )

    network = norse_torch.SequentialState(
        linear(SHAPE, HIDDEN), neurons(HIDDEN), linear(HIDDEN, OUTPUTS), neurons(OUTPUTS)
    )
    outputs = []
    for sample in spikes:
        state, sent = None, []
        for frame in sample:
            out, state = network(frame[None], state)
            sent.append(out[0])
        outputs.append(torch.stack(sent))
    return norse_torch.to_nir(network, spikes[:1, 0]), torch.stack(outputs)


def rockpool(spikes: torch.Tensor) -> tuple[Any, torch.Tensor]:
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch
    from rockpool.nn.modules.torch.nir import to_nir

    def weights(inputs: int, outputs: int) -> Any:
        layer = LinearTorch((inputs, outputs), has_bias=False)
        torch.nn.init.normal_(layer.weight, 0.02, 0.3 / inputs**0.5)
        return layer

    network = Sequential(
        weights(SHAPE, HIDDEN),
        LIFTorch(HIDDEN, tau_mem=10e-3, tau_syn=5e-3, dt=1e-3, max_spikes_per_dt=1),
        weights(HIDDEN, OUTPUTS),
        LIFTorch(OUTPUTS, tau_mem=10e-3, tau_syn=5e-3, dt=1e-3, max_spikes_per_dt=1),
    )
    outputs = []
    for sample in spikes:
        network.reset_state()
        outputs.append(network(sample[None])[0][0])
    return to_nir(network, spikes[:1]), torch.stack(outputs)


def spikingjelly(spikes: torch.Tensor) -> tuple[Any, torch.Tensor]:
    from spikingjelly.activation_based import functional, layer, neuron
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    def weights(inputs: int, outputs: int, scale: float) -> Any:
        made = layer.Linear(inputs, outputs, bias=False)
        torch.nn.init.normal_(made.weight, 0.05, scale / inputs**0.5)
        return made

    network = torch.nn.Sequential(
        weights(SHAPE, HIDDEN, 3.0),
        neuron.LIFNode(tau=5.0),
        weights(HIDDEN, HIDDEN, 0.7),
        neuron.IFNode(),
        weights(HIDDEN, OUTPUTS, 0.7),
        neuron.CUBALIFNode(c_decay=0.5, v_decay=0.8),
    )
    outputs = []
    for sample in spikes:
        functional.reset_net(network)
        outputs.append(torch.stack([network(frame[None])[0] for frame in sample]))
    functional.reset_net(network)
    return export_to_nir(network, spikes[:1, 0], dt=1e-4), torch.stack(outputs)


def main() -> None:
    simulator, file, samples = sys.argv[1:]
    torch.manual_seed(0)
    spikes = (torch.rand(SAMPLES, STEPS, SHAPE) < 0.25).float()
    with contextlib.redirect_stdout(sys.stderr), torch.no_grad():
        graph, outputs = globals()[simulator](spikes)
        nir.write(file, graph)
    np.savez(
        samples, spikes=np.moveaxis(spikes.numpy().astype(np.uint8), 1, -1), outputs=np.moveaxis(outputs.numpy(), 1, -1)
    )


if __name__ == "__main__":
    main()
