"""The inner loops, in the integers of Lava's fixed-point models.

Work is proportional to spikes. Between layers travel *events*: for each sample and step (a row) the ascending indices
of the neurons that sent something. Maps lie as (H, W, C), so that a spike of a convolution adds contiguous runs.
Accumulators have 16 bits where no input whatever can overflow them, otherwise 32. Where many neurons spike and the
processor multiplies matrices of bytes, a dense layer is such a product, and rows of bytes travel instead of events.

The same names stand for the same things in all kernels:

- ``events`` (:class:`Events`): what the layer before sent; ``values`` int32 (rows, n) in place of them for an input
  block; ``out`` (:class:`Events`): what this layer sends.
- ``rows`` (:class:`Rows`): which samples and steps run; ``begin``, ``end``: the part of them that is at work.
- ``synapses`` (:class:`DenseSynapses`, :class:`ConvSynapses`, :class:`TileMatrix`, :class:`VectorMatrix`) and
  ``parameters`` (:class:`CubaParameters`, :class:`DeltaParameters`, :class:`SigmaDeltaParameters`,
  :class:`SigmaParameters`): constants of the layer. Numba compiles a kernel for each kind of them.
- ``state`` (:class:`LayerState`): changed in place; ``scratch`` (:class:`Scratch`): buffers of one thread.
- ``operations`` int64 (rows,) and ``trace`` (:class:`Trace`): what is counted and recorded.

All in one file: numba's cache looks at this file's time stamp alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

_STATE_LIMIT = 1 << 23  # states have 24 bits, signed
_STATE_MASK = (1 << 24) - 1
_SMALL_STATE = 1 << 19  # states below need no 64 bits to decay: 2**19 * 4096 = 2**31
_LOW_SEVEN_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)  # of each of eight bytes
_BIT_PLACES = (  # the places of the bits of each byte, a byte each
    np.array([[*np.flatnonzero(byte >> np.arange(8) & 1), *[0] * 8][:8] for byte in range(256)], np.uint8)
    .view(np.uint64)
    .ravel()
)
COLUMNS = 64  # of a panel: a spike adds a cache line
SLACK = 8  # items that a list of events has room for behind its end


class Events(NamedTuple):
    """What a layer sends, a row a sample and step: row r holds ``indices[row_starts[r]:row_starts[r + 1]]``."""

    indices: np.ndarray  # int32, SLACK more than needed; ascending within a row, but for the input of a convolution
    messages: np.ndarray  # int32: messages of graded spikes; empty for spikes of 1
    row_starts: np.ndarray  # int64 (rows + 1,)
    inverted: bool  # these are the neurons that did not spike: fewer, where most did
    spike_bytes: np.ndarray  # uint8 (rows + 32, n rounded up to 64) of 0 and 1, instead of ``indices``; or (0, 0)


class Rows(NamedTuple):
    """The samples and steps to run, arrays int64 (rows,)."""

    state_row: np.ndarray  # row of the sample's state in :class:`LayerState`
    source_row: np.ndarray  # row of what the layer is fed
    step: np.ndarray  # of this stretch, from 0
    clock: int  # steps that ran before
    ascending: bool  # so are the indices within the rows of what the layer is fed


class Panels(NamedTuple):
    """Weights as spikes add them up: COLUMNS of all rows lie together, and stay in the innermost cache for steps."""

    weight: np.ndarray  # int8 (ceil(out / COLUMNS), in, COLUMNS), each row a cache line; (0, 0, 0): no bytes, no spikes
    fours_fit_int8: bool  # the sum of any four rows fits 8 bits


class DenseSynapses(NamedTuple):
    """Each row of weights belongs to one input: a spike adds its row."""

    weight: np.ndarray  # int8 or int16 (in, out)
    panels: Panels
    nonzero_weights: int  # how many weights are not 0
    all_inputs_sum: np.ndarray  # int32 (out,): what arrives if all inputs spike
    delay: np.ndarray  # uint8 (in, out) or (in, 1): steps; (0, 0) for none
    recurrent: np.ndarray  # as weight, (out, out), or (0, 0)
    recurrent_panels: Panels
    fan_out: np.ndarray  # int64 (in,): synaptic operations of a spike of each input, its weights other than 0
    fan_out_recurrent: np.ndarray  # int64 (out,): the same of the recurrent weights, or (0,)
    weight_shift: int  # bits by which Lava holds weights shifted up: sums of messages wrap at 32 bits less these


class VectorMatrix(NamedTuple):
    """A dense layer as a matrix, for AVX-512 VNNI. Behind the weights of a row stand the digits of its fan-out."""

    weights: np.ndarray  # int8, flat: (width / 16, inputs / 4, 16, 4)
    tile_config: np.ndarray  # uint8 (64,): shapes of the tiles, for AMX
    inputs: int  # rounded up to 64
    outputs: int
    width: int  # outputs and digits, rounded up to 32
    fan_out_digits: int  # how many, base 128


class TileMatrix(NamedTuple):
    """The same for AMX. A type of its own: numba chooses the instructions by it."""

    weights: np.ndarray
    tile_config: np.ndarray
    inputs: int
    outputs: int
    width: int
    fan_out_digits: int


class ConvSynapses(NamedTuple):
    """Taps of a kernel row lie in runs: what an input column reaches side by side is added in one go."""

    weight: np.ndarray  # int8 or int16, flat: (C, kH, slot, C_out / groups)
    in_channels: int  # C
    width: int  # W
    kernel: tuple[int, int]  # kH, kW
    in_a_group: int  # C / groups
    out_a_group: int  # C_out / groups
    out_channels: int  # C_out
    out_width: int  # W'
    wraps: bool  # the sum may leave 24 bits, in which Lava keeps it; what left 32 bits before counts as 0
    row_run_starts: np.ndarray  # int32 (H + 1,): runs of input row y begin at row_run_starts[y], end before [y + 1]
    row_runs: np.ndarray  # int32 (n, 2): kernel row, output row
    column_run_starts: np.ndarray  # int32 (W + 1,): the same of input columns
    column_runs: np.ndarray  # int32 (n, 3): slot, output column, taps
    fan_out: np.ndarray  # int64 (H * W * C,): synaptic operations of a spike of each input
    all_inputs_sum: np.ndarray  # int32 (H' * W' * C_out,): what arrives if all inputs spike


class CubaParameters(NamedTuple):
    """Of CUBA neurons, in int32: one number for all, or an array with one a neuron."""

    current_keep: Any  # what is left of 4096: 4096 - current_decay
    voltage_keep: Any  # 4096 - voltage_decay
    threshold: Any  # state units
    bias: Any  # state units
    shift: int  # from what arrives to state units: 6, and 1 more where weights are held halved


class DeltaParameters(NamedTuple):
    """Of the encoder of a sigma-delta network."""

    threshold: int  # << (spike_exp + state_exp)
    input_shift: int  # spike_exp + state_exp
    state_exp: int


class SigmaDeltaParameters(NamedTuple):
    """Of sigma-delta neurons."""

    threshold: int  # << (spike_exp + state_exp)
    state_exp: int
    bias: Any  # << (spike_exp + state_exp): one number, or int32 one a neuron


class SigmaParameters(NamedTuple):
    """Of the decoder of a sigma-delta network, which has none."""

    bias: int  # unused: a tuple without fields has no type


class LayerState(NamedTuple):
    """State of one layer, a row a sample. A state that is saved has the names of these fields."""

    u: np.ndarray  # int32 (samples, n): current, or sigma
    v: np.ndarray  # int32: voltage, or residue
    act: np.ndarray  # int32: activation of sigma-delta neurons, or (0, 0)
    peak: np.ndarray  # int32 (samples,): no |u| or |v| has a bit above its highest
    ring: np.ndarray  # what arrives in this and the next steps (samples, delay slots, n), or (0, 0, 0) without delays
    recent: np.ndarray  # int32: what a recurrent layer sent in the last step (samples, n), otherwise (0, 0)


class Scratch(NamedTuple):
    """Buffers of one thread."""

    sums: np.ndarray  # int16, int32 or int64 (rows, n or more): what reaches the layer in the next so many rows
    fired: np.ndarray  # uint8 (1, n): which neurons fire in a step
    index_buffer: np.ndarray  # int32 (max(in, n),): a list of neurons
    gathered_bytes: np.ndarray  # uint8 (32, inputs): rows for a matrix that do not lie together; otherwise (0, 0)


class Trace(NamedTuple):
    """States and what is sent, (rows, n) each, or (0, 0) where not wanted."""

    u: np.ndarray  # int32
    v: np.ndarray  # int32
    s: np.ndarray  # uint8, or int32 for graded spikes


def _is_tuple_of(numba_type: Any, *classes: type) -> bool:
    """Whether it is the type of one of these named tuples."""
    return isinstance(numba_type, types.BaseNamedTuple) and numba_type.instance_class in classes


def _of_neuron(parameter: Any, j: int) -> Any:
    """The parameter of neuron ``j``: a number that is the same for all, or an item of an array."""


@overload(_of_neuron, strict=False)
def _choose_of_neuron(parameter: Any, j: int) -> Any:
    if isinstance(parameter, types.Array):
        return lambda parameter, j: parameter[j]
    return lambda parameter, j: np.int32(parameter)


_BYTE, _SHORT, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(64)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: Any) -> Any:
    """Pointer of type ``to`` to an item of a flat array."""
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(start, ir.PointerType(to))


def _broadcast(builder: Any, number: Any, kind: Any) -> Any:
    """A vector that holds one number in all places."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, first, zeros)


