"""Reads NetX HDF5 files as NetworkDescription. Files are not trusted: every field is checked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import partial
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from pydantic import ValidationError

from aoi.errors import NetXError
from aoi.netx.description import (
    BIAS_MAX,
    BIAS_MIN,
    DECAY_UNITY,
    KERNEL_MAX,
    MAX_DELAY,
    THRESHOLD_MAX,
    VALUE_MAX,
    VALUE_MIN,
    WEIGHT_MAX,
    WEIGHT_MIN,
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    Neuron,
    Readout,
    Sigma,
    SigmaDelta,
)
from aoi.netx.fields import Fields
from aoi.netx.metadata import SCHEMA_VERSION, Metadata
from aoi.netx.probe import read_guarded
from aoi.netx.weights import effective_weights, weight_shift

MAX_LAYERS = 256
MAX_NEURONS = 1 << 24  # per layer
_KINDS = ("input", "conv", "dense", "dense_rec", "flatten", "pool", "average")
_DENSE = {"dense": None, "dense_rec": "weight_rec", "recurrent": "recWeight"}  # and their field of recurrent weights
_NEURONS = ("CUBA", "LOIHI", "SDNN")
_INTEGRATOR = Cuba(threshold=1 << 17, current_decay=0, voltage_decay=DECAY_UNITY)  # Lava's default without neuron
_NEVER_FIRES = (1 << 17, (1 << 18) - 1)  # thresholds above 17 bits mark an integrator, read by its voltage


@dataclass(frozen=True, eq=False)
class NetworkFile:
    """A network file that was read. :class:`aoi.engine.Engine` accepts it."""

    path: Path
    description: NetworkDescription
    metadata: Metadata | None = None  # the group /aoi, if the file has it
    trained_on: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    """Fingerprints of the recordings used for training and validation, uint64 (n,); empty if not recorded."""
    skip_layers: int = 0
    """Value for stock ``hdf5.Network(skip_layers=…)`` to get the network of the description: 1 if an input block of
    CUBA neurons was left out, which can only be driven through its bias; spikes then go to the next block."""
    notes: tuple[str, ...] = ()
    """What the file says and Lava changes, one line each, such as clamped delays."""
    not_in_lava: str | None = None
    """Why stock Lava would execute something else than the description; None: it executes it."""

    @property
    def readout(self) -> Readout:
        """The readout that the file states; without the group ``/aoi`` that of the description."""
        return self.metadata.readout if self.metadata else self.description.readout


def read_network(
    path: str | PathLike[str],
    *,
    input_shape: tuple[int, ...] | None = None,
    input_block: bool = False,
    recurrent: bool = False,
) -> NetworkFile:
    """Reads and checks any NetX file, with or without the group ``/aoi``.

    It reads everything that ``hdf5.Network`` loads, except resonate-and-fire neurons, and also "pool" and "average",
    which only the engine executes. What ``hdf5.Network`` silently clamps or ignores is refused. Weights are those that
    Lava executes (``effective_weights``).

    Args:
        path: the file.
        input_shape: (C, H, W) of the input spikes, for a file that begins with a convolution and has no input layer.
        input_block: keep an input block of CUBA neurons as :class:`Input`, so that the network takes values. By
            default it is left out, and spikes go to the next block. A sigma-delta network always keeps its own.
        recurrent: read layers of type ``recurrent``, which others' exporters write and Lava drops without a word, as
            dense layers that get their own spikes back through ``recWeight``.

    Raises:
        NetXError: the file is missing, damaged or not supported; the message names layer, field, value and limit.

    Example:
        >>> network = read_network("network.net")
        >>> network.description.input_shape, network.description.outputs, network.readout
        ((2, 34, 34), 10, 'voltage')
    """
    path = Path(path)
    read = partial(_read, path, input_shape, input_block, recurrent)
    return read_guarded(path, read, "network file", "aoi export and lava-dl write network files")


def check_metadata(description: NetworkDescription, metadata: Metadata, name: str) -> None:
    """Raises NetXError if the group ``/aoi`` does not match the network."""
    if metadata.classes and len(metadata.classes) != description.outputs:
        raise NetXError(f"{name}: {len(metadata.classes)} class names for {description.outputs} output neurons")
    if metadata.readout == "spikes" and not description.fires:
        raise NetXError(f"{name}: readout 'spikes', but the output neurons never fire; set it to 'voltage'")
    shape = metadata.encoding.shape[:3] if metadata.encoding else None
    if shape and prod(shape) != prod(description.input_shape):
        raise NetXError(f"{name}: encoding yields {shape}, the network takes {description.input_shape}")


def _read(path: Path, input_shape: tuple[int, ...] | None, input_block: bool, recurrent: bool) -> NetworkFile:
    with h5py.File(path, "r") as file:
        root = Fields(file, str(path))
        if "layer" not in root and "node" in root:
            raise root.fail("is a NIR file; 'aoi import' translates it into a network file")
        metadata, trained_on = _read_aoi(root) if "aoi" in root else (None, np.empty(0, np.uint64))
        if input_shape is None and metadata is not None and metadata.encoding is not None:
            input_shape = metadata.encoding.shape[:3]
        found = _Found()
        description = _read_layers(root.child("layer"), input_shape, input_block, recurrent, found)
        if metadata is not None:
            check_metadata(description, metadata, str(path))
    return NetworkFile(
        path, description, metadata, trained_on, found.skip_layers, tuple(found.notes), found.not_in_lava
    )


@dataclass
class _Found:
    """What is noticed about a file besides its description."""

    skip_layers: int = 0
    notes: list[str] = field(default_factory=list)
    not_in_lava: str | None = None


def _read_aoi(root: Fields) -> tuple[Metadata, np.ndarray]:
    group = root.child("aoi", f"{root.place}: /aoi")
    text = group.text("metadata")
    try:
        loaded: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise group.fail("metadata is not JSON") from None
    if not isinstance(loaded, dict):
        raise group.fail("metadata is not a JSON object")
    if loaded.get("schema_version") != SCHEMA_VERSION:
        version = loaded.get("schema_version")
        raise group.fail(
            f"schema_version is {version!r}, this program reads {SCHEMA_VERSION}; use the program that wrote the file"
        )
    try:
        metadata = Metadata.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise group.fail(f"metadata: {where}: {first['msg']}") from None
    trained_on = group.fingerprints("trained_on") if "trained_on" in group else np.empty(0, np.uint64)
    return metadata, trained_on


@dataclass
class _Incoming:
    """Input of the next layer."""

    shape: tuple[int, ...] | None  # (C, H, W), (n,), or not known yet
    flat: bool = False  # after a flatten layer


def _read_layers(
    group: Fields, input_shape: tuple[int, ...] | None, input_block: bool, recurrent: bool, found: _Found
) -> NetworkDescription:
    count = len(group.group)
    if not 0 < count <= MAX_LAYERS:
        raise group.fail(f"the group layer holds {count} layers; 1 to {MAX_LAYERS} are read")
    incoming = _Incoming(input_shape)
    layers: list[Layer] = []
    average = None
    for index in range(count):
        if str(index) not in group:
            raise group.fail(f"layer {index} is missing; {count} layers have to be named 0 to {count - 1}")
        layer = group.child(str(index), f"{group.place}: layer {index}")
        kind = layer.text("type")
        if kind == "recurrent":
            if not recurrent:
                raise layer.fail(
                    "type 'recurrent' is one that Lava drops without a word; 'recurrent' (--recurrent) reads it as a "
                    "dense layer that feeds itself through recWeight"
                )
            found.not_in_lava = f"layer {index} has type 'recurrent', which Lava drops without a word"
        elif kind not in _KINDS:
            raise layer.fail(f"type {kind[:20]!r} is not supported; supported are {', '.join(_KINDS)}")
        layer = layer.at(f"{layer.place} ({kind})")
        _account(layer, found)
        if kind == "input":
            if index:
                raise layer.fail("an input layer can only come first")
            incoming.shape = input_shape = _read_shape(layer, input_shape)
            if "neuron" in layer:
                block = _read_input(layer, incoming.shape)
                if input_block or isinstance(block.neuron, Delta):
                    layers.append(block)
                else:
                    found.skip_layers = 1
        elif kind == "flatten":
            incoming.flat = True
        elif kind == "average":
            if index != count - 1:
                raise layer.fail(f"an average layer can only come last, this is layer {index} of {count}")
            average = _read_average(layer, incoming)
        else:
            if kind in _DENSE:
                layers.append(_read_dense(layer, str(index), incoming, bool(layers), _DENSE[kind], found))
            elif kind == "pool":
                layers.append(_read_pool(layer, str(index), incoming))
            else:
                layers.append(_read_conv(layer, str(index), incoming))
            if len(layers) == 1:
                input_shape = incoming.shape
            incoming = _Incoming(layers[-1].shape)
    if all(isinstance(layer, Input) for layer in layers) or input_shape is None:
        raise group.fail("no layer with weights (conv, dense or pool)")
    return NetworkDescription(input_shape, tuple(layers), average)


_LAYER_FIELDS = {"type", "shape", "neuron", "weight", "weight_rec", "recWeight", "bias", "delay", "stride", "padding"}
_LAYER_FIELDS |= {"dilation", "groups"}
_LAYER_FIELDS |= {"inFeatures", "outFeatures", "inChannels", "outChannels", "kernelSize"}  # repeat the weight's shape
_NEURON_FIELDS = {"type", "vThMant", "iDecay", "vDecay", "activation", "sigma_output", "messageBits", "gradedSpike"}
_NEURON_FIELDS |= {"theta", "tauRho", "scaleRho", "vTh"}  # the float threshold, and the gradient's shape in training
_NEURON_FIELDS |= {"refDelay", "wgtExp", "weight_exp"}  # only at the values below
# Fields that change what SLAYER computes and that Lava passes over → the value that changes nothing, and a remedy.
_PASSED_OVER = {
    "weight_exp": (
        0,
        "lava-dl's WgtScaleBatchNorm wrote it; train with another normalisation",
    ),
    "wgtExp": (0, "multiply the weights by 2**wgtExp and write 0"),
    "refDelay": (1, "Lava has no refractory period; train with refDelay 1"),
}


def _account(layer: Fields, found: _Found) -> None:
    """Every field is executed, known to be without effect, refused, or noted as one that nobody reads."""
    if "neuron" in layer and layer.holds_group("neuron"):
        neuron = layer.child("neuron", f"{layer.place}, neuron")
        for key, (harmless, remedy) in _PASSED_OVER.items():
            if key in neuron and (neuron.integers(key, -(1 << 20), 1 << 20) != harmless).any():
                value = neuron.integers(key, -(1 << 20), 1 << 20).ravel()[0]
                raise neuron.fail(f"{key}: {value}: SLAYER applies it and Lava passes over it; {remedy}")
        found.notes += [
            f"{neuron.place}: field {key[:40]!r} is read by nobody" for key in neuron.unknown(_NEURON_FIELDS)
        ]
    found.notes += [f"{layer.place}: field {key[:40]!r} is read by nobody" for key in layer.unknown(_LAYER_FIELDS)]


def _read_input(layer: Fields, shape: tuple[int, ...]) -> Input:
    neuron = _read_neuron(layer, prod(shape[:1]), role="input")
    assert isinstance(neuron, (Cuba, Delta))
    scale = layer.integer("weight", VALUE_MIN, VALUE_MAX) if "weight" in layer else 64
    offset = layer.integer("bias", VALUE_MIN, VALUE_MAX) if "bias" in layer else 0
    return Input("0", shape, neuron, scale, offset)


def _read_average(layer: Fields, incoming: _Incoming) -> int:
    """Number of groups of successive neurons."""
    groups = prod(_read_shape(layer, None))
    neurons = prod(incoming.shape or (0,))
    if not neurons or neurons % groups:
        raise layer.fail(f"shape: {groups} groups do not divide the {neurons} neurons of the layer before it")
    return groups


def _read_shape(layer: Fields, expected: tuple[int, ...] | None) -> tuple[int, ...]:
    shape = tuple(layer.integers("shape", 1, MAX_NEURONS).ravel().tolist())
    if len(shape) not in (1, 3) or prod(shape) > MAX_NEURONS:
        raise layer.fail(f"shape {shape} is neither (n,) nor (C, H, W), or above {MAX_NEURONS} neurons")
    if expected is not None and prod(expected) != prod(shape):
        raise layer.fail(f"shape {shape} does not match the given input shape {expected}")
    return shape


def _read_neuron(layer: Fields, channels: int, role: str = "hidden") -> Neuron:
    """``channels``: number of values of a parameter that is not shared; ``role``: "input" or "hidden"."""
    neuron = layer.child("neuron", f"{layer.place}, neuron")
    kind = neuron.text("type")
    if kind not in _NEURONS:
        raise neuron.fail(f"type {kind[:20]!r} is not supported; supported are {', '.join(_NEURONS)}")
    if "messageBits" in neuron:
        bits = neuron.integer("messageBits", 0, 32)
        if bits or kind == "SDNN":
            raise neuron.fail(
                f"messageBits: {bits}: lava-dl cannot load this field (it expects a group); leave it out, as SDNN "
                "neurons always send graded messages and others spikes"
            )
    if "gradedSpike" in neuron and neuron.integer("gradedSpike", 0, 32):
        raise neuron.fail("gradedSpike asks for graded spikes, which Lava's CUBA neurons do not send; leave it out")
    if kind == "SDNN":
        return _read_sigma_delta(neuron, role)
    threshold = _per_channel(neuron, "vThMant", channels, _NEVER_FIRES[1])
    wrong = (np.asarray(threshold) > THRESHOLD_MAX) & (np.asarray(threshold) < _NEVER_FIRES[0])
    if wrong.any():
        raise neuron.fail(f"vThMant: {np.asarray(threshold)[wrong].ravel()[0]} is out of 0..{THRESHOLD_MAX}")
    return Cuba(
        threshold,
        _per_channel(neuron, "iDecay", channels, DECAY_UNITY),
        _per_channel(neuron, "vDecay", channels, DECAY_UNITY),
    )


def _read_sigma_delta(neuron: Fields, role: str) -> Neuron:
    """As ``hdf5.Network.get_neuron_params``. The exponents are not in the file."""
    if "activation" in neuron and (activation := neuron.text("activation")) != "relu":
        raise neuron.fail(
            f"activation: {activation[:20]!r} is not supported, Lava computes relu in any case; set it to 'relu'"
        )
    if "sigma_output" in neuron and role != "input":
        neuron.integer("sigma_output", 1, 1)  # Lava only checks that the field exists
        return Sigma()
    threshold = neuron.integer("vThMant", 0, VALUE_MAX)
    return Delta(threshold) if role == "input" else SigmaDelta(threshold)


def _per_channel(neuron: Fields, key: str, channels: int, high: int) -> int | np.ndarray:
    """One number, or int32 (channels,), which SLAYER writes with ``shared_param=False`` (dense: one per neuron)."""
    values = neuron.integers(key, 0, high)
    if values.size == 1:
        return int(values.reshape(()))
    if values.shape != (channels,):
        raise neuron.fail(f"{key} has shape {values.shape}; it takes one value, or one per channel, ({channels},)")
    return values


def _read_bias(layer: Fields, channels: int, spread: bool, neuron: Neuron) -> np.ndarray | None:
    """Biases, int32 (channels,), None if all are 0; ``spread``: a single value applies to all channels."""
    if "bias" not in layer:
        return None
    if isinstance(neuron, Sigma):
        raise layer.fail("bias: a sigma output takes none (hdf5.Network raises TypeError); leave the bias out")
    low, high = (BIAS_MIN, BIAS_MAX) if isinstance(neuron, Cuba) else (VALUE_MIN, VALUE_MAX)
    bias = layer.integers("bias", low, high)
    if bias.shape != (channels,) and not (spread and bias.size == 1):
        raise layer.fail(f"bias has shape {bias.shape}; it takes one value per channel, ({channels},)")
    return np.broadcast_to(bias.ravel(), (channels,)).copy() if bias.any() else None


def _read_dense(
    layer: Fields, name: str, incoming: _Incoming, hidden: bool, own_weights: str | None, found: _Found
) -> Dense:
    """``own_weights``: the field of the recurrent weights; None: the layer has none."""
    if incoming.shape and len(incoming.shape) == 3 and hidden and not incoming.flat:
        raise layer.fail(f"is fed maps of shape {incoming.shape}; put a flatten layer between")
    if incoming.shape and len(incoming.shape) == 1 and hidden and incoming.flat:
        raise layer.fail("has a flatten layer before it, but is fed no maps; leave the flatten layer out")
    units = prod(layer.integers("shape", 1, MAX_NEURONS).ravel().tolist())
    weight = _read_matrix(layer, "weight", units)
    if incoming.shape is None:
        incoming.shape = (weight.shape[1],)
    if weight.shape[1] != prod(incoming.shape):
        raise layer.fail(f"weight takes {weight.shape[1]} inputs, the layer before it gives {prod(incoming.shape)}")
    weight_rec = _read_matrix(layer, own_weights, units) if own_weights else None
    if weight_rec is not None and weight_rec.shape != (units, units):
        raise layer.fail(f"{own_weights} has shape {weight_rec.shape}; it takes {(units, units)}")
    try:
        executed, executed_rec = effective_weights(weight, weight_rec)
        exact = np.array_equal(executed, weight)
        if executed_rec is not None and weight_rec is not None:
            exact &= np.array_equal(executed_rec, weight_rec)
        file_shift = None if exact else weight_shift(weight, weight_rec)
    except NetXError as error:
        raise layer.fail(str(error)) from None
    delay = _read_delay(layer, weight.shape, found)
    if delay is not None and own_weights:
        raise layer.fail("delay in a recurrent layer: Lava drops the exponent of its weights; leave the delay out")
    neuron = _read_neuron(layer, units) if "neuron" in layer else _INTEGRATOR
    return Dense(name, executed, neuron, _read_bias(layer, units, True, neuron), delay, executed_rec, file_shift)


def _read_matrix(layer: Fields, key: str, units: int) -> np.ndarray:
    """A weight matrix, int32 (units, inputs)."""
    if layer.holds_group(key):
        raise layer.fail(f"{key} is complex (resonate-and-fire), which is not supported; use CUBA neurons")
    weight = layer.integers(key, WEIGHT_MIN, WEIGHT_MAX)
    if weight.ndim == 1 and weight.size % units == 0:
        weight = weight.reshape(units, -1)
    if weight.ndim != 2 or weight.shape[0] != units:
        raise layer.fail(f"{key} has shape {weight.shape}; it takes ({units}, inputs)")
    return weight


def _read_delay(layer: Fields, weight_shape: tuple[int, ...], found: _Found) -> np.ndarray | None:
    """Delays, int32 (out, 1), (1, in) or (out, in), as ``hdf5.Network`` broadcasts them; None if all are 0.

    It clamps delays above ``MAX_DELAY``, with a warning.
    """
    if "delay" not in layer:
        return None
    delay = layer.integers("delay", 0, MAX_NEURONS)
    if delay.max() > MAX_DELAY:
        found.notes.append(f"{layer.place}: delays up to {delay.max()} are clamped to {MAX_DELAY}, as Lava does")
        delay = np.minimum(delay, MAX_DELAY)
    outputs, inputs = weight_shape
    if delay.ndim == 0:
        delay = np.full((outputs, 1), delay, np.int32)
    elif delay.shape == (outputs,):
        delay = delay.reshape(-1, 1)
    elif delay.shape == (inputs,):
        delay = delay.reshape(1, -1)
    elif delay.shape != weight_shape:
        raise layer.fail(f"delay has shape {delay.shape}; it takes ({outputs},), ({inputs},) or {weight_shape}")
    return delay if delay.any() else None


def _read_conv(layer: Fields, name: str, incoming: _Incoming) -> Conv:
    channels, height, width = _maps(layer, incoming)
    weight = _read_kernels(layer)
    groups = layer.integer("groups", 1, KERNEL_MAX)
    if weight.shape[0] % groups or weight.shape[1] * groups != channels:
        raise layer.fail(
            f"weight has shape {weight.shape} in {groups} groups; it takes (C_out, {channels} / groups, kH, kW)"
        )
    return _convolution(layer, name, (channels, height, width), weight, groups)


def _read_pool(layer: Fields, name: str, incoming: _Incoming) -> Conv:
    """SLAYER's ``synapse.Pool``: one kernel, applied to each channel separately."""
    channels, height, width = _maps(layer, incoming)
    weight = _read_kernels(layer)
    if weight.shape[:2] != (1, 1):
        raise layer.fail(f"weight has shape {weight.shape}; a pool layer takes (1, 1, kH, kW)")
    layer.spend(channels * weight.size, f"the kernel for {channels} channels")
    weight = np.broadcast_to(weight, (channels, *weight.shape[1:]))
    return _convolution(layer, name, (channels, height, width), weight, channels, kind="pool")


