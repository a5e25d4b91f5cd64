"""A network of the description in the form that the kernels take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import gcd, prod
from typing import Any

import numpy as np

from aoi.engine import kernels
from aoi.engine.processor import MatrixUnit
from aoi.netx.description import (
    DECAY_UNITY,
    STATE_LIMIT,
    STATE_SHIFT,
    Conv,
    Cuba,
    Delta,
    Dense,
    Input,
    Layer,
    NetworkDescription,
    Sigma,
)

_BLOCK_SUMS = 1 << 14  # sums that are made before the neurons are updated: they lie in the innermost caches
# Nanoseconds, measured on a Xeon of 2023 for layers of 10 to 512 neurons: a spike and a weight it reaches where events
# are added up, and a weight of a row where the matrix is multiplied.
_EVENT_NS, _EVENT_WEIGHT_NS = 4.0, 0.01
_MATRIX_WEIGHT_NS: dict[MatrixUnit, float] = {"tiles": 0.001, "vectors": 0.0027}
_NO_TRACE = {
    kind: kernels.Trace(np.empty((0, 0), np.int32), np.empty((0, 0), np.int32), np.empty((0, 0), kind))
    for kind in (np.uint8, np.int32)
}
NO_BYTES = np.empty((0, 0), np.uint8)
MATRIX_ROWS = 32  # that are multiplied at a time
MATRIX_MIN_ROWS = 16  # fewer are not worth it


def byte_rows(rows: int, neurons: int) -> np.ndarray:
    """Room for rows of bytes that a matrix may be multiplied with, as ``kernels.Events.spike_bytes``."""
    return np.zeros((rows + MATRIX_ROWS, -(-neurons // 64) * 64), np.uint8)


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """Constants of one layer. Immutable: threads share it."""

    layer: Layer
    neurons: int
    inputs: int  # neurons (or values) that it is fed
    synapses: Any  # kernels.DenseSynapses or ConvSynapses; None for an input block
    parameters: Any  # kernels.CubaParameters, DeltaParameters, SigmaDeltaParameters or SigmaParameters
    sum_dtype: type  # of what reaches a neuron in a step
    delay_slots: int  # steps for which sums of delayed spikes are kept, this one included; 0 without delays
    map_shape: tuple[int, ...] | None  # (C, H, W) of what it sends, if that lies as (H, W, C)
    matrix: Any = None  # kernels.TileMatrix or VectorMatrix: the synapses as a matrix, where they can be one
    matrix_rate: float = 1.0  # share of inputs that spike in a step from which on the matrix is faster

    @property
    def graded(self) -> bool:
        return self.layer.neuron.graded

    @property
    def output_dtype(self) -> type[np.uint8 | np.int32]:
        return np.int32 if self.graded else np.uint8

    @property
    def recurrent(self) -> bool:
        return isinstance(self.layer, Dense) and self.layer.weight_rec is not None

    def cleared_state(self, samples: int) -> kernels.LayerState:
        """Cleared state of ``samples`` samples."""
        shape = (samples, self.neurons)
        cuba = isinstance(self.layer.neuron, Cuba)
        return kernels.LayerState(
            u=np.zeros(shape, np.int32),
            v=np.zeros(shape, np.int32),
            act=np.zeros((0, 0) if cuba else shape, np.int32),
            peak=np.zeros(samples, np.int32),
            ring=np.zeros((samples, self.delay_slots, self.neurons) if self.delay_slots else (0, 0, 0), self.sum_dtype),
            recent=np.zeros(shape if self.recurrent else (0, 0), np.int32),
        )

    def event_buffer(self, rows: int) -> kernels.Events:
        """Room for what it sends in so many rows."""
        room = rows * self.neurons + kernels.SLACK
        value = np.empty(room if self.graded else 0, np.int32)
        return kernels.Events(np.empty(room, np.int32), value, np.zeros(rows + 1, np.int64), False, NO_BYTES)

    def trace_buffer(self, rows: int, u: bool, v: bool, s: bool) -> kernels.Trace:
        """Room for the states (``u``, ``v``) and what is sent (``s``) in so many rows, where that is wanted."""
        nothing = _NO_TRACE[self.output_dtype]
        if not (u or v or s):
            return nothing
        shape = (rows, self.neurons)
        return kernels.Trace(
            np.empty(shape, np.int32) if u else nothing.u,
            np.empty(shape, np.int32) if v else nothing.v,
            np.empty(shape, self.output_dtype) if s else nothing.s,
        )

    def scratch_buffers(self) -> kernels.Scratch:
        panels = len(self.synapses.panels.weight) if isinstance(self.synapses, kernels.DenseSynapses) else 0
        width = panels * kernels.COLUMNS or self.neurons
        return kernels.Scratch(
            sums=np.zeros((max(1, _BLOCK_SUMS // width), width), self.sum_dtype),
            fired=np.zeros((1, self.neurons), np.uint8),
            index_buffer=np.empty(max(self.neurons, self.inputs), np.int32),
            gathered_bytes=NO_BYTES,
        )

    def matrix_scratch_buffers(self) -> kernels.Scratch | None:
        if self.matrix is None:
            return None
        sums = np.zeros((MATRIX_ROWS, self.matrix.width), np.int32)
        gathered = np.zeros((MATRIX_ROWS, self.matrix.inputs), np.uint8)
        return self.scratch_buffers()._replace(sums=sums, gathered_bytes=gathered)

    def thread_parameters(self) -> Any:
        """The neurons' parameters as one thread may use them: an input block writes its bias."""
        if isinstance(self.layer, Input) and isinstance(self.layer.neuron, Cuba):
            return self.parameters._replace(bias=np.zeros(self.neurons, np.int32))
        return self.parameters

    def to_layer_shape(self, values: np.ndarray) -> np.ndarray:
        """(N, T, n) → (N, \\*shape, T)."""
        if self.map_shape is None:
            moved = values.transpose(0, 2, 1)
        else:
            channels, height, width = self.map_shape
            moved = values.reshape(*values.shape[:2], height, width, channels).transpose(0, 4, 2, 3, 1)
        return np.ascontiguousarray(moved)