# -- events -------------------------------------------------------------------------------------------------------


@njit
def _nonzero_bytes(word: Any) -> Any:
    """0x80 for each byte but 0, otherwise 0."""
    return (((word & _LOW_SEVEN_BITS) + _LOW_SEVEN_BITS) | word) & ~_LOW_SEVEN_BITS


@njit(cache=True, nogil=True)
def pack_spikes(words: np.ndarray, bits: np.ndarray, counts: np.ndarray) -> None:
    """``words`` uint64 (samples, inputs, w): bytes of timesteps, any but 0 a spike.

    Fills ``bits`` uint64 (samples, ceil(inputs / 8), w): a byte a step, with a bit for each of eight inputs. Adds the
    spikes of each step to ``counts`` int64 (samples, 8 * w).
    """
    samples, inputs, width = words.shape
    lanes = np.empty(width, np.uint64)  # a count a byte
    for n in range(samples):
        for begin in range(0, inputs, 248):
            lanes[:] = 0
            for i in range(begin, min(begin + 248, inputs), 8):
                for w in range(width):
                    count = found = np.uint64(0)
                    for bit in range(min(8, inputs - i)):
                        marks = _nonzero_bytes(words[n, i + bit, w]) >> np.uint64(7)
                        count += marks
                        found |= marks << np.uint64(bit)
                    lanes[w] += count
                    bits[n, i >> 3, w] = found
            for w in range(width):
                for byte in range(8):
                    counts[n, 8 * w + byte] += np.int64((lanes[w] >> np.uint64(8 * byte)) & np.uint64(255))


@njit(cache=True, nogil=True)
def list_events(
    bits: np.ndarray, inverted: bool, inputs: int, order: np.ndarray, indices: np.ndarray, row_starts: np.ndarray
) -> None:
    """Lists spikes by sample and step.

    ``bits`` uint8 (samples, ceil(inputs / 8), steps or more) of :func:`pack_spikes`. ``inverted``: lists what is silent
    instead. ``order`` int32 (inputs,): new index of each input, or empty. ``row_starts`` of :class:`Events` is given
    for samples * steps rows; fills ``indices``.
    """
    samples, eights, _ = bits.shape
    steps = (row_starts.size - 1) // samples
    flip = 255 if inverted else 0
    last = flip >> (8 * eights - inputs)
    for n in range(samples):
        for step in range(steps):
            k = row_starts[n * steps + step]
            for i in range(eights - 1):
                k = _list_bits(indices, k, bits[n, i, step] ^ flip, 8 * i)
            _list_bits(indices, k, bits[n, eights - 1, step] ^ last, 8 * eights - 8)
    _reorder(indices, order, row_starts[-1])


@njit(cache=True, nogil=True)
def list_step_events(spikes: np.ndarray, order: np.ndarray, indices: np.ndarray, row_starts: np.ndarray) -> None:
    """One step: ``spikes`` uint8 (samples, inputs), any but 0 a spike; ``order`` as of :func:`list_events`. Fills
    ``indices`` and ``row_starts``."""
    for n in range(len(spikes)):
        row_starts[n + 1] = _list_nonzero(spikes, n, indices, row_starts[n])
    _reorder(indices, order, row_starts[-1])


