"""Writes a NetworkDescription as a NetX HDF5 file, which stock ``hdf5.Network`` loads, plus the group ``/aoi``.

Additional layers in the file: ``input``, without neuron, for the shape of input spikes (C, H, W); ``flatten`` before a
dense layer that takes maps; ``average`` last. Fields and types are those of SLAYER's own ``export_hdf5``. In Lava, the
input of a first convolution has shape (W, H, C), that of a first dense layer (C * H * W,).
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aoi.errors import NetXError
from aoi.files import write_atomically
from aoi.netx.description import Conv, Cuba, Input, Layer, NetworkDescription, Neuron, Sigma
from aoi.netx.metadata import Metadata
from aoi.netx.read import check_metadata
from aoi.netx.rules import violations


def write_network(
    path: str | PathLike[str],
    description: NetworkDescription,
    metadata: Metadata | None = None,
    trained_on: np.ndarray | None = None,
    *,
    waive: Collection[str] = (),
) -> None:
    """Writes a network file atomically; replaces an existing one.

    Args:
        path: the file.
        description: the network.
        metadata: content of the group ``/aoi``; None: no such group.
        trained_on: fingerprints of the recordings used for training and validation, uint64 (n,).
        waive: names of rules (``aoi.netx.rules``) that need not hold, such as ``no_bias``.

    Raises:
        NetXError: Lava would not execute the network like SLAYER (the message names rule, layer and value), the
            metadata does not match the network, or the file cannot be written.

    Example:
        >>> layer = Dense("0", np.full((10, 784), 2, np.int32), Cuba(threshold=64, current_decay=1024, voltage_decay=0))
        >>> write_network("network.net", NetworkDescription((784,), (layer,)), Metadata(readout="spikes"))
    """
    path = Path(path)
    found = violations(description, waive=waive)
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise NetXError(f"{path}: not written: {found[0]}{more}")
    if metadata is not None:
        check_metadata(description, metadata, str(path))
    with _replacing(path) as content, h5py.File(content, "w") as file:
        _write_blocks(file, description)
        if metadata is not None:
            _write_metadata(file, metadata)
            if trained_on is not None:
                file["aoi/trained_on"] = np.asarray(trained_on, np.uint64).ravel()


def update_metadata(path: str | PathLike[str], metadata: Metadata) -> None:
    """Replaces the metadata of a file atomically and leaves the rest unchanged. Raises NetXError.

    Example:
        >>> network = read_network("network.net")
        >>> update_metadata(network.path, network.metadata.model_copy(update={"classes": ("cat", "dog")}))
    """
    path = Path(path)
    with _replacing(path) as content:
        content.write(path.read_bytes())
        with h5py.File(content, "r+") as file:
            _write_metadata(file, metadata)


@contextmanager
def _replacing(path: Path) -> Iterator[io.BytesIO]:
    """The content of the new file, in memory: on a full disk HDF5 prints errors of its own. h5py's become NetXError."""
    try:
        content = io.BytesIO()
        yield content
        write_atomically(path, content.getvalue())
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise NetXError(f"{path}: cannot be written ({(str(error).splitlines() or [''])[0]})") from error


def _write_blocks(file: Any, description: NetworkDescription) -> None:
    for index, (kind, content) in enumerate(_blocks(description)):
        group = file.create_group(f"layer/{index}")
        group.create_dataset("type", (1,), "S10", [kind.encode("ascii")])
        if isinstance(content, tuple):
            group["shape"] = np.array(content)
        elif content is not None:
            _write_layer(group, content)


def _blocks(description: NetworkDescription) -> Iterator[tuple[str, Layer | tuple[int, ...] | None]]:
    """Type and layer of each layer in the file. A layer without neurons has only a shape, or None for ``flatten``."""
    shape = description.input_shape
    if len(shape) > 1 and not description.takes_values:
        yield "input", shape
    for layer in description.layers:
        if isinstance(layer, (Input, Conv)):
            yield layer.kind, layer
        else:
            if len(shape) > 1:
                yield "flatten", None
            yield "dense" if layer.weight_rec is None else "dense_rec", layer
        shape = layer.shape
    if description.average is not None:
        yield "average", (description.average, 1, 1)


def _write_layer(group: Any, layer: Layer) -> None:
    """Writes a layer: shape (C, H, W), or (n, 1, 1) if dense; weights and delays float32, biases int32."""
    if isinstance(layer, Input):
        group["shape"] = np.array(layer.shape)
        group["weight"], group["bias"] = layer.scale, layer.offset
        _write_neuron(group.create_group("neuron"), layer.neuron)
        return
    group["shape"] = np.array(layer.shape if isinstance(layer, Conv) else (*layer.shape, 1, 1))
    _write_synapses(group, "weight", layer.weight[:1] if layer.kind == "pool" else layer.weight)
    if isinstance(layer, Conv):
        group["inChannels"], group["outChannels"] = layer.input_shape[0], layer.weight.shape[0]
        group["kernelSize"] = np.array(layer.weight.shape[2:])
        for key in ("stride", "padding", "dilation"):
            group[key] = np.array(getattr(layer, key))
        group["groups"] = layer.groups
    else:
        group["outFeatures"], group["inFeatures"] = layer.weight.shape
        if layer.weight_rec is not None:
            _write_synapses(group, "weight_rec", layer.weight_rec)
        if layer.delay is not None:
            group["delay"] = _spread_delay(layer.delay, layer.weight.shape)
    if layer.bias is not None:
        group["bias"] = np.asarray(layer.bias, np.int32)
    _write_neuron(group.create_group("neuron"), layer.neuron)


def _write_synapses(group: Any, key: str, weight: np.ndarray) -> None:
    """Compresses weights with HDF5's own filter, which every reader decompresses automatically.

    Quantised weights repeat a few values and shrink to a fifth.
    """
    group.create_dataset(key, data=weight.astype(np.float32), compression="gzip", shuffle=True)


def _spread_delay(delay: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Delays as float32 (out,) or (in,) if they depend only on the output or the input, otherwise (out, in).

    If ``out == in``, Lava reads a list as delays of outputs.
    """
    full = np.broadcast_to(delay, shape).astype(np.float32)
    if (full == full[:, :1]).all():
        return full[:, 0]
    return full[0] if (full == full[:1]).all() and shape[0] != shape[1] else full


def _write_neuron(group: Any, neuron: Neuron) -> None:
    # Texts of fixed length: HDF5 reads other texts from a heap, which a flipped bit breaks.
    if isinstance(neuron, Cuba):
        group["type"] = np.bytes_("CUBA")
        group["iDecay"], group["vDecay"] = neuron.current_decay, neuron.voltage_decay
        group["vThMant"] = neuron.threshold
        group["refDelay"], group["gradedSpike"] = 1, False
        return
    group["type"], group["activation"] = np.bytes_("SDNN"), np.bytes_("relu")
    if isinstance(neuron, Sigma):
        group["sigma_output"], group["vThMant"] = True, 0
    else:
        group["vThMant"] = neuron.threshold


def _write_metadata(file: Any, metadata: Metadata) -> None:
    group = file.require_group("aoi")
    if "metadata" in group:
        del group["metadata"]
    text = metadata.model_dump_json().encode("utf-8")
    group.create_dataset("metadata", data=text, dtype=h5py.string_dtype("utf-8", len(text)))