@dataclass(frozen=True, eq=False)
class NetworkPlan:
    """Constants of a network. Immutable: threads share it."""

    description: NetworkDescription
    layers: list[LayerPlan]
    latencies: list[int]
    """Synapses that stand before each layer, its own among them: in Lava it has run so many steps when the first input
    reaches it."""
    input_order: np.ndarray
    """int32 (inputs,): where each input of the first layer lies; empty where it lies as the description has it."""

    @property
    def widest(self) -> int:
        """Neurons of the largest layer, the input among them."""
        return max(prod(self.description.input_shape), *(plan.neurons for plan in self.layers))

    def flat_maps(self, sent: np.ndarray) -> np.ndarray:
        """(N, T, n) of the last layer, as it lies → in the order C, H, W."""
        maps = self.layers[-1].map_shape
        if maps is None:
            return sent
        channels, height, width = maps
        moved = sent.reshape(*sent.shape[:2], height, width, channels).transpose(0, 1, 4, 2, 3)
        return np.ascontiguousarray(moved).reshape(sent.shape)


def plan_network(description: NetworkDescription, unit: MatrixUnit | None = None) -> NetworkPlan:
    """``unit``: what multiplies matrices here; None: nothing does."""
    layers: list[LayerPlan] = []
    first = description.layers[0]
    maps = _maps_of(description.input_shape) if isinstance(first, Conv | Input) else None
    graded = False  # what comes from outside counts as spikes of 1
    for layer in description.layers:
        layers.append(_plan_layer(layer, maps, graded, unit))
        maps, graded = layers[-1].map_shape, layer.neuron.graded
    order = np.empty(0, np.int32)
    if isinstance(first, Conv) and len(description.input_shape) == 3:
        channels, height, width = description.input_shape
        places = np.arange(prod(description.input_shape)).reshape(height, width, channels)
        order = np.ascontiguousarray(places.transpose(2, 0, 1).ravel(), np.int32)
    latencies = np.cumsum([plan.synapses is not None for plan in layers]).tolist()
    return NetworkPlan(description, layers, latencies, order)