@njit
def _reorder(indices: Any, order: Any, end: int) -> None:
    """Gives the first ``end`` indices their new values, if there is an ``order``."""
    if order.size:
        for k in range(end):
            indices[k] = order[indices[k]]


@njit
def _list_nonzero(flags: Any, row: int, indices: Any, k: int) -> int:
    """Appends the places of the bytes of a row that are not 0 to ``indices`` from ``k`` on; returns the new end."""
    count = flags.shape[1]
    whole = count // 32 * 32
    for i in range(0, whole, 32):
        bits = _nonzero_of_32(flags, row * count + i)
        for byte in range(0, 32, 8):
            k = _list_bits(indices, k, (bits >> byte) & 255, i + byte)
    for i in range(whole, count):
        if flags[row, i]:
            indices[k] = np.int32(i)
            k += 1
    return k


@njit
def _list_bits(indices: Any, k: int, byte: Any, base: int) -> int:
    """Appends ``base`` + the places of the bits of ``byte``; writes eight items, however many of them count."""
    return k + _store_eight(indices, k, _BIT_PLACES[byte], np.int32(base), byte)


@intrinsic
def _nonzero_of_32(context: Any, flags: Any, i: Any) -> Any:
    """A bit for each of 32 bytes from ``i`` on that is not 0, as int64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(_BYTE, 32)
        flags = builder.load(_pointer(context, builder, signature.args[0], values[0], values[1], kind), align=1)
        marks = builder.icmp_unsigned("!=", flags, ir.Constant(kind, [0] * 32))
        return builder.zext(builder.bitcast(marks, ir.IntType(32)), _WORD)

    return types.int64(flags, types.int64), generate


@intrinsic
def _store_eight(context: Any, indices: Any, k: Any, bytes_: Any, base: Any, byte: Any) -> Any:
    """``indices[k:k + 8]`` = ``base`` + the eight bytes of a word; returns how many bits of ``byte`` are set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        indices, k, bytes_, base, byte = values
        kind = ir.VectorType(ir.IntType(32), 8)
        items = builder.zext(builder.bitcast(bytes_, ir.VectorType(_BYTE, 8)), kind)
        place = _pointer(context, builder, signature.args[0], indices, k, kind)
        builder.store(builder.add(items, _broadcast(builder, base, kind)), place, align=4)
        return builder.ctpop(byte)

    n = types.int64
    return n(indices, n, types.uint64, types.int32, n), generate


@njit
def _exchange(low: Any, high: Any, bits: int, mask: Any) -> Any:
    """Exchanges the ``mask`` << bits part of ``low`` with the ``mask`` part of ``high``."""
    shift = np.uint64(bits)
    changed = ((low >> shift) ^ high) & mask
    return low ^ (changed << shift), high ^ changed


@njit(cache=True, nogil=True)
def transpose_spikes(words: np.ndarray, steps: int, spike_bytes: np.ndarray) -> None:
    """Steps side by side become inputs side by side, eight by eight bytes at a time.

    ``words`` as of :func:`pack_spikes`. Fills ``spike_bytes`` uint64 (samples * steps or more, columns): bytes of 0
    and 1, a row a sample and step, a byte an input.
    """
    samples, inputs, width = words.shape
    b4, b2, b1 = np.uint64(0x00000000FFFFFFFF), np.uint64(0x0000FFFF0000FFFF), np.uint64(0x00FF00FF00FF00FF)
    block = np.zeros(8, np.uint64)
    for n in range(samples):
        for w in range(width):
            last = min(8, steps - 8 * w)
            for i in range(0, inputs, 8):
                rows = min(8, inputs - i)
                block[:] = 0
                for r in range(rows):
                    block[r] = _nonzero_bytes(words[n, i + r, w]) >> np.uint64(7)
                x0, x1, x2, x3 = block[0], block[1], block[2], block[3]
                x4, x5, x6, x7 = block[4], block[5], block[6], block[7]
                x0, x4 = _exchange(x0, x4, 32, b4)
                x1, x5 = _exchange(x1, x5, 32, b4)
                x2, x6 = _exchange(x2, x6, 32, b4)
                x3, x7 = _exchange(x3, x7, 32, b4)
                x0, x2 = _exchange(x0, x2, 16, b2)
                x1, x3 = _exchange(x1, x3, 16, b2)
                x4, x6 = _exchange(x4, x6, 16, b2)
                x5, x7 = _exchange(x5, x7, 16, b2)
                x0, x1 = _exchange(x0, x1, 8, b1)
                x2, x3 = _exchange(x2, x3, 8, b1)
                x4, x5 = _exchange(x4, x5, 8, b1)
                x6, x7 = _exchange(x6, x7, 8, b1)
                block[0], block[1], block[2], block[3] = x0, x1, x2, x3
                block[4], block[5], block[6], block[7] = x4, x5, x6, x7
                row = n * steps + 8 * w
                for r in range(last):
                    spike_bytes[row + r, i >> 3] = block[r]


# -- synapses: what arrives at a layer ----------------------------------------------------------------------------


