"""Compares the Loihi 1 estimate of :mod:`aoi.boards.cost` with SANA-FE, a simulator of the chip's events (GPL-3,
University of Texas). SANA-FE is an extra, ``pip install 'aoi-toolchain[sanafe]'``, imported on use and only here.

SANA-FE executes the network itself, with its own neuron model. So it takes dense layers of CUBA neurons only, with
current decay 4096, voltage decay 0 and no bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from aoi.boards.board import load_board
from aoi.boards.fit import place
from aoi.errors import DataError
from aoi.netx.description import DECAY_UNITY, Cuba, Dense, NetworkDescription


@dataclass(frozen=True)
class Simulated:
    """SANA-FE's result for one recording."""

    operations: int
    spikes: int  # of all layers
    synapse_j: float
    soma_j: float
    network_j: float  # messages and hops
    seconds: float


def simulate(description: NetworkDescription, spikes: np.ndarray) -> Simulated:
    """Runs T + L steps of one recording, ``spikes`` bool (inputs, T). Raises DataError."""
    try:
        import sanafe
    except ImportError:
        raise DataError("SANA-FE is not installed; install it: pip install 'aoi-toolchain[sanafe]' (GPL-3)") from None
    architecture = sanafe.load_loihi()
    network = sanafe.Network()
    inputs, steps = spikes.shape
    before = network.create_neuron_group("input", inputs, soma_hw_name="loihi_inputs", **_HARDWARE)
    for index, row in enumerate(spikes):
        before[index].set_attributes(
            soma_hw_name=f"loihi_inputs[{index % 1024}]", model_attributes={"spikes": [bool(each) for each in row]}
        )
        before[index].map_to_core(_core(architecture, 127))
    core = 0
    for layer, placed in zip(description.layers, place(description, load_board("nahuku").chip), strict=True):
        neuron = layer.neuron
        if not isinstance(layer, Dense) or not isinstance(neuron, Cuba) or not _is_supported(layer, neuron):
            raise DataError(
                f"layer {layer.name}: SANA-FE executes only dense layers of CUBA neurons with current decay 4096, "
                "voltage decay 0 and no bias, delay or recurrence"
            )
        neurons = prod(layer.shape)
        group = network.create_neuron_group(
            layer.name,
            neurons,
            soma_hw_name="loihi_lif",
            model_attributes={"threshold": float(neuron.threshold), "leak_decay": 1.0, "reset_mode": "hard"},
            **_HARDWARE,
        )
        for index in range(neurons):
            group[index].map_to_core(_core(architecture, core + index // placed.neurons.most))
        for target, source in zip(*np.nonzero(layer.weight), strict=True):
            before[int(source)].connect_to_neuron(group[int(target)], {"weight": float(layer.weight[target, source])})
        core += placed.cores
        before = group
    chip = sanafe.SpikingChip(architecture)
    chip.load(network)
    result = chip.sim(steps + description.latency, timing_model="simple", processing_threads=1)
    energy = result["energy"]
    return Simulated(
        int(result["spikes"]),
        int(result["neurons_fired"]) - int(np.count_nonzero(spikes)),
        energy["synapse"],
        energy["soma"],
        energy["network"],
        result["sim_time"],
    )


_HARDWARE = {"default_synapse_hw_name": "loihi_dense_synapse", "default_dendrite_hw_name": "loihi_dendrites"}


def _core(architecture: object, index: int) -> object:
    return architecture.tiles[index // 4].cores[index % 4]  # type: ignore[attr-defined]


def _is_supported(layer: Dense, neuron: Cuba) -> bool:
    decays = np.all(np.asarray(neuron.current_decay) == DECAY_UNITY) and np.all(np.asarray(neuron.voltage_decay) == 0)
    plain = layer.bias is None and layer.delay is None and layer.weight_rec is None
    return bool(decays) and plain and isinstance(neuron.threshold, int)
