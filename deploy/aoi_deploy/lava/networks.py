"""A network file as a Lava process: lava-dl's graph of processes, or the engine in one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from aoi.choices import Readout
from aoi.engine import Engine
from aoi.errors import NetXError
from aoi.netx import Input, NetworkFile, Sigma
from aoi.netx.description import NetworkDescription
from aoi_deploy.lava.api import AbstractBlock, NetDict, Network
from aoi_deploy.lava.api import Input as InputBlock
from aoi_deploy.lava.channel import shared_array
from aoi_deploy.lava.feed import SLOTS
from aoi_deploy.lava.processes.network import SpikingNetwork


@dataclass(frozen=True, eq=False)
class LavaNetwork:
    """A network ready to be connected. Shapes are ours, (C, H, W) or (n,); Lava's are reversed."""

    process: SpikingNetwork
    description: NetworkDescription
    readout: Readout
    input_shape: tuple[int, ...]  # as the process takes it: flat where the first layer is dense
    records: list[np.ndarray] = field(default_factory=list)
    """States and spikes of each layer, (slots, steps, 3, *shape reversed); empty where nobody asked for them."""

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest number that it may be fed; (0, 1) for spikes."""
        first = self.description.layers[0]
        return first.limits if isinstance(first, Input) else (0, 1)

    @property
    def sends_sums(self) -> bool:
        """What it sends is a sum over time already: a voltage, or what a sigma neuron sends."""
        return self.readout == "voltage" or isinstance(self.description.layers[-1].neuron, Sigma)


def fused_network(file: NetworkFile, readout: Readout) -> LavaNetwork:
    """The network on the engine, in one process. Raises NetXError."""
    description = file.description
    _check_readout(file, readout)
    process = SpikingNetwork(
        input_shape=description.input_shape[::-1],
        output_shape=description.layers[-1].shape[::-1],
        engine=Engine(description, threads=1),
        readout=readout,
    )
    return LavaNetwork(process, description, readout, description.input_shape)


def stock_network(
    file: NetworkFile, readout: Readout, *, record_steps: int | None = None, reset_interval: int | None = None
) -> LavaNetwork:
    """The network as lava-dl builds it from the file. Raises NetXError where lava-dl cannot.

    ``record_steps``: keep states and spikes of so many steps. ``reset_interval``: its neurons clear themselves every so
    many steps, block after block a step later.
    """
    description = file.description
    _check_readout(file, readout)
    network = _load(file, reset_interval)
    blocks: list[AbstractBlock] = network.layers
    records: list[np.ndarray] = []
    for layer, block in zip(description.layers, blocks, strict=True):
        for part in block.procs:
            part.name = f"layer {layer.name} {part.name}"
        if record_steps is not None:
            rows = record_steps + description.latency
            records.append(shared_array((SLOTS, rows, 3, *block.out.shape), np.int32))
            block.neuron.proc_params["record"] = records[-1]
    if readout == "voltage":
        blocks[-1].neuron.proc_params["sends_voltage"] = True
    entry = network.inp
    if isinstance(blocks[0], InputBlock):
        entry = blocks[0].neuron.a_in  # the block's own port leads nowhere
        blocks[0].neuron.proc_params["takes_values"] = True
    process = SpikingNetwork(input_shape=network.inp.shape, output_shape=network.out.shape, stock=(network, entry))
    return LavaNetwork(process, description, readout, tuple(reversed(network.inp.shape)), records)


def _check_readout(file: NetworkFile, readout: Readout) -> None:
    """Raises NetXError where the output layer cannot be read so."""
    last = file.description.layers[-1]
    if readout != "voltage":
        if not last.neuron.fires:
            raise NetXError(f"{file.path}: the output layer never fires, so it sends no spikes; use readout='voltage'")
        return
    if last.neuron.graded:
        raise NetXError(f"{file.path}: the output layer sends messages and has no voltage; use readout='spikes'")
    if last.neuron.fires:
        raise NetXError(f"{file.path}: the output layer fires, so its voltage is no readout; use readout='spikes'")
    if getattr(last, "weight_rec", None) is not None:
        raise NetXError(f"{file.path}: a recurrent output layer's voltage cannot be read; use a dense one")


def _load(file: NetworkFile, reset_interval: int | None) -> Network:
    """The file as a Lava process.

    Raises NetXError for lava-dl's own errors: Lava cannot run this file.
    """
    description = file.description
    shape = description.input_shape
    try:
        network = Network(
            net_config=str(file.path),
            num_layers=_layers_before_average(file) if description.average is not None else None,
            skip_layers=file.skip_layers,
            input_shape=shape[::-1] if len(shape) == 3 else None,  # lava-dl cannot infer maps for a first convolution
            reset_interval=reset_interval,
            reset_offset=min(file.skip_layers, 1) if reset_interval else 0,  # a skipped block takes no step
        )
        network.net_config.f.close()
    except Exception as error:
        raise NetXError(f"{file.path}: lava-dl cannot build this network: {type(error).__name__}: {error}") from error
    return network


def _layers_before_average(file: NetworkFile) -> int:
    """Layers in the file without the average layer at its end, which Lava has not: the monitor sums the groups."""
    config = NetDict(str(file.path))
    count = len(config["layer"])
    config.f.close()
    return count - 1