def _vector_operation(lanes: int, operation: str) -> Any:
    """``sums[i:i + lanes] += weight[j:j + lanes]``, or ``-=``, as one vector instruction or two.

    Runs of a convolution are short: the compiler's own loops would spend their time on whether arrays overlap.
    """

    @intrinsic
    def add(context: Any, sums: Any, i: Any, weight: Any, j: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            vectors = []
            for kind, array, index in ((sums, values[0], values[1]), (weight, values[2], values[3])):
                item = context.get_data_type(kind.dtype)
                start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
                place = builder.bitcast(start, ir.PointerType(ir.VectorType(item, lanes)))
                vectors.append((place, builder.load(place, align=kind.dtype.bitwidth // 8), kind.dtype.bitwidth))
            (place, before, wide), (_, added, narrow) = vectors
            if narrow < wide:
                added = builder.sext(added, before.type)
            builder.store(getattr(builder, operation)(before, added), place, align=wide // 8)
            return context.get_dummy_value()

        return types.void(sums, types.int64, weight, types.int64), generate

    return add


_add16, _add8 = _vector_operation(16, "add"), _vector_operation(8, "add")
_subtract16, _subtract8 = _vector_operation(16, "sub"), _vector_operation(8, "sub")


@intrinsic
def _add_panel(
    context: Any, sums: Any, i: Any, weight: Any, begin: Any, indices: Any, low: Any, middle: Any, high: Any
) -> Any:  # fmt: skip
    """``sums[i:i + COLUMNS] +=`` the sum of a panel's rows ``indices[low:high]``.

    The panel starts at ``begin`` of ``weight``.

    Sums stay in registers. Rows are added in 8 bits, up to ``middle`` by fours, and offset by 128, so that two
    columns add up as one number of 16 bits: once as they are, once without the lower one.
    """
    parts, half = COLUMNS // 32, 16

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        sums, i, weight, begin, indices, low, middle, high = values
        kinds = signature.args
        narrow, wide = ir.VectorType(_BYTE, 2 * half), ir.VectorType(_SHORT, half)
        eight = ir.Constant(wide, [8] * half)
        zero = ir.Constant(wide, [0] * half)
        both, upper = ([cgutils.alloca_once_value(builder, zero) for _ in range(parts)] for _ in range(2))
        for place in both + upper:
            builder.store(zero, place)

        def add(first: Any, rows: int) -> None:
            """Adds as many rows."""
            rows_sum = [ir.Constant(narrow, [-128] * (2 * half))] * parts
            for n in range(rows):
                place = _pointer(context, builder, kinds[4], indices, builder.add(first, _WORD(n)), ir.IntType(32))
                row = builder.mul(builder.zext(builder.load(place), _WORD), _WORD(COLUMNS))
                for part in range(parts):
                    where = builder.add(builder.add(begin, row), _WORD(32 * part))
                    place = _pointer(context, builder, kinds[2], weight, where, narrow)
                    rows_sum[part] = builder.add(rows_sum[part], builder.load(place, align=1))
            for part in range(parts):
                pair = builder.bitcast(rows_sum[part], wide)
                for total, added in ((both[part], pair), (upper[part], builder.lshr(pair, eight))):
                    builder.store(builder.add(builder.load(total), added), total)

        with cgutils.for_range_slice(builder, low, middle, _WORD(4), intp=_WORD) as (k, _):
            add(k, 4)
        with cgutils.for_range_slice(builder, middle, high, _WORD(1), intp=_WORD) as (k, _):
            add(k, 1)
        additions = builder.add(builder.lshr(builder.sub(middle, low), _WORD(2)), builder.sub(high, middle))
        offset = _broadcast(builder, builder.trunc(builder.shl(additions, _WORD(7)), _SHORT), wide)
        item = context.get_data_type(kinds[0].dtype)
        for part in range(parts):
            odd = builder.load(upper[part])
            even = builder.sub(builder.load(both[part]), builder.shl(odd, eight))
            order = [n // 2 + n % 2 * half for n in range(2 * half)]
            mixed = ir.Constant(ir.VectorType(ir.IntType(32), 2 * half), order)
            rows_sum = builder.shuffle_vector(builder.sub(even, offset), builder.sub(odd, offset), mixed)
            if item.width > 16:
                rows_sum = builder.sext(rows_sum, ir.VectorType(item, 2 * half))
            place = _pointer(context, builder, kinds[0], sums, builder.add(i, _WORD(32 * part)), rows_sum.type)
            builder.store(
                builder.add(builder.load(place, align=item.width // 8), rows_sum), place, align=item.width // 8
            )
        return context.get_dummy_value()

    n = types.int64
    return types.void(sums, n, weight, n, indices, n, n, n), generate


# Without the order to inline, LLVM decides by the size of the caller, and a convolution runs a quarter slower.
@njit(forceinline=True)
def _add_run(sums: Any, i: int, weight: Any, j: int, length: int) -> None:
    """``sums[i:i + length] += weight[j:j + length]``."""
    end = i + length
    while i + 16 <= end:
        _add16(sums, i, weight, j)
        i += 16
        j += 16
    if i + 8 <= end:
        _add8(sums, i, weight, j)
        i += 8
        j += 8
    while i < end:
        sums[i] = sums[i] + weight[j]
        i += 1
        j += 1


@njit(forceinline=True)
def _subtract_run(sums: Any, i: int, weight: Any, j: int, length: int) -> None:
    """``sums[i:i + length] -= weight[j:j + length]``."""
    end = i + length
    while i + 16 <= end:
        _subtract16(sums, i, weight, j)
        i += 16
        j += 16
    if i + 8 <= end:
        _subtract8(sums, i, weight, j)
        i += 8
        j += 8
    while i < end:
        sums[i] = sums[i] - weight[j]
        i += 1
        j += 1


@njit
def _add_columns(sums: Any, i: int, panels: Any, panel: int, indices: Any, low: int, high: int) -> None:
    """Adds the rows ``indices[low:high]`` of one panel to ``sums``; item ``i`` of these is the first panel's first."""
    begin = panel * panels.weight.shape[1] * COLUMNS
    at_once = 1024 if panels.fours_fit_int8 else 256  # 256 sums of 8 bits fit 16
    for first in range(low, high, at_once):
        last = min(first + at_once, high)
        middle = last - (last - first) % 4 if panels.fours_fit_int8 else first
        _add_panel(sums, i + panel * COLUMNS, panels.weight, begin, indices, first, middle, last)


@njit(nogil=True)
def _add_rows(sums: Any, i: int, weight: Any, panels: Any, indices: Any, low: int, high: int) -> None:
    """As :func:`_add_columns`, of all panels, or of ``weight`` (in, out) where there are none."""
    for panel in range(len(panels.weight)):
        _add_columns(sums, i, panels, panel, indices, low, high)
    if not panels.weight.size:
        outputs = weight.shape[1]
        for k in range(low, high):
            _add_run(sums.reshape(-1), i, weight.reshape(-1), np.int64(indices[k]) * outputs, outputs)


@njit
def _sum_fan_out(fan_out: Any, indices: Any, low: int, high: int) -> int:
    """Sum of ``fan_out`` over ``indices[low:high]``; numbers without a sign need no look at whether they count from the
    end."""
    count = np.int64(0)
    for k in range(np.uint64(low), np.uint64(high)):
        count += fan_out[np.uint32(indices[k])]
    return count


@njit
def _list_silent(indices: Any, low: int, high: int, inputs: int, silent: Any) -> int:
    """Writes what is missing in ``indices[low:high]``, which ascends, of 0 to ``inputs`` to ``silent``; returns how
    many."""
    missing = 0
    expected = np.int32(0)
    for k in range(low, high + 1):
        stop = indices[k] if k < high else np.int32(inputs)
        while expected < stop:
            silent[missing] = expected
            missing += 1
            expected += np.int32(1)
        expected = np.int32(stop + 1)
    return missing


def _sum_inputs(
    synapses: Any, events: Any, rows: Any, state: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None: ...  # fmt: skip


@overload(_sum_inputs, strict=False)
def _choose_sum_inputs(
    synapses: Any, events: Any, rows: Any, state: Any, scratch: Any, begin: int, end: int, operations: Any
) -> Any:  # fmt: skip
    if _is_tuple_of(synapses, DenseSynapses):
        return _sum_dense_inputs
    return _sum_conv_inputs if _is_tuple_of(synapses, ConvSynapses) else _sum_matrix_inputs


def _sum_dense_inputs(
    synapses: Any, events: Any, rows: Any, state: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Adds up in ``scratch.sums`` what reaches a dense layer in the rows ``begin`` to ``end``."""
    weight, recurrent, delay, weight_shift = synapses.weight, synapses.recurrent, synapses.delay, synapses.weight_shift
    fan_out, fan_out_recurrent, all_inputs_sum = synapses.fan_out, synapses.fan_out_recurrent, synapses.all_inputs_sum
    panels, recurrent_panels = synapses.panels, synapses.recurrent_panels
    indices, messages, row_starts = events.indices, events.messages, events.row_starts
    state_rows, source_rows, steps = rows.state_row, rows.source_row, rows.step
    sums, width = scratch.sums, scratch.sums.shape[1]
    graded = messages.size > 0
    ring, recent, index_buffer = state.ring, state.recent, scratch.index_buffer
    inputs, outputs = weight.shape
    depth = ring.shape[1]
    for panel in range(len(panels.weight)):
        for row in range(begin, end):
            low, high = row_starts[source_rows[row]], row_starts[source_rows[row] + 1]
            if 2 * (high - low) <= inputs:
                _add_columns(sums, (row - begin) * width, panels, panel, indices, low, high)
    for row in range(begin, end):
        r, slot, source = row - begin, state_rows[row], source_rows[row]
        low, high = row_starts[source], row_starts[source + 1]
        count = _sum_fan_out(fan_out, indices, low, high)
        if delay.size:
            now = (rows.clock + steps[row]) % depth
            for k in range(low, high):
                i = np.uint32(indices[k])
                message = messages[k] if graded else np.int32(1)
                for j in range(outputs):
                    when = (now + delay[i, j % delay.shape[1]]) % depth
                    product = np.int32(np.int32(weight[i, j] * message) << weight_shift)
                    ring[slot, when, j] = ring[slot, when, j] + (product >> weight_shift)
            for j in range(outputs):
                sums[r, j] = ring[slot, now, j]
                ring[slot, now, j] = 0
        elif graded:
            for k in range(low, high):
                i = np.uint32(indices[k])
                message = messages[k]
                for j in range(outputs):
                    sums[r, j] = sums[r, j] + weight[i, j] * message
            for j in range(outputs):
                sums[r, j] = np.int32(np.int32(sums[r, j]) << weight_shift) >> weight_shift
        else:
            if 2 * (high - low) > inputs:  # the others are fewer
                silent = _list_silent(indices, low, high, inputs, index_buffer)
                _add_rows(sums, r * width, weight, panels, index_buffer, 0, silent)
            elif not panels.weight.size:
                _add_rows(sums, r * width, weight, panels, indices, low, high)
            if events.inverted != (2 * (high - low) > inputs):
                for j in range(outputs):
                    sums[r, j] = all_inputs_sum[j] - sums[r, j]
            if events.inverted:
                count = synapses.nonzero_weights - count
        if recurrent.size:
            own = 0
            for j in range(outputs):
                if recent[slot, j]:
                    index_buffer[own] = j
                    count += fan_out_recurrent[j]
                    own += 1
            if graded:
                for j in range(outputs):
                    back = np.int32(0)
                    for k in range(own):
                        back = np.int32(back + recurrent[index_buffer[k], j] * recent[slot, index_buffer[k]])
                    sums[r, j] = sums[r, j] + (np.int32(back << weight_shift) >> weight_shift)
            else:
                _add_rows(sums, r * width, recurrent, recurrent_panels, index_buffer, 0, own)
        operations[row] = count


def _sum_conv_inputs(
    synapses: Any, events: Any, rows: Any, state: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Adds up in ``scratch.sums`` what reaches a convolution in the rows ``begin`` to ``end``."""
    weight, fan_out = synapses.weight, synapses.fan_out
    column_run_starts, column_runs = synapses.column_run_starts, synapses.column_runs
    row_run_starts, row_runs = synapses.row_run_starts, synapses.row_runs
    in_channels, width = np.uint32(synapses.in_channels), np.uint32(synapses.width)
    kernel_height, kernel_width = synapses.kernel
    in_a_group, out_a_group = synapses.in_a_group, synapses.out_a_group
    out_channels, out_width = synapses.out_channels, synapses.out_width
    messages, row_starts, all_inputs_sum = events.messages, events.row_starts, synapses.all_inputs_sum
    graded = messages.size > 0
    inputs, all_fan_out = fan_out.size, fan_out.sum()
    for row in range(begin, end):
        sums, fed = scratch.sums[row - begin], rows.source_row[row]
        low, high = row_starts[fed], row_starts[fed + 1]
        indices = events.indices
        silent = events.inverted
        if not silent and not graded and 2 * (high - low) > inputs and rows.ascending:
            low, high = 0, _list_silent(indices, low, high, inputs, scratch.index_buffer)
            indices = scratch.index_buffer
            silent = True
        if silent:
            for j in range(sums.size):
                sums[j] = all_inputs_sum[j]
        count = np.int64(0)
        start = np.uint32(0)
        in_row = in_column = np.uint32(0)
        for k in range(low, high):
            i = np.uint32(indices[k])
            count += fan_out[i]
            if np.uint32(i - start) >= in_channels:  # another pixel than the last one, or below it
                pixel = np.uint32(i // in_channels)
                start = np.uint32(pixel * in_channels)
                in_row = np.uint32(pixel // width)
                in_column = np.uint32(pixel - in_row * width)
            c = np.int64(i - start)
            offset = np.int64(0) if in_a_group == in_channels else c // in_a_group * out_a_group
            message = messages[k] if graded else np.int32(1)
            for m in range(column_run_starts[in_column], column_run_starts[in_column + 1]):
                left = (c * kernel_height * kernel_width + column_runs[m, 0]) * out_a_group
                right = column_runs[m, 1] * out_channels + offset
                length = column_runs[m, 2] * out_a_group
                for r in range(row_run_starts[in_row], row_run_starts[in_row + 1]):
                    source = left + row_runs[r, 0] * kernel_width * out_a_group
                    target = right + row_runs[r, 1] * out_width * out_channels
                    if graded:
                        for j in range(length):
                            sums[target + j] = sums[target + j] + weight[source + j] * message
                    elif silent:
                        _subtract_run(sums, target, weight, source, length)
                    else:
                        _add_run(sums, target, weight, source, length)
        if synapses.wraps:
            for j in range(sums.size):
                held = np.int64(sums[j])
                if abs(held) >= 1 << 31:
                    held = np.int64(0)
                sums[j] = ((held + _STATE_LIMIT) & _STATE_MASK) - _STATE_LIMIT
        operations[row] = all_fan_out - count if silent else count


def _call_instruction(builder: Any, name: str, values: Any, result: Any = None) -> Any:
    """Calls an instruction of the processor by its LLVM name."""
    kind = ir.FunctionType(result or ir.VoidType(), [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


_SIXTEEN_INTS = ir.VectorType(ir.IntType(32), 16)


@intrinsic
def _vector_product(
    context: Any, x: Any, i: Any, stride: Any, panel: Any, j: Any, step: Any, sums: Any, k: Any, width: Any
) -> Any:
    """``sums``[8 rows from k, 32 columns] = ``x``[8 rows from i] times 32 columns of ``panel`` from j.

    ``stride``: bytes of a row of ``x``; ``step``: bytes of 16 columns of the panel; ``width``: items of a row of
    ``sums``.
    """
    height, columns = 8, 2

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, i, stride, panel, j, step, sums, k, width = values
        zero = ir.Constant(_SIXTEEN_INTS, [0] * 16)
        totals = [[cgutils.alloca_once_value(builder, zero) for _ in range(columns)] for _ in range(height)]
        for place in (place for row in totals for place in row):
            builder.store(zero, place)
        with cgutils.for_range(builder, builder.lshr(stride, _WORD(2)), intp=_WORD) as loop:
            weights = []
            for column in range(columns):
                at = builder.add(builder.add(j, builder.mul(loop.index, _WORD(64))), builder.mul(step, _WORD(column)))
                weights.append(
                    builder.load(_pointer(context, builder, signature.args[3], panel, at, _SIXTEEN_INTS), align=1)
                )
            for row in range(height):
                at = builder.add(builder.add(i, builder.mul(loop.index, _WORD(4))), builder.mul(stride, _WORD(row)))
                four = builder.load(_pointer(context, builder, signature.args[0], x, at, ir.IntType(32)), align=1)
                spread = _broadcast(builder, four, _SIXTEEN_INTS)
                for column in range(columns):
                    held = [builder.load(totals[row][column]), spread, weights[column]]
                    total = _call_instruction(builder, "avx512.vpdpbusd.512", held, _SIXTEEN_INTS)
                    builder.store(total, totals[row][column])
        for row in range(height):
            for column in range(columns):
                at = builder.add(builder.add(k, builder.mul(width, _WORD(row))), _WORD(16 * column))
                place = _pointer(context, builder, signature.args[6], sums, at, _SIXTEEN_INTS)
                builder.store(builder.load(totals[row][column]), place, align=4)
        return context.get_dummy_value()

    n = types.int64
    return types.void(x, n, n, panel, n, n, sums, n, n), generate


@intrinsic
def _tile_product(
    context: Any, x: Any, i: Any, stride: Any, panel: Any, j: Any, step: Any, sums: Any, k: Any, width: Any
) -> Any:
    """As :func:`_vector_product` for 32 rows: four tiles of 16 x 16 sums."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, i, stride, panel, j, step, sums, k, width = values

        def load(tile: int, kind: Any, array: Any, at: Any, row: Any) -> None:
            _call_instruction(
                builder, "tileloadd64", [_BYTE(tile), _pointer(context, builder, kind, array, at, _BYTE), row]
            )

        below = builder.mul(stride, _WORD(16))
        for tile in range(4):
            _call_instruction(builder, "tilezero", [_BYTE(tile)])
        with cgutils.for_range(builder, builder.lshr(stride, _WORD(6)), intp=_WORD) as loop:
            left = builder.add(i, builder.mul(loop.index, _WORD(64)))
            right = builder.add(j, builder.mul(loop.index, _WORD(1024)))
            load(4, signature.args[0], x, left, stride)
            load(6, signature.args[3], panel, right, _WORD(64))
            load(5, signature.args[0], x, builder.add(left, below), stride)
            load(7, signature.args[3], panel, builder.add(right, step), _WORD(64))
            for tile, (rows, columns) in enumerate(((4, 6), (4, 7), (5, 6), (5, 7))):
                _call_instruction(builder, "tdpbusd", [_BYTE(tile), _BYTE(rows), _BYTE(columns)])
        lower = builder.mul(width, _WORD(16))
        for tile, offset in enumerate((_WORD(0), _WORD(16), lower, builder.add(lower, _WORD(16)))):
            place = _pointer(context, builder, signature.args[6], sums, builder.add(k, offset), _BYTE)
            _call_instruction(builder, "tilestored64", [_BYTE(tile), place, builder.mul(width, _WORD(4))])
        return context.get_dummy_value()

    n = types.int64
    return types.void(x, n, n, panel, n, n, sums, n, n), generate


@intrinsic
def _set_tiles(context: Any, config: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _call_instruction(
            builder, "ldtilecfg", [_pointer(context, builder, signature.args[0], values[0], _WORD(0), _BYTE)]
        )
        return context.get_dummy_value()

    return types.void(config), generate


@intrinsic
def _release_tiles(context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _call_instruction(builder, "tilerelease", [])
        return context.get_dummy_value()

    return types.void(), generate


def _multiply(synapses: Any, fed: Any, begin: int, sums: Any, rows: int) -> None:
    """``sums`` (flat) = so many ``rows`` of bytes, which begin at ``fed[begin]``, times the matrix of ``synapses``."""


@overload(_multiply, strict=False)
def _choose_multiply(synapses: Any, fed: Any, begin: int, sums: Any, rows: int) -> Any:
    return _multiply_tiles if _is_tuple_of(synapses, TileMatrix) else _multiply_vectors


def _multiply_tiles(synapses: Any, fed: Any, begin: int, sums: Any, rows: int) -> None:
    inputs, width = synapses.inputs, synapses.width
    _set_tiles(synapses.tile_config)
    for k in range(0, width, 32):
        _tile_product(fed, begin, inputs, synapses.weights, k * inputs, 16 * inputs, sums, k, width)
    _release_tiles()


def _multiply_vectors(synapses: Any, fed: Any, begin: int, sums: Any, rows: int) -> None:
    inputs, width = synapses.inputs, synapses.width
    for k in range(0, width, 32):
        for row in range(0, rows, 8):
            first, to = begin + row * inputs, row * width + k
            _vector_product(fed, first, inputs, synapses.weights, k * inputs, 16 * inputs, sums, to, width)


def _sum_matrix_inputs(
    synapses: Any, events: Any, rows: Any, state: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Multiplies what was sent in the rows ``begin`` to ``end``, at most 32, into ``scratch.sums``."""
    source = rows.source_row
    sums = scratch.sums.reshape(-1)
    if source[end - 1] - source[begin] == end - 1 - begin:  # they ascend: one block
        _multiply(synapses, events.spike_bytes.reshape(-1), source[begin] * synapses.inputs, sums, end - begin)
    else:
        for row in range(begin, end):
            scratch.gathered_bytes[row - begin] = events.spike_bytes[source[row]]
        _multiply(synapses, scratch.gathered_bytes.reshape(-1), 0, sums, end - begin)
    for row in range(begin, end):
        count = np.int64(0)
        for digit in range(synapses.fan_out_digits):
            count += np.int64(scratch.sums[row - begin, synapses.outputs + digit]) << (7 * digit)
        operations[row] = count


# -- neurons: what a layer makes of it ----------------------------------------------------------------------------


def _update_neurons(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None: ...


@overload(_update_neurons, strict=False)
def _choose_update_neurons(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> Any:
    functions: dict[Any, Any] = {
        CubaParameters: _update_cuba,
        DeltaParameters: _update_delta,
        SigmaDeltaParameters: _update_sigma_delta,
        SigmaParameters: _update_sigma,
    }
    return functions.get(getattr(parameters, "instance_class", None))


def _update_cuba(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """A step of all neurons (``PyLifModelBitAcc``) for each of the rows ``begin`` to ``end``.

    Empties ``scratch.sums`` and appends the spikes to ``out``.
    """
    current_keep, voltage_keep = parameters.current_keep, parameters.voltage_keep
    threshold, bias, shift = parameters.threshold, parameters.bias, parameters.shift
    # No slices in here: counting references to them takes longer than a small layer.
    u, v, sums, peak, state_rows = state.u, state.v, scratch.sums, state.peak, rows.state_row
    trace_u, trace_v = trace.u, trace.v
    indices, row_starts, as_bytes = out.indices, out.row_starts, out.spike_bytes.size > 0
    fired = out.spike_bytes if as_bytes else scratch.fired
    k = row_starts[begin]
    for row in range(begin, end):
        state_row, fired_row = state_rows[row], row if as_bytes else 0
        if peak[state_row] < _SMALL_STATE:
            peak[state_row] = _step_small(
                u, v, state_row, sums, row - begin, fired, fired_row, shift, current_keep, voltage_keep, threshold, bias
            )
        else:
            peak[state_row] = _step_any(
                u, v, state_row, sums, row - begin, fired, fired_row, shift, current_keep, voltage_keep, threshold, bias
            )
        _record_states(trace_u, row, u, state_row)
        _record_states(trace_v, row, v, state_row)
        if as_bytes:
            for j in range(u.shape[1]):
                k += fired[fired_row, j]
        else:
            k = _list_nonzero(fired, 0, indices, k)
        row_starts[row + 1] = k


@njit
def _record_states(trace: Any, row: int, states: Any, state_row: int) -> None:
    """Records a row of states, where that is wanted."""
    if trace.size:
        for j in range(states.shape[1]):
            trace[row, j] = states[state_row, j]


@njit
def _decay_small(state: Any, keep: Any) -> Any:
    """What a decay leaves of a state below ``_SMALL_STATE``, rounded towards zero."""
    product = np.int32(state * keep)
    return np.int32(np.int32(product + (np.int32(state >> 31) & 4095)) >> 12)


@njit
def _decay_any(state: Any, keep: Any) -> Any:
    """The same of any state of 24 bits."""
    product = np.int64(state) * keep
    return np.int32((product + ((product >> 63) & 4095)) >> 12)


def _cuba_step(decayed: Any) -> Any:
    """A step of all neurons of a sample, with one way to let states decay."""

    @njit(nogil=True)
    def step(
        u: Any, v: Any, state_row: int, sums: Any, sums_row: int, fired: Any, fired_row: int, shift: int,
        current_keep: Any, voltage_keep: Any, threshold: Any, bias: Any,
    ) -> Any:  # fmt: skip
        """Of row ``state_row`` of ``u`` and ``v``, ``sums_row`` of ``sums``, ``fired_row`` of ``fired``.

        Returns an int32 with the highest bit of the size of any new state.

        A loop from 0 on, of 32 bits throughout: what the compiler turns into SIMD code.
        """
        peak = np.int32(0)
        for j in range(u.shape[1]):
            # That the shift is less than 32 lets the compiler keep to 32 bits.
            arriving = np.int32(np.int32(sums[sums_row, j]) << (shift & 31))
            current = np.int32(decayed(u[state_row, j], _of_neuron(current_keep, j)) + arriving)
            sums[sums_row, j] = 0
            # Lava tests the wrapped value from below and adds to the one before: 2**23 stays, -2**23 gets 2**23.
            wrapped = np.int32(current - 2 * _STATE_LIMIT) if current > _STATE_LIMIT else current
            current = np.int32(current + 2 * _STATE_LIMIT) if wrapped <= -_STATE_LIMIT else wrapped
            u[state_row, j] = current
            voltage = np.int32(decayed(v[state_row, j], _of_neuron(voltage_keep, j)) + current)
            voltage = np.int32(voltage + _of_neuron(bias, j))
            voltage = min(max(voltage, np.int32(1 - _STATE_LIMIT)), np.int32(_STATE_LIMIT - 1))
            fires = voltage > _of_neuron(threshold, j)
            fired[fired_row, j] = fires
            voltage = np.int32(0) if fires else voltage
            v[state_row, j] = voltage
            peak = np.int32(peak | np.int32(abs(current)) | np.int32(abs(voltage)))
        return peak

    return step


_step_small, _step_any = _cuba_step(_decay_small), _cuba_step(_decay_any)


def _update_delta(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_update_cuba`, of ``PyDeltaModelFixed``."""
    k = out.row_starts[begin]
    for row in range(begin, end):
        state_row = rows.state_row[row]
        residue, activation, sums = state.v[state_row], state.act[state_row], scratch.sums[row - begin]
        for j in range(activation.size):
            new = np.int32(np.int32(sums[j]) << parameters.input_shift)
            sums[j] = 0
            k = _send_change(parameters, new, j, activation, residue, out, k)
        _record_states(trace.u, row, state.u, state_row)
        _record_states(trace.v, row, state.v, state_row)
        out.row_starts[row + 1] = k


def _update_sigma_delta(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_update_cuba`, of ``PySigmaDeltaModelFixed`` with its ReLU."""
    k = out.row_starts[begin]
    for row in range(begin, end):
        state_row = rows.state_row[row]
        sigma, residue, activation, sums = (
            state.u[state_row],
            state.v[state_row],
            state.act[state_row],
            scratch.sums[row - begin],
        )
        for j in range(sigma.size):
            total = np.int32(sigma[j] + np.int32(sums[j]))
            sums[j] = 0
            sigma[j] = total
            new = max(np.int32(total + _of_neuron(parameters.bias, j)), np.int32(0))
            k = _send_change(parameters, new, j, activation, residue, out, k)
        _record_states(trace.u, row, state.u, state_row)
        _record_states(trace.v, row, state.v, state_row)
        out.row_starts[row + 1] = k


@njit
def _send_change(parameters: Any, new: Any, j: int, activation: Any, residue: Any, out: Any, k: int) -> int:
    """Sends the change of the activation to ``new`` if it is large enough, otherwise keeps it as residue."""
    delta = np.int32(np.int32(new - activation[j]) + residue[j])
    activation[j] = new
    sends = (
        np.int32(abs(delta)) >= parameters.threshold
    )  # the smallest int32 has no absolute value: never sent, as in Lava
    residue[j] = 0 if sends else delta
    message = delta >> parameters.state_exp
    if sends and message:
        out.indices[k] = j
        out.messages[k] = message
        k += 1
    return k


def _update_sigma(
    parameters: Any, rows: Any, state: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_update_cuba`, of ``PySigmaModelFixed``."""
    k = out.row_starts[begin]
    for row in range(begin, end):
        sigma, sums = state.u[rows.state_row[row]], scratch.sums[row - begin]
        for j in range(sigma.size):
            total = np.int32(sigma[j] + np.int32(sums[j]))
            sums[j] = 0
            sigma[j] = total
            if total:
                out.indices[k] = j
                out.messages[k] = total
                k += 1
        _record_states(trace.u, row, state.u, rows.state_row[row])
        _record_states(trace.v, row, state.v, rows.state_row[row])
        out.row_starts[row + 1] = k


# -- layers -------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _record_sent(trace: Any, out: Any, begin: int, end: int) -> None:
    for row in range(begin, end):
        sent = trace.s[row]
        if out.spike_bytes.size:
            sent[:] = out.spike_bytes[row, : sent.size]
            continue
        sent[:] = 0
        for k in range(out.row_starts[row], out.row_starts[row + 1]):
            sent[out.indices[k]] = out.messages[k] if out.messages.size else 1


@njit(cache=True, nogil=True)
def run_layer(
    events: Any,
    rows: Any,
    synapses: Any,
    parameters: Any,
    state: Any,
    scratch: Any,
    out: Any,
    operations: Any,
    trace: Any,
) -> None:
    """One layer through ``rows``, which follow one another in time for each sample.

    Fills ``out``, ``operations`` and ``trace``. Rows go through in blocks as high as ``scratch.sums``: first all that
    arrives in a block is summed, then all neurons are updated. Where a step depends on the one before through
    ``state.recent``, a block is a single row.
    """
    out.row_starts[0] = 0
    height = 1 if state.recent.size > 0 else len(scratch.sums)  # 32 for a matrix
    count = rows.state_row.size
    for begin in range(0, count, height):
        end = min(begin + height, count)
        _sum_inputs(synapses, events, rows, state, scratch, begin, end, operations)
        _update_neurons(parameters, rows, state, scratch, out, trace, begin, end)
        if state.recent.size:
            recent = state.recent[rows.state_row[begin]]
            recent[:] = 0
            for k in range(out.row_starts[begin], out.row_starts[end]):
                recent[out.indices[k]] = out.messages[k] if out.messages.size and events.messages.size else 1
        if trace.s.size:
            _record_sent(trace, out, begin, end)


def _feed_values(parameters: Any, values: Any, scratch: Any) -> None: ...


@overload(_feed_values, strict=False)
def _choose_feed_values(parameters: Any, values: Any, scratch: Any) -> Any:
    if _is_tuple_of(parameters, DeltaParameters):
        return _feed_delta
    return _feed_cuba if _is_tuple_of(parameters, CubaParameters) else None


def _feed_delta(parameters: Any, values: Any, scratch: Any) -> None:
    scratch.sums[0] = values


def _feed_cuba(parameters: Any, values: Any, scratch: Any) -> None:
    for j in range(values.size):
        parameters.bias[j] = np.int32(np.int16(values[j])) << 6


@njit(cache=True, nogil=True)
def run_input(values: Any, rows: Any, parameters: Any, state: Any, scratch: Any, out: Any, trace: Any) -> None:
    """An input block, fed ``values``. Fills ``out`` and ``trace``; it has no synapses, hence no operations."""
    out.row_starts[0] = 0
    for row in range(rows.state_row.size):
        _feed_values(parameters, values[row], scratch)
        _update_neurons(parameters, rows, state, scratch, out, trace, row, row + 1)
        if trace.s.size:
            _record_sent(trace, out, row, row + 1)