def _maps(layer: Fields, incoming: _Incoming) -> tuple[int, int, int]:
    if incoming.shape is None:
        raise layer.fail("no input layer gives the shape; add one, or give input_shape (C, H, W)")
    if len(incoming.shape) != 3 or incoming.flat:
        raise layer.fail(
            f"a convolution takes maps (C, H, W), it is fed {incoming.shape}{' flattened' * incoming.flat}"
        )
    return incoming.shape[0], incoming.shape[1], incoming.shape[2]


def _read_kernels(layer: Fields) -> np.ndarray:
    """Kernels, int32 (C_out, C_in / groups, kH, kW)."""
    if "delay" in layer and layer.integers("delay", 0, MAX_DELAY).any():
        raise layer.fail("delay in a convolution is ignored by Lava; leave it out")
    if layer.holds_group("weight"):
        raise layer.fail("weight is complex (resonate-and-fire), which is not supported; use CUBA neurons")
    weight = layer.integers("weight", WEIGHT_MIN, WEIGHT_MAX)
    if weight.ndim == 5 and weight.shape[4] == 1:  # SLAYER's kernels have a time axis
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise layer.fail(f"weight has shape {weight.shape}; it takes (C_out, C_in / groups, kH, kW)")
    if max(weight.shape[2:]) > KERNEL_MAX:
        raise layer.fail(f"weight: kernel {weight.shape[2:]} is above {KERNEL_MAX}, the largest that Lava can hold")
    return weight


def _convolution(
    layer: Fields, name: str, maps: tuple[int, int, int], weight: np.ndarray, groups: int, kind: str = "conv"
) -> Conv:
    neuron = _read_neuron(layer, weight.shape[0])
    conv = Conv(
        name=name,
        input_shape=maps,
        weight=weight,
        neuron=neuron,
        stride=_read_pair(layer, "stride", 1),
        padding=_read_pair(layer, "padding", 0),
        dilation=_read_pair(layer, "dilation", 1),
        groups=groups,
        bias=_read_bias(layer, weight.shape[0], False, neuron),
        kind=kind,
    )
    shape = _read_shape(layer, None)
    if shape != conv.shape:
        raise layer.fail(f"shape says {shape}, kernel, stride, padding and dilation give {conv.shape}")
    return conv


def _read_pair(layer: Fields, key: str, low: int) -> tuple[int, int]:
    """(vertical, horizontal), stored as one number or two."""
    values = layer.integers(key, low, KERNEL_MAX).ravel().tolist()
    if len(values) > 2:
        raise layer.fail(f"{key} takes one number or two, it has {len(values)}")
    return values[0], values[-1]
