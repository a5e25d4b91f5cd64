"""A network file as a Lava process: lava-dl's graph of processes, or the engine in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np

from aoi.engine import Engine
from aoi.errors import NetXError
from aoi.netx import Cuba, Sigma, read_network
from aoi.netx.description import BIAS_MAX, BIAS_MIN, VALUE_MAX, VALUE_MIN, NetworkDescription
from aoi_deploy.lava.api import AbstractBlock, Input, NetDict, Network
from aoi_deploy.lava.channel import shared_array
from aoi_deploy.lava.feed import SLOTS
from aoi_deploy.lava.processes.network import SpikingNetwork

Model = Literal["fused", "stock"]
Readout = Literal["spikes", "voltage"]

_BLOCKS = ("conv", "dense", "dense_rec")


@dataclass(frozen=True, eq=False)
class LavaNetwork:
    """A network ready to be connected. Shapes are ours, (C, H, W) or (n,); Lava's are reversed."""

    process: SpikingNetwork
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    latency: int  # L
    limits: tuple[int, int]  # smallest and largest number that it may be fed; (0, 1) for spikes
    sums: bool  # what it sends is a sum over time already: a voltage, or what a sigma neuron sends
    groups: int  # into which its outputs are summed, as many as there are outputs where no average layer stands
    layers: tuple[str, ...] = ()  # names in the file, if its processes are one a layer
    layer_shapes: tuple[tuple[int, ...], ...] = ()
    graded: tuple[bool, ...] = ()
    records: list[np.ndarray] = field(default_factory=list)  # of each layer, (slots, steps, 3, *shape reversed)


def fused_network(
    path: Path, readout: Readout, skip_layers: int, input_shape: tuple[int, ...] | None, input_block: bool
) -> LavaNetwork:
    """The file on the engine, in one process. Raises NetXError."""
    file = read_network(path, input_shape=input_shape, input_block=input_block)
    if skip_layers != file.skip_layers:
        raise NetXError(
            f"{path}: skip_layers={skip_layers}, but its spikes go to the block behind the first {file.skip_layers}; "
            "use model='stock' to leave out others"
        )
    description = file.description
    last = description.layers[-1]
    check_readout(path, readout, description)
    process = SpikingNetwork(
        input_shape=description.input_shape[::-1],
        output_shape=last.shape[::-1],
        engine=Engine(description, threads=1),
        readout=readout,
    )
    first = description.layers[0]
    return LavaNetwork(
        process=process,
        input_shape=description.input_shape,
        output_shape=last.shape,
        latency=description.latency,
        limits=getattr(first, "limits", (0, 1)),
        sums=readout == "voltage" or isinstance(last.neuron, Sigma),
        groups=description.outputs,
    )


def stock_network(
    path: Path,
    readout: Readout,
    skip_layers: int,
    input_shape: tuple[int, ...] | None,
    input_block: bool,
    record_steps: int | None = None,
    reset_interval: int | None = None,
) -> LavaNetwork:
    """The file as lava-dl builds it. Raises NetXError.

    ``record_steps``: keep states and spikes of so many steps. ``reset_interval``: its neurons clear themselves every so
    many steps, block after block a step later.
    """
    network, names, groups = _load(path, skip_layers, input_shape, reset_interval)
    blocks: list[AbstractBlock] = network.layers
    _check_blocks(path, blocks, readout, input_block)
    latency = sum(not isinstance(block, Input) for block in blocks)
    records: list[np.ndarray] = []
    for name, block in zip(names, blocks, strict=True):
        for part in block.procs:
            part.name = f"layer {name} {part.name}"
        if record_steps is not None:
            records.append(shared_array((SLOTS, record_steps + latency, 3, *block.out.shape), np.int32))
            block.neuron.proc_params["record"] = records[-1]
    if readout == "voltage":
        blocks[-1].neuron.proc_params["sends_voltage"] = True
    entry = network.inp
    if isinstance(blocks[0], Input):
        entry = blocks[0].neuron.a_in  # the block's own port leads nowhere
        blocks[0].neuron.proc_params["takes_values"] = True
    return LavaNetwork(
        process=SpikingNetwork(input_shape=network.inp.shape, output_shape=network.out.shape, stock=(network, entry)),
        input_shape=tuple(reversed(network.inp.shape)),
        output_shape=tuple(reversed(network.out.shape)),
        latency=latency,
        limits=_limits(blocks[0]),
        sums=readout == "voltage" or type(blocks[-1].neuron).__name__ == "Sigma",
        groups=groups or prod(network.out.shape),
        layers=tuple(names),
        layer_shapes=tuple(tuple(reversed(block.out.shape)) for block in blocks),
        graded=tuple(block.output_message_bits > 0 for block in blocks),
        records=records,
    )