def _maps_of(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """``shape`` if it is (C, H, W): such maps lie as (H, W, C) here."""
    return shape if len(shape) == 3 else None


def _plan_layer(layer: Layer, fed: tuple[int, ...] | None, graded: bool, unit: MatrixUnit | None) -> LayerPlan:
    """``fed``: (C, H, W) of what it is fed if that lies as (H, W, C); ``graded``: that are messages, not spikes."""
    neurons = prod(layer.shape)
    map_shape = _maps_of(layer.shape)
    if isinstance(layer, Input):
        return LayerPlan(layer, neurons, neurons, None, _parameters(layer, 0), np.int32, 0, map_shape)
    weights = [layer.weight] + ([layer.weight_rec] if isinstance(layer, Dense) and layer.weight_rec is not None else [])
    # What one output can receive in a step at most, if all that pulls it one way arrives at once.
    bound = int(sum(np.abs(w.astype(np.int64)).reshape(len(w), -1).sum(axis=1) for w in weights).max())
    wraps = isinstance(layer, Conv) and (graded or bound >= STATE_LIMIT)
    even = not any((weight & 1).any() for weight in weights)
    halved = even and isinstance(layer.neuron, Cuba) and not graded and not wraps
    held = [weight >> 1 if halved else weight for weight in weights]
    narrow = all(weight.min() >= -128 and weight.max() <= 127 for weight in held)
    kind = np.int8 if narrow else np.int16
    if graded:
        sum_dtype = np.int64 if isinstance(layer, Conv) else np.int32
    else:
        sum_dtype = np.int16 if narrow and bound >> halved <= np.iinfo(np.int16).max else np.int32
    parameters = _parameters(layer, int(halved))
    if isinstance(layer, Conv):
        synapses: Any = _conv(layer, held[0].astype(kind), wraps)
        return LayerPlan(layer, neurons, prod(layer.input_shape), synapses, parameters, sum_dtype, 0, map_shape)
    dense, delay_slots = _dense(layer, [weight.astype(kind) for weight in held], fed, graded)
    plan = LayerPlan(layer, neurons, layer.weight.shape[1], dense, parameters, sum_dtype, delay_slots, map_shape)
    if unit is None or not narrow or graded or delay_slots or plan.recurrent or not isinstance(layer.neuron, Cuba):
        return plan
    matrix = _matrix(dense, unit)
    product = matrix.inputs * matrix.width * _MATRIX_WEIGHT_NS[unit]
    return replace(plan, matrix=matrix, matrix_rate=product / (plan.inputs * (_EVENT_NS + neurons * _EVENT_WEIGHT_NS)))


def _matrix(dense: kernels.DenseSynapses, unit: MatrixUnit) -> Any:
    """The synapses in the order in which ``unit`` reads them, with the digits of each row's fan-out behind it."""
    inputs, outputs = dense.weight.shape
    digits = max(1, -(-int(dense.fan_out.max(initial=0)).bit_length() // 7))
    rows, width = -(-inputs // 64) * 64, -(-(outputs + digits) // 32) * 32
    whole = np.zeros((rows, width), np.int8)
    whole[:inputs, :outputs] = dense.weight
    for digit in range(digits):
        whole[:inputs, outputs + digit] = (dense.fan_out >> (7 * digit)) & 127
    config = np.zeros(64, np.uint8)  # palette 1; eight tiles of 16 rows of 64 bytes
    config[0], config[16:32:2], config[48:56] = 1, 64, 16
    panel = whole.reshape(rows // 4, 4, width // 16, 16).transpose(2, 0, 3, 1)
    kind = kernels.TileMatrix if unit == "tiles" else kernels.VectorMatrix
    return kind(np.ascontiguousarray(panel).ravel(), config, rows, outputs, width, digits)


def _parameters(layer: Layer, halved: int) -> Any:
    """Parameters of the layer's neurons; ``halved``: 1 where its weights are held halved, otherwise 0."""
    neuron = layer.neuron
    if isinstance(neuron, Cuba):
        return kernels.CubaParameters(
            current_keep=_one_a_neuron(layer, DECAY_UNITY - np.asarray(neuron.current_decay)),
            voltage_keep=_one_a_neuron(layer, DECAY_UNITY - np.asarray(neuron.voltage_decay)),
            threshold=_one_a_neuron(layer, np.asarray(neuron.threshold) << STATE_SHIFT),
            bias=0 if layer.bias is None else _one_a_neuron(layer, layer.bias << STATE_SHIFT),
            shift=STATE_SHIFT + halved,
        )
    if isinstance(neuron, Sigma):
        return kernels.SigmaParameters(0)
    shift = neuron.spike_exp + neuron.state_exp
    threshold = neuron.threshold << shift
    if isinstance(neuron, Delta):
        return kernels.DeltaParameters(threshold, shift, neuron.state_exp)
    bias = 0 if layer.bias is None else _one_a_neuron(layer, layer.bias << shift)
    return kernels.SigmaDeltaParameters(threshold, neuron.state_exp, bias)


def _one_a_neuron(layer: Layer, values: np.ndarray) -> Any:
    """One number, or one a channel → a number, or int32 one a neuron in the order in which neurons lie."""
    if values.size == 1:
        return int(values.reshape(()))
    return np.tile(values.astype(np.int32).ravel(), prod(layer.shape) // values.size)


def _dense(
    layer: Dense, held: list[np.ndarray], fed: tuple[int, ...] | None, graded: bool
) -> tuple[kernels.DenseSynapses, int]:
    """Synapses, and the slots of a ring that holds what is delayed.

    ``held``: weights (out, in) and recurrent weights as the kernels hold them; ``fed``, ``graded`` as of
    :func:`_plan_layer`.
    """
    order = slice(None) if fed is None else np.arange(prod(fed)).reshape(fed).transpose(1, 2, 0).ravel()
    weight = np.ascontiguousarray(held[0].T[order])
    recurrent = np.ascontiguousarray(held[1].T) if len(held) > 1 else np.empty((0, 0), weight.dtype)
    delay, delay_slots = NO_BYTES, 0
    if layer.delay is not None:
        wide = 1 if layer.delay.shape[0] == 1 else layer.weight.shape[0]
        delay = np.broadcast_to(layer.delay, (wide, layer.weight.shape[1])).T[order].astype(np.uint8)
        delay = np.ascontiguousarray(delay)
        delay_slots = int(delay.max()) + 1
    empty = not any(weight.any() for weight in held)
    spikes = not graded and layer.delay is None and weight.dtype == np.int8
    synapses = kernels.DenseSynapses(
        weight=weight,
        panels=_panels(weight if spikes else None),
        nonzero_weights=int(np.count_nonzero(weight)),
        all_inputs_sum=weight.sum(axis=0, dtype=np.int32),
        delay=delay,
        recurrent=recurrent,
        recurrent_panels=_panels(recurrent if spikes else None),
        fan_out=np.count_nonzero(weight, axis=1).astype(np.int64),
        fan_out_recurrent=np.count_nonzero(recurrent, axis=1).astype(np.int64),
        weight_shift=0 if empty else layer.shift,
    )
    return synapses, delay_slots


def _panels(weight: np.ndarray | None) -> kernels.Panels:
    """Of int8 (in, out); None: for a layer that adds up no spikes of 1."""
    if weight is None:
        return kernels.Panels(np.empty((0, 0, 0), np.int8), False)
    inputs, outputs = weight.shape
    shape = (-(-outputs // kernels.COLUMNS), inputs, kernels.COLUMNS)
    room = np.zeros(prod(shape) + kernels.COLUMNS, np.int8)
    panels = room[-room.ctypes.data % kernels.COLUMNS :][: prod(shape)].reshape(shape)
    for n, panel in enumerate(panels):
        part = weight[:, n * kernels.COLUMNS : (n + 1) * kernels.COLUMNS]
        panel[:, : part.shape[1]] = part
    extremes = np.sort(weight.astype(np.int32), axis=0)
    fours = extremes[-4:].clip(min=0).sum(axis=0).max(initial=0) <= 127
    return kernels.Panels(panels, bool(fours and extremes[:4].clip(max=0).sum(axis=0).min(initial=0) >= -128))


def _conv(conv: Conv, weight: np.ndarray, wraps: bool) -> kernels.ConvSynapses:
    """``weight``: as the engine holds it, (C_out, C_in / groups, kH, kW); ``wraps``: sums may leave 24 bits."""
    out, group_in, height, width = weight.shape
    group_out = out // conv.groups
    grouped = weight.reshape(conv.groups, group_out, group_in, height, width)
    by_input = grouped.transpose(0, 2, 3, 4, 1).reshape(conv.groups * group_in, height, width, group_out)
    # Taps that lead from one input column to neighbouring output columns lie side by side.
    step = conv.stride[1] // gcd(conv.stride[1], conv.dilation[1])
    slots = [tap for rest in range(step) for tap in range(rest, width, step)[::-1]]
    slot_of = {tap: slot for slot, tap in enumerate(slots)}
    reached = [[_reached(conv, axis, at) for at in range(conv.input_shape[1 + axis])] for axis in (0, 1)]
    rows = [[(tap, at, 1) for tap, at in taps] for taps in reached[0]]
    columns = [_runs([(slot_of[tap], at) for tap, at in taps], merge=conv.groups == 1) for taps in reached[1]]
    row_run_starts, row_runs = _flattened(rows)
    column_run_starts, column_runs = _flattened(columns)
    counts = np.count_nonzero(by_input, axis=3)
    from_inputs, to_outputs = [], []  # masks: taps that an input pixel uses, and that an output pixel is fed through
    for axis in (0, 1):
        used = np.zeros((conv.input_shape[1 + axis], conv.weight.shape[2 + axis]), bool)
        fed = np.zeros((conv.shape[1 + axis], conv.weight.shape[2 + axis]), bool)
        for at, taps in enumerate(reached[axis]):
            for tap, index in taps:
                used[at, tap] = fed[index, tap] = True
        from_inputs.append(used)
        to_outputs.append(fed)
    total = _sums_by_pixel(to_outputs, weight.sum(axis=1, dtype=np.int64))
    return kernels.ConvSynapses(
        weight=np.ascontiguousarray(by_input[:, :, slots]).ravel(),
        in_channels=conv.input_shape[0],
        width=conv.input_shape[2],
        kernel=(height, width),
        in_a_group=group_in,
        out_a_group=group_out,
        out_channels=out,
        out_width=conv.shape[2],
        wraps=wraps,
        row_run_starts=row_run_starts,
        row_runs=np.ascontiguousarray(row_runs[:, :2]),
        column_run_starts=column_run_starts,
        column_runs=column_runs,
        fan_out=_sums_by_pixel(from_inputs, counts).ravel(),
        all_inputs_sum=total.astype(np.int32).ravel(),
    )


def _reached(conv: Conv, axis: int, at: int) -> list[tuple[int, int]]:
    """(kernel tap, output index) that input row (axis 0) or column (axis 1) ``at`` reaches."""
    found = []
    for tap in range(conv.weight.shape[2 + axis]):
        place = at + conv.padding[axis] - tap * conv.dilation[axis]
        index, rest = divmod(place, conv.stride[axis])
        if rest == 0 and 0 <= index < conv.shape[1 + axis]:
            found.append((tap, index))
    return found


def _runs(taps: list[tuple[int, int]], *, merge: bool) -> list[tuple[int, int, int]]:
    """(slot, output) → (first slot, first output, length) of stretches in which both rise by one."""
    runs: list[tuple[int, int, int]] = []
    for slot, at in sorted(taps):
        if merge and runs and (slot, at) == (runs[-1][0] + runs[-1][2], runs[-1][1] + runs[-1][2]):
            runs[-1] = (*runs[-1][:2], runs[-1][2] + 1)
        else:
            runs.append((slot, at, 1))
    return runs


def _flattened(groups: list[list[tuple[int, int, int]]]) -> tuple[np.ndarray, np.ndarray]:
    """int32 (groups + 1,): where each group begins; int32 (n, 3): what is in them, one behind the other."""
    first = np.cumsum([0, *(len(group) for group in groups)]).astype(np.int32)
    return first, np.array([run for group in groups for run in group], np.int32).reshape(-1, 3)


def _sums_by_pixel(masks: list[np.ndarray], kernels: np.ndarray) -> np.ndarray:
    """Sums of the taps of integer kernels (n, kH, kW) at which the masks of a pixel's row, bool (H, kH), and of its
    column, (W, kW), are true: int64 (H, W, n). Most rows have the same mask, so each is added up once."""
    (rows, row_of), (columns, column_of) = (np.unique(mask, axis=0, return_inverse=True) for mask in masks)
    found = np.einsum("yp,npq->ynq", rows.astype(np.int64), kernels.astype(np.int64))
    found = np.einsum("ynq,xq->yxn", found, columns.astype(np.int64))
    return np.ascontiguousarray(found[row_of.ravel()][:, column_of.ravel()])
