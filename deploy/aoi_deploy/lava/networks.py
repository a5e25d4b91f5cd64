"""Makes the Lava process of a network file: lava-dl's graph of processes, or the engine in one process."""

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
    """A network process, not yet connected. Shapes are (C, H, W) or (n,); Lava's are reversed."""

    process: SpikingNetwork
    description: NetworkDescription
    readout: Readout
    input_shape: tuple[int, ...]  # of the process: flat if the first layer is dense
    records: list[np.ndarray] = field(default_factory=list)
    """States and spikes of each layer, int32 (slots, steps, 3, *reversed shape); empty unless requested."""

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest allowed input; (0, 1) for spikes."""
        first = self.description.layers[0]
        return first.limits if isinstance(first, Input) else (0, 1)

    @property
    def sends_sums(self) -> bool:
        """Whether the output is already summed over time: a voltage, or the output of a sigma neuron."""
        return self.readout == "voltage" or isinstance(self.description.layers[-1].neuron, Sigma)


def fused_network(file: NetworkFile, readout: Readout) -> LavaNetwork:
    """The network as one process, which runs the engine. Raises NetXError if the readout does not suit the output."""
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
    """The network as lava-dl builds it from the file.

    Args:
        file: the network file.
        readout: which output to send.
        record_steps: number of steps whose states and spikes are recorded; None: no recording.
        reset_interval: steps after which the neurons clear themselves, each block one step after the block before it.

    Raises:
        NetXError: lava-dl cannot build the file, or the readout does not suit the output.
    """
    description = file.description
    if record_steps is None:  # a recording takes nothing from the output, so that any output will do
        _check_readout(file, readout)
    network = _build_stock(file, reset_interval)
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
    input_port = network.inp
    if isinstance(blocks[0], InputBlock):
        input_port = blocks[0].neuron.a_in  # the block's own port is not connected
        blocks[0].neuron.proc_params["takes_values"] = True
    process = SpikingNetwork(input_shape=network.inp.shape, output_shape=network.out.shape, stock=(network, input_port))
    return LavaNetwork(process, description, readout, tuple(reversed(network.inp.shape)), records)


def _check_readout(file: NetworkFile, readout: Readout) -> None:
    """Raises NetXError if the output layer does not offer this readout."""
    last = file.description.layers[-1]
    if readout != "voltage":
        if not last.neuron.fires:
            raise NetXError(f"{file.path}: the output layer never fires, so it sends no spikes; use readout='voltage'")
        return
    if last.neuron.graded:
        raise NetXError(f"{file.path}: the output layer sends messages and has no voltage; use readout='spikes'")
    if last.neuron.fires:
        raise NetXError(f"{file.path}: the output layer fires, which resets its voltage; use readout='spikes'")
    if getattr(last, "weight_rec", None) is not None:
        raise NetXError(
            f"{file.path}: the voltage of a recurrent output layer cannot be read; use a dense output layer"
        )


def _build_stock(file: NetworkFile, reset_interval: int | None) -> Network:
    """The process that lava-dl builds from the file; lava-dl's errors become NetXError."""
    description = file.description
    shape = description.input_shape
    if file.not_in_lava is not None:
        raise NetXError(
            f"{file.path}: {file.not_in_lava}; model 'fused' runs it, and 'aoi import' rewrites it for Lava"
        )
    try:
        network = Network(
            net_config=str(file.path),
            num_layers=_layers_before_average(file) if description.average is not None else None,
            skip_layers=file.skip_layers,
            input_shape=shape[::-1] if len(shape) == 3 else None,  # lava-dl cannot infer a convolution's input shape
            reset_interval=reset_interval,
            reset_offset=min(file.skip_layers, 1) if reset_interval else 0,  # a skipped block adds no step
        )
        network.net_config.f.close()
    except Exception as error:
        raise NetXError(f"{file.path}: lava-dl cannot build this network: {type(error).__name__}: {error}") from error
    return network


def _layers_before_average(file: NetworkFile) -> int:
    """Number of layers without the average layer at the end: Lava has none, so the monitor sums the groups."""
    config = NetDict(str(file.path))
    count = len(config["layer"])
    config.f.close()
    return count - 1