def check_readout(path: Path, readout: Readout, description: NetworkDescription) -> None:
    """Raises NetXError where the output layer has no voltage that could be read."""
    last = description.layers[-1]
    if readout != "voltage":
        return
    if last.neuron.graded:
        raise NetXError(f"{path}: the output layer sends messages and has no voltage; use readout='spikes'")
    if last.neuron.fires:
        raise NetXError(f"{path}: the output layer fires, so its voltage is no readout; use readout='spikes'")
    if getattr(last, "weight_rec", None) is not None:
        raise NetXError(f"{path}: a recurrent output layer's voltage cannot be read; use a dense one")


def _check_blocks(path: Path, blocks: list[AbstractBlock], readout: Readout, input_block: bool) -> None:
    if all(isinstance(block, Input) for block in blocks):
        raise NetXError(f"{path}: no layer is left to run; lower skip_layers")
    if isinstance(blocks[0], Input) and not blocks[0].output_message_bits and not input_block:
        raise NetXError(
            f"{path}: its first block turns values into spikes and takes no spikes; use skip_layers=1, or "
            "input_block=True to feed values"
        )
    if readout == "voltage":
        if blocks[-1].output_message_bits:
            raise NetXError(f"{path}: the output layer sends messages and has no voltage; use readout='spikes'")
        if Cuba(np.asarray(blocks[-1].neuron.vth.init), 1, 0).fires:
            raise NetXError(f"{path}: the output layer fires, so its voltage is no readout; use readout='spikes'")
        if hasattr(blocks[-1], "synapse_rec"):
            raise NetXError(f"{path}: a recurrent output layer's voltage cannot be read; use a dense one")


def _limits(block: AbstractBlock) -> tuple[int, int]:
    """Smallest and largest number that a network beginning with this block may be fed."""
    if not isinstance(block, Input):
        return 0, 1
    return (VALUE_MIN, VALUE_MAX) if block.output_message_bits else (BIAS_MIN, BIAS_MAX)


def _load(
    path: Path, skip_layers: int, input_shape: tuple[int, ...] | None, reset_interval: int | None
) -> tuple[Network, list[str], int | None]:
    """The file as a Lava process, its blocks' names in the file, and the groups that an average layer at its end sums.

    lava-dl's own errors are told as what they mean: Lava cannot run this file.
    """
    if not path.is_file():
        raise NetXError(f"{path}: no such file")
    try:
        config = NetDict(str(path))
        layers = [config["layer"][n] for n in range(len(config["layer"]))]
        kinds = [layer["type"] for layer in layers]
        names = [
            str(n)
            for n, (kind, layer) in enumerate(zip(kinds, layers, strict=True))
            if n >= skip_layers and (kind in _BLOCKS or (kind == "input" and "neuron" in layer.f))
        ]
        groups = int(np.prod(layers[-1]["shape"])) if kinds[-1] == "average" else None
        config.f.close()
        network = Network(
            net_config=str(path),
            num_layers=len(kinds) - (groups is not None),  # Lava has no average layer; the monitor sums
            skip_layers=skip_layers,
            input_shape=tuple(reversed(input_shape)) if input_shape is not None else None,
            reset_interval=reset_interval,
            reset_offset=min(skip_layers, 1) if reset_interval else 0,  # a skipped block takes no step
        )
        network.net_config.f.close()
    except Exception as error:
        raise NetXError(f"{path}: lava-dl cannot build this network: {type(error).__name__}: {error}") from error
    return network, names, groups
