"""The inner loops, in the integers of Lava's fixed-point models.

Work is proportional to spikes. Between layers travel *events*: for each sample and step (a row) the ascending indices
of the neurons that sent something. Maps lie as (H, W, C), so that a spike of a convolution adds contiguous runs.
Accumulators have 16 bits where no input whatever can overflow them, otherwise 32. Where many neurons spike and the
processor multiplies matrices of bytes, a dense layer is such a product, and rows of bytes travel instead of events.

All in one file: numba's cache looks at this file's time stamp alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic, overload

_HALF = 1 << 23
_MASK24 = (1 << 24) - 1
_SMALL = 1 << 19  # states below need no 64 bits to decay: 2**19 * 4096 = 2**31
_BYTES = np.uint64(0x7F7F7F7F7F7F7F7F)
_BITS = (  # the places of the bits of each byte, a byte each
    np.array([[*np.flatnonzero(byte >> np.arange(8) & 1), *[0] * 8][:8] for byte in range(256)], np.uint8)
    .view(np.uint64)
    .ravel()
)
COLUMNS = 64  # of a panel: a spike adds a cache line
SLACK = 8  # items that a list of events has room for behind its end


class Events(NamedTuple):
    """Row r holds ``at[first[r]:first[r + 1]]``."""

    at: np.ndarray  # int32, SLACK more than needed; ascending within a row, but for the input of a convolution
    value: np.ndarray  # int32: messages of graded spikes; empty for spikes of 1
    first: np.ndarray  # int64 (rows + 1,)
    inverted: bool  # these are the neurons that did not spike: fewer, where most did
    sent: np.ndarray  # uint8 (rows + 32, n rounded up to 64) of 0 and 1, instead of ``at``; or (0, 0)


class Rows(NamedTuple):
    """The samples and steps to run, arrays int64 (rows,)."""

    slot: np.ndarray  # row of the sample's state in :class:`Arrays`
    source: np.ndarray  # row of what the layer is fed
    step: np.ndarray  # of this stretch, from 0
    clock: int  # steps that ran before
    ascending: bool  # so are the indices within the rows of what the layer is fed


class Panels(NamedTuple):
    """Weights as spikes add them up: COLUMNS of all rows lie together, and stay in the innermost cache for steps."""

    weight: np.ndarray  # int8 (ceil(out / COLUMNS), in, COLUMNS), each row a cache line; (0, 0, 0): no bytes, no spikes
    fours: bool  # the sum of any four rows fits 8 bits


class DenseSynapses(NamedTuple):
    weight: np.ndarray  # int8 or int16 (in, out)
    panels: Panels
    reach: int  # weights other than 0
    total: np.ndarray  # int32 (out,): sum of all rows
    delay: np.ndarray  # uint8 (in, out), (in, 1), or (0, 0) for none
    recurrent: np.ndarray  # as weight, (out, out), or (0, 0)
    recurrent_panels: Panels
    fan_out: np.ndarray  # int64 (in,): weights other than 0
    fan_out_recurrent: np.ndarray  # int64 (out,) or (0,)
    lift: int  # bits by which Lava holds the weights shifted up: sums of graded spikes wrap at 32 - lift


class VectorMatrix(NamedTuple):
    """A dense layer as a matrix, for AVX-512 VNNI. Behind the weights of a row stand the digits of its fan-out."""

    panel: np.ndarray  # int8, flat: (width / 16, inputs / 4, 16, 4)
    config: np.ndarray  # uint8 (64,): shapes of the tiles
    inputs: int  # rounded up to 64
    outputs: int
    width: int  # outputs and digits, rounded up to 32
    digits: int  # of the fan-out, base 128


class TileMatrix(NamedTuple):
    """The same for AMX."""

    panel: np.ndarray
    config: np.ndarray
    inputs: int
    outputs: int
    width: int
    digits: int


class ConvSynapses(NamedTuple):
    """Taps of a kernel row lie in runs: what an input column reaches side by side is added in one go."""

    weight: np.ndarray  # int8 or int16, flat: (C, kH, slot, C_out / groups)
    channels: int  # C
    width: int  # W
    kernel: tuple[int, int]
    group_in: int
    group_out: int
    out_channels: int
    out_width: int
    wraps: bool  # the sum may leave 24 bits, in which Lava keeps it; what left 32 bits before counts as 0
    row_first: np.ndarray  # int32 (H + 1,): runs of input row y are row_first[y]..row_first[y + 1]
    row_runs: np.ndarray  # int32 (n, 2): kernel row, output row
    column_first: np.ndarray  # int32 (W + 1,)
    column_runs: np.ndarray  # int32 (n, 3): slot, output column, taps
    fan_out: np.ndarray  # int64 (H * W * C,)
    total: np.ndarray  # int32 (H' * W' * C_out,): what arrives if all inputs spike


class Cuba(NamedTuple):
    """Parameters are int32: one number, or an array with one a neuron."""

    current_keep: Any  # 4096 - current_decay
    voltage_keep: Any
    threshold: Any  # state units
    bias: Any  # state units
    shift: int  # from what arrives to state units: 6, and 1 more where weights are held halved


class Delta(NamedTuple):
    threshold: int  # << (spike_exp + state_exp)
    input_shift: int  # spike_exp + state_exp
    state_exp: int


class SigmaDelta(NamedTuple):
    threshold: int
    state_exp: int
    bias: Any


class Sigma(NamedTuple):
    bias: int  # unused: a tuple without fields has no type


class Arrays(NamedTuple):
    """State of one layer, a row a sample."""

    u: np.ndarray  # int32 (samples, n): current, or sigma
    v: np.ndarray  # int32: voltage, or residue
    act: np.ndarray  # int32: activation of sigma-delta neurons, or (0, 0)
    peak: np.ndarray  # int32 (samples,): no |u| or |v| has a higher bit
    ring: np.ndarray  # what arrives in this and the next steps (samples, depth, n), or (0, 0, 0) without delays
    recent: np.ndarray  # int32: what a recurrent layer sent in the last step (samples, n), otherwise (0, 0)


class Scratch(NamedTuple):
    """Of one thread."""

    a: np.ndarray  # int16, int32 or int64 (rows, n or more): what reaches the layer in the next so many rows
    fired: np.ndarray  # uint8 (1, n)
    listed: np.ndarray  # int32 (max(in, n),)
    gathered: np.ndarray  # uint8 (32, inputs) for a matrix, otherwise (0, 0)


class Trace(NamedTuple):
    """(rows, n) each, or (0, 0) where not wanted."""

    u: np.ndarray  # int32
    v: np.ndarray  # int32
    s: np.ndarray  # uint8, or int32 for graded spikes


def _is(kind: Any, *classes: type) -> bool:
    return isinstance(kind, types.BaseNamedTuple) and kind.instance_class in classes


def _each(parameter: Any, j: int) -> Any: ...


@overload(_each, strict=False)
def _each_of(parameter: Any, j: int) -> Any:
    if isinstance(parameter, types.Array):
        return lambda parameter, j: parameter[j]
    return lambda parameter, j: np.int32(parameter)


_BYTE, _SHORT, _WORD = ir.IntType(8), ir.IntType(16), ir.IntType(64)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: Any) -> Any:
    """Pointer of type ``to`` to an item of a flat array."""
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(start, ir.PointerType(to))


def _spread(builder: Any, number: Any, kind: Any) -> Any:
    """A vector that holds one number in all places."""
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), number, ir.IntType(32)(0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), kind.count), [0] * kind.count)
    return builder.shuffle_vector(first, first, zeros)


# -- events -------------------------------------------------------------------------------------------------------


@njit
def _marks(word: Any) -> Any:
    """0x80 for each byte but 0, otherwise 0."""
    return (((word & _BYTES) + _BYTES) | word) & ~_BYTES


@njit(cache=True, nogil=True)
def mark_events(words: np.ndarray, bits: np.ndarray, counts: np.ndarray) -> None:
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
                        marks = _marks(words[n, i + bit, w]) >> np.uint64(7)
                        count += marks
                        found |= marks << np.uint64(bit)
                    lanes[w] += count
                    bits[n, i >> 3, w] = found
            for w in range(width):
                for byte in range(8):
                    counts[n, 8 * w + byte] += np.int64((lanes[w] >> np.uint64(8 * byte)) & np.uint64(255))


@njit(cache=True, nogil=True)
def find_events(bits: np.ndarray, inverted: bool, inputs: int, order: np.ndarray, at: np.ndarray, first: Any) -> None:
    """Lists spikes by sample and step.

    ``bits`` uint8 (samples, ceil(inputs / 8), steps or more) of :func:`mark_events`. ``inverted``: lists what is silent
    instead. ``order`` int32 (inputs,): new index of each input, or empty. ``first`` of :class:`Events` is given, rows
    being samples * steps; fills ``at``.
    """
    samples, eights, _ = bits.shape
    steps = (first.size - 1) // samples
    flip = 255 if inverted else 0
    last = flip >> (8 * eights - inputs)
    for n in range(samples):
        for step in range(steps):
            k = first[n * steps + step]
            for i in range(eights - 1):
                k = _list_eight(at, k, bits[n, i, step] ^ flip, 8 * i)
            _list_eight(at, k, bits[n, eights - 1, step] ^ last, 8 * eights - 8)
    _reorder(at, order, first[-1])


@njit(cache=True, nogil=True)
def list_spikes(spikes: np.ndarray, order: np.ndarray, at: np.ndarray, first: Any) -> None:
    """One step: ``spikes`` uint8 (samples, inputs), any but 0 a spike; ``order`` as of :func:`find_events`. Fills
    ``at`` and ``first``."""
    for n in range(len(spikes)):
        first[n + 1] = _list_flags(spikes, n, at, first[n])
    _reorder(at, order, first[-1])


@njit
def _reorder(at: Any, order: Any, end: int) -> None:
    if order.size:
        for k in range(end):
            at[k] = order[at[k]]


@njit
def _list_flags(flags: Any, row: int, at: Any, k: int) -> int:
    """Appends the places of the bytes of a row that are not 0 to ``at`` from ``k`` on; returns the new end."""
    count = flags.shape[1]
    whole = count // 32 * 32
    for i in range(0, whole, 32):
        bits = _marked(flags, row * count + i)
        for byte in range(0, 32, 8):
            k = _list_eight(at, k, (bits >> byte) & 255, i + byte)
    for i in range(whole, count):
        if flags[row, i]:
            at[k] = np.int32(i)
            k += 1
    return k


@njit
def _list_eight(at: Any, k: int, byte: Any, base: int) -> int:
    """Appends ``base`` + the places of the bits of ``byte``; writes eight items, however many of them count."""
    return k + _store_eight(at, k, _BITS[byte], np.int32(base), byte)


@intrinsic
def _marked(context: Any, flags: Any, i: Any) -> Any:
    """A bit for each of 32 bytes from ``i`` on that is not 0, as int64."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.VectorType(_BYTE, 32)
        flags = builder.load(_place(context, builder, signature.args[0], values[0], values[1], kind), align=1)
        marks = builder.icmp_unsigned("!=", flags, ir.Constant(kind, [0] * 32))
        return builder.zext(builder.bitcast(marks, ir.IntType(32)), _WORD)

    return types.int64(flags, types.int64), generate


@intrinsic
def _store_eight(context: Any, at: Any, k: Any, bytes_: Any, base: Any, byte: Any) -> Any:
    """``at[k:k + 8]`` = ``base`` + the eight bytes of a word; returns how many bits of ``byte`` are set."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        at, k, bytes_, base, byte = values
        kind = ir.VectorType(ir.IntType(32), 8)
        items = builder.zext(builder.bitcast(bytes_, ir.VectorType(_BYTE, 8)), kind)
        place = _place(context, builder, signature.args[0], at, k, kind)
        builder.store(builder.add(items, _spread(builder, base, kind)), place, align=4)
        return builder.ctpop(byte)

    n = types.int64
    return n(at, n, types.uint64, types.int32, n), generate


@njit
def _swap(low: Any, high: Any, bits: int, mask: Any) -> Any:
    """Exchanges the ``mask`` << bits part of ``low`` with the ``mask`` part of ``high``."""
    shift = np.uint64(bits)
    changed = ((low >> shift) ^ high) & mask
    return low ^ (changed << shift), high ^ changed


@njit(cache=True, nogil=True)
def turn_spikes(words: np.ndarray, steps: int, sent: np.ndarray) -> None:
    """``words`` as of :func:`mark_events` → ``sent`` uint64 (samples * steps.., columns): bytes of 0 and 1, a row a
    sample and step, a byte an input. Eight by eight bytes are turned at a time."""
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
                    block[r] = _marks(words[n, i + r, w]) >> np.uint64(7)
                x0, x1, x2, x3 = block[0], block[1], block[2], block[3]
                x4, x5, x6, x7 = block[4], block[5], block[6], block[7]
                x0, x4 = _swap(x0, x4, 32, b4)
                x1, x5 = _swap(x1, x5, 32, b4)
                x2, x6 = _swap(x2, x6, 32, b4)
                x3, x7 = _swap(x3, x7, 32, b4)
                x0, x2 = _swap(x0, x2, 16, b2)
                x1, x3 = _swap(x1, x3, 16, b2)
                x4, x6 = _swap(x4, x6, 16, b2)
                x5, x7 = _swap(x5, x7, 16, b2)
                x0, x1 = _swap(x0, x1, 8, b1)
                x2, x3 = _swap(x2, x3, 8, b1)
                x4, x5 = _swap(x4, x5, 8, b1)
                x6, x7 = _swap(x6, x7, 8, b1)
                block[0], block[1], block[2], block[3] = x0, x1, x2, x3
                block[4], block[5], block[6], block[7] = x4, x5, x6, x7
                row = n * steps + 8 * w
                for r in range(last):
                    sent[row + r, i >> 3] = block[r]


# -- synapses: what arrives at a layer ----------------------------------------------------------------------------


def _lanes(lanes: int, operation: str) -> Any:
    """``a[i:i + lanes] += weight[j:j + lanes]``, or ``-=``, as one vector instruction or two.

    Runs of a convolution are short: the compiler's own loops would spend their time on whether arrays overlap.
    """

    @intrinsic
    def add(context: Any, a: Any, i: Any, weight: Any, j: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            vectors = []
            for kind, array, index in ((a, values[0], values[1]), (weight, values[2], values[3])):
                item = context.get_data_type(kind.dtype)
                start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
                place = builder.bitcast(start, ir.PointerType(ir.VectorType(item, lanes)))
                vectors.append((place, builder.load(place, align=kind.dtype.bitwidth // 8), kind.dtype.bitwidth))
            (place, sums, wide), (_, added, narrow) = vectors
            if narrow < wide:
                added = builder.sext(added, sums.type)
            builder.store(getattr(builder, operation)(sums, added), place, align=wide // 8)
            return context.get_dummy_value()

        return types.void(a, types.int64, weight, types.int64), generate

    return add


_add16, _add8 = _lanes(16, "add"), _lanes(8, "add")
_subtract16, _subtract8 = _lanes(16, "sub"), _lanes(8, "sub")


@intrinsic
def _add_panel(
    context: Any, a: Any, i: Any, weight: Any, begin: Any, at: Any, low: Any, middle: Any, high: Any
) -> Any:  # fmt: skip
    """``a[i:i + COLUMNS] +=`` the sum of a panel's rows ``at[low:high]``; the panel starts at ``begin`` of ``weight``.

    Sums stay in registers. Rows are added in 8 bits, up to ``middle`` by fours, and offset by 128, so that two
    columns add up as one number of 16 bits: once as they are, once without the lower one.
    """
    parts, half = COLUMNS // 32, 16

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, i, weight, begin, at, low, middle, high = values
        kinds = signature.args
        narrow, wide = ir.VectorType(_BYTE, 2 * half), ir.VectorType(_SHORT, half)
        eight = ir.Constant(wide, [8] * half)
        zero = ir.Constant(wide, [0] * half)
        both, upper = ([cgutils.alloca_once_value(builder, zero) for _ in range(parts)] for _ in range(2))
        for place in both + upper:
            builder.store(zero, place)

        def add(first: Any, rows: int) -> None:
            """Adds as many rows."""
            sums = [ir.Constant(narrow, [-128] * (2 * half))] * parts
            for n in range(rows):
                place = _place(context, builder, kinds[4], at, builder.add(first, _WORD(n)), ir.IntType(32))
                row = builder.mul(builder.zext(builder.load(place), _WORD), _WORD(COLUMNS))
                for part in range(parts):
                    where = builder.add(builder.add(begin, row), _WORD(32 * part))
                    place = _place(context, builder, kinds[2], weight, where, narrow)
                    sums[part] = builder.add(sums[part], builder.load(place, align=1))
            for part in range(parts):
                pair = builder.bitcast(sums[part], wide)
                for total, added in ((both[part], pair), (upper[part], builder.lshr(pair, eight))):
                    builder.store(builder.add(builder.load(total), added), total)

        with cgutils.for_range_slice(builder, low, middle, _WORD(4), intp=_WORD) as (k, _):
            add(k, 4)
        with cgutils.for_range_slice(builder, middle, high, _WORD(1), intp=_WORD) as (k, _):
            add(k, 1)
        additions = builder.add(builder.lshr(builder.sub(middle, low), _WORD(2)), builder.sub(high, middle))
        offset = _spread(builder, builder.trunc(builder.shl(additions, _WORD(7)), _SHORT), wide)
        item = context.get_data_type(kinds[0].dtype)
        for part in range(parts):
            odd = builder.load(upper[part])
            even = builder.sub(builder.load(both[part]), builder.shl(odd, eight))
            order = [n // 2 + n % 2 * half for n in range(2 * half)]
            mixed = ir.Constant(ir.VectorType(ir.IntType(32), 2 * half), order)
            sums = builder.shuffle_vector(builder.sub(even, offset), builder.sub(odd, offset), mixed)
            if item.width > 16:
                sums = builder.sext(sums, ir.VectorType(item, 2 * half))
            place = _place(context, builder, kinds[0], a, builder.add(i, _WORD(32 * part)), sums.type)
            builder.store(builder.add(builder.load(place, align=item.width // 8), sums), place, align=item.width // 8)
        return context.get_dummy_value()

    n = types.int64
    return types.void(a, n, weight, n, at, n, n, n), generate


@njit
def _add_run(a: Any, i: int, weight: Any, j: int, length: int) -> None:
    """``a[i:i + length] += weight[j:j + length]``."""
    end = i + length
    while i + 16 <= end:
        _add16(a, i, weight, j)
        i += 16
        j += 16
    if i + 8 <= end:
        _add8(a, i, weight, j)
        i += 8
        j += 8
    while i < end:
        a[i] = a[i] + weight[j]
        i += 1
        j += 1


@njit
def _subtract_run(a: Any, i: int, weight: Any, j: int, length: int) -> None:
    end = i + length
    while i + 16 <= end:
        _subtract16(a, i, weight, j)
        i += 16
        j += 16
    if i + 8 <= end:
        _subtract8(a, i, weight, j)
        i += 8
        j += 8
    while i < end:
        a[i] = a[i] - weight[j]
        i += 1
        j += 1


@njit
def _add_columns(a: Any, i: int, panels: Any, panel: int, at: Any, low: int, high: int) -> None:
    """Adds the rows ``at[low:high]`` in the columns of one panel to ``a``, where the first column's item is ``i``."""
    begin = panel * panels.weight.shape[1] * COLUMNS
    room = 1024 if panels.fours else 256  # 256 sums of 8 bits fit 16
    for first in range(low, high, room):
        last = min(first + room, high)
        middle = last - (last - first) % 4 if panels.fours else first
        _add_panel(a, i + panel * COLUMNS, panels.weight, begin, at, first, middle, last)


@njit(nogil=True)
def _add_rows(a: Any, i: int, weight: Any, panels: Any, at: Any, low: int, high: int) -> None:
    """As :func:`_add_columns`, in all columns."""
    for panel in range(len(panels.weight)):
        _add_columns(a, i, panels, panel, at, low, high)
    if not panels.weight.size:
        outputs = weight.shape[1]
        for k in range(low, high):
            _add_run(a.reshape(-1), i, weight.reshape(-1), np.int64(at[k]) * outputs, outputs)


@njit
def _count(fan_out: Any, at: Any, low: int, high: int) -> int:
    """Sum of ``fan_out`` over ``at[low:high]``; numbers without a sign need no look at whether they count from the
    end."""
    count = np.int64(0)
    for k in range(np.uint64(low), np.uint64(high)):
        count += fan_out[np.uint32(at[k])]
    return count


@njit
def _list_silent(at: Any, low: int, high: int, inputs: int, listed: Any) -> int:
    """Writes the indices below ``inputs`` that are not in ``at[low:high]``, which ascends, to ``listed``; returns how
    many."""
    missing = 0
    expected = np.int32(0)
    for k in range(low, high + 1):
        stop = at[k] if k < high else np.int32(inputs)
        while expected < stop:
            listed[missing] = expected
            missing += 1
            expected += np.int32(1)
        expected = np.int32(stop + 1)
    return missing


def _collect(
    synapses: Any, x: Any, rows: Any, arrays: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None: ...  # fmt: skip


@overload(_collect, strict=False)
def _collect_of(
    synapses: Any, x: Any, rows: Any, arrays: Any, scratch: Any, begin: int, end: int, operations: Any
) -> Any:  # fmt: skip
    if _is(synapses, DenseSynapses):
        return _collect_dense
    return _collect_conv if _is(synapses, ConvSynapses) else _collect_matrix


def _collect_dense(
    synapses: Any, x: Any, rows: Any, arrays: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Adds up in ``scratch.a`` what reaches a dense layer in the rows ``begin`` to ``end``."""
    weight, recurrent, fan_out, lift = synapses.weight, synapses.recurrent, synapses.fan_out, synapses.lift
    fan_out_recurrent, total, delay = synapses.fan_out_recurrent, synapses.total, synapses.delay
    panels, recurrent_panels = synapses.panels, synapses.recurrent_panels
    at, value, first = x.at, x.value, x.first
    slots, sources, steps, a, width = rows.slot, rows.source, rows.step, scratch.a, scratch.a.shape[1]
    graded = value.size > 0
    ring, recent, listed = arrays.ring, arrays.recent, scratch.listed
    inputs, outputs = weight.shape
    depth = ring.shape[1]
    for panel in range(len(panels.weight)):
        for row in range(begin, end):
            low, high = first[sources[row]], first[sources[row] + 1]
            if 2 * (high - low) <= inputs:
                _add_columns(a, (row - begin) * width, panels, panel, at, low, high)
    for row in range(begin, end):
        r, slot, source = row - begin, slots[row], sources[row]
        low, high = first[source], first[source + 1]
        count = _count(fan_out, at, low, high)
        if delay.size:
            now = (rows.clock + steps[row]) % depth
            for k in range(low, high):
                i = np.uint32(at[k])
                message = value[k] if graded else np.int32(1)
                for j in range(outputs):
                    when = (now + delay[i, j % delay.shape[1]]) % depth
                    product = np.int32(np.int32(weight[i, j] * message) << lift)
                    ring[slot, when, j] = ring[slot, when, j] + (product >> lift)
            for j in range(outputs):
                a[r, j] = ring[slot, now, j]
                ring[slot, now, j] = 0
        elif graded:
            for k in range(low, high):
                i = np.uint32(at[k])
                message = value[k]
                for j in range(outputs):
                    a[r, j] = a[r, j] + weight[i, j] * message
            for j in range(outputs):
                a[r, j] = np.int32(np.int32(a[r, j]) << lift) >> lift
        else:
            if 2 * (high - low) > inputs:  # the others are fewer
                _add_rows(a, r * width, weight, panels, listed, 0, _list_silent(at, low, high, inputs, listed))
            elif not panels.weight.size:
                _add_rows(a, r * width, weight, panels, at, low, high)
            if x.inverted != (2 * (high - low) > inputs):
                for j in range(outputs):
                    a[r, j] = total[j] - a[r, j]
            if x.inverted:
                count = synapses.reach - count
        if recurrent.size:
            own = 0
            for j in range(outputs):
                if recent[slot, j]:
                    listed[own] = j
                    count += fan_out_recurrent[j]
                    own += 1
            if graded:
                for j in range(outputs):
                    back = np.int32(0)
                    for k in range(own):
                        back = np.int32(back + recurrent[listed[k], j] * recent[slot, listed[k]])
                    a[r, j] = a[r, j] + (np.int32(back << lift) >> lift)
            else:
                _add_rows(a, r * width, recurrent, recurrent_panels, listed, 0, own)
        operations[row] = count


def _collect_conv(
    synapses: Any, x: Any, rows: Any, arrays: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Adds up in ``scratch.a`` what reaches a convolution in the rows ``begin`` to ``end``."""
    weight, fan_out = synapses.weight, synapses.fan_out
    column_first, column_runs = synapses.column_first, synapses.column_runs
    row_first, row_runs = synapses.row_first, synapses.row_runs
    channels, width = np.uint32(synapses.channels), np.uint32(synapses.width)
    kernel_height, kernel_width = synapses.kernel
    group_in, group_out = synapses.group_in, synapses.group_out
    out_channels, out_width = synapses.out_channels, synapses.out_width
    value, first, total = x.value, x.first, synapses.total
    graded = value.size > 0
    inputs, all_fan_out = fan_out.size, fan_out.sum()
    for row in range(begin, end):
        a, fed = scratch.a[row - begin], rows.source[row]
        low, high = first[fed], first[fed + 1]
        at = x.at
        silent = x.inverted
        if not silent and not graded and 2 * (high - low) > inputs and rows.ascending:
            low, high = 0, _list_silent(at, low, high, inputs, scratch.listed)
            at = scratch.listed
            silent = True
        if silent:
            for j in range(a.size):
                a[j] = total[j]
        count = np.int64(0)
        start = np.uint32(0)
        y = z = np.uint32(0)
        for k in range(low, high):
            i = np.uint32(at[k])
            count += fan_out[i]
            if np.uint32(i - start) >= channels:  # another pixel than the last one, or below it
                pixel = np.uint32(i // channels)
                start = np.uint32(pixel * channels)
                y = np.uint32(pixel // width)
                z = np.uint32(pixel - y * width)
            c = np.int64(i - start)
            offset = np.int64(0) if group_in == channels else c // group_in * group_out
            message = value[k] if graded else np.int32(1)
            for m in range(column_first[z], column_first[z + 1]):
                left = (c * kernel_height * kernel_width + column_runs[m, 0]) * group_out
                right = column_runs[m, 1] * out_channels + offset
                length = column_runs[m, 2] * group_out
                for r in range(row_first[y], row_first[y + 1]):
                    source = left + row_runs[r, 0] * kernel_width * group_out
                    target = right + row_runs[r, 1] * out_width * out_channels
                    if graded:
                        for j in range(length):
                            a[target + j] = a[target + j] + weight[source + j] * message
                    elif silent:
                        _subtract_run(a, target, weight, source, length)
                    else:
                        _add_run(a, target, weight, source, length)
        if synapses.wraps:
            for j in range(a.size):
                held = np.int64(a[j])
                if abs(held) >= 1 << 31:
                    held = np.int64(0)
                a[j] = ((held + _HALF) & _MASK24) - _HALF
        operations[row] = all_fan_out - count if silent else count


def _intel(builder: Any, name: str, values: Any, result: Any = None) -> Any:
    """Calls an instruction of the processor by its LLVM name."""
    kind = ir.FunctionType(result or ir.VoidType(), [value.type for value in values])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.{name}"), values)


_LANES = ir.VectorType(ir.IntType(32), 16)


@intrinsic
def _vector_product(
    context: Any, x: Any, i: Any, stride: Any, panel: Any, j: Any, step: Any, a: Any, k: Any, width: Any
) -> Any:
    """``a``[8 rows from k, 32 columns] = ``x``[8 rows from i] times 32 columns of ``panel`` from j; ``stride``: bytes
    of a row of x; ``step``: bytes of 16 columns of the panel; ``width``: items of a row of a."""
    height, columns = 8, 2

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, i, stride, panel, j, step, a, k, width = values
        zero = ir.Constant(_LANES, [0] * 16)
        sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(columns)] for _ in range(height)]
        for place in (place for row in sums for place in row):
            builder.store(zero, place)
        with cgutils.for_range(builder, builder.lshr(stride, _WORD(2)), intp=_WORD) as loop:
            weights = []
            for column in range(columns):
                at = builder.add(builder.add(j, builder.mul(loop.index, _WORD(64))), builder.mul(step, _WORD(column)))
                weights.append(builder.load(_place(context, builder, signature.args[3], panel, at, _LANES), align=1))
            for row in range(height):
                at = builder.add(builder.add(i, builder.mul(loop.index, _WORD(4))), builder.mul(stride, _WORD(row)))
                four = builder.load(_place(context, builder, signature.args[0], x, at, ir.IntType(32)), align=1)
                spread = _spread(builder, four, _LANES)
                for column in range(columns):
                    held = [builder.load(sums[row][column]), spread, weights[column]]
                    total = _intel(builder, "avx512.vpdpbusd.512", held, _LANES)
                    builder.store(total, sums[row][column])
        for row in range(height):
            for column in range(columns):
                at = builder.add(builder.add(k, builder.mul(width, _WORD(row))), _WORD(16 * column))
                place = _place(context, builder, signature.args[6], a, at, _LANES)
                builder.store(builder.load(sums[row][column]), place, align=4)
        return context.get_dummy_value()

    n = types.int64
    return types.void(x, n, n, panel, n, n, a, n, n), generate


@intrinsic
def _tile_product(
    context: Any, x: Any, i: Any, stride: Any, panel: Any, j: Any, step: Any, a: Any, k: Any, width: Any
) -> Any:
    """As :func:`_vector_product` for 32 rows: four tiles of 16 x 16 sums."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        x, i, stride, panel, j, step, a, k, width = values

        def load(tile: int, kind: Any, array: Any, at: Any, row: Any) -> None:
            _intel(builder, "tileloadd64", [_BYTE(tile), _place(context, builder, kind, array, at, _BYTE), row])

        below = builder.mul(stride, _WORD(16))
        for tile in range(4):
            _intel(builder, "tilezero", [_BYTE(tile)])
        with cgutils.for_range(builder, builder.lshr(stride, _WORD(6)), intp=_WORD) as loop:
            left = builder.add(i, builder.mul(loop.index, _WORD(64)))
            right = builder.add(j, builder.mul(loop.index, _WORD(1024)))
            load(4, signature.args[0], x, left, stride)
            load(6, signature.args[3], panel, right, _WORD(64))
            load(5, signature.args[0], x, builder.add(left, below), stride)
            load(7, signature.args[3], panel, builder.add(right, step), _WORD(64))
            for tile, (rows, columns) in enumerate(((4, 6), (4, 7), (5, 6), (5, 7))):
                _intel(builder, "tdpbusd", [_BYTE(tile), _BYTE(rows), _BYTE(columns)])
        lower = builder.mul(width, _WORD(16))
        for tile, offset in enumerate((_WORD(0), _WORD(16), lower, builder.add(lower, _WORD(16)))):
            place = _place(context, builder, signature.args[6], a, builder.add(k, offset), _BYTE)
            _intel(builder, "tilestored64", [_BYTE(tile), place, builder.mul(width, _WORD(4))])
        return context.get_dummy_value()

    n = types.int64
    return types.void(x, n, n, panel, n, n, a, n, n), generate


@intrinsic
def _set_tiles(context: Any, config: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _intel(builder, "ldtilecfg", [_place(context, builder, signature.args[0], values[0], _WORD(0), _BYTE)])
        return context.get_dummy_value()

    return types.void(config), generate


@intrinsic
def _release_tiles(context: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _intel(builder, "tilerelease", [])
        return context.get_dummy_value()

    return types.void(), generate


def _multiply(synapses: Any, x: Any, i: int, a: Any, rows: int) -> None: ...


@overload(_multiply, strict=False)
def _multiply_of(synapses: Any, x: Any, i: int, a: Any, rows: int) -> Any:
    return _multiply_tiles if _is(synapses, TileMatrix) else _multiply_vectors


def _multiply_tiles(synapses: Any, x: Any, i: int, a: Any, rows: int) -> None:
    _set_tiles(synapses.config)
    for k in range(0, synapses.width, 32):
        panel = k * synapses.inputs
        _tile_product(x, i, synapses.inputs, synapses.panel, panel, 16 * synapses.inputs, a, k, synapses.width)
    _release_tiles()


def _multiply_vectors(synapses: Any, x: Any, i: int, a: Any, rows: int) -> None:
    inputs, width = synapses.inputs, synapses.width
    for k in range(0, width, 32):
        for row in range(0, rows, 8):
            _vector_product(
                x, i + row * inputs, inputs, synapses.panel, k * inputs, 16 * inputs, a, row * width + k, width
            )


def _collect_matrix(
    synapses: Any, x: Any, rows: Any, arrays: Any, scratch: Any, begin: int, end: int, operations: Any
) -> None:  # fmt: skip
    """Multiplies what was sent in the rows ``begin`` to ``end``, at most 32, into ``scratch.a``."""
    source = rows.source
    a = scratch.a.reshape(-1)
    if source[end - 1] - source[begin] == end - 1 - begin:  # they ascend: one block
        _multiply(synapses, x.sent.reshape(-1), source[begin] * synapses.inputs, a, end - begin)
    else:
        for row in range(begin, end):
            scratch.gathered[row - begin] = x.sent[source[row]]
        _multiply(synapses, scratch.gathered.reshape(-1), 0, a, end - begin)
    for row in range(begin, end):
        count = np.int64(0)
        for digit in range(synapses.digits):
            count += np.int64(scratch.a[row - begin, synapses.outputs + digit]) << (7 * digit)
        operations[row] = count


# -- neurons: what a layer makes of it ----------------------------------------------------------------------------


def _respond(neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int) -> None: ...


@overload(_respond, strict=False)
def _respond_of(neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int) -> Any:
    for kind, function in ((Cuba, _respond_cuba), (SigmaDelta, _respond_sigma_delta), (Delta, _respond_delta)):
        if _is(neuron, kind):
            return function
    return _respond_sigma if _is(neuron, Sigma) else None


def _respond_cuba(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """A step of all neurons (``PyLifModelBitAcc``) for each of the rows ``begin`` to ``end``; empties ``scratch.a`` and
    appends the spikes to ``out``."""
    current_keep, voltage_keep = neuron.current_keep, neuron.voltage_keep
    threshold, bias, shift = neuron.threshold, neuron.bias, neuron.shift
    # No slices in here: counting references to them takes longer than a small layer.
    u, v, a, peak, slots = arrays.u, arrays.v, scratch.a, arrays.peak, rows.slot
    kept_u, kept_v = trace.u, trace.v
    at, first, bytewise = out.at, out.first, out.sent.size > 0
    fired = out.sent if bytewise else scratch.fired
    k = first[begin]
    for row in range(begin, end):
        n, m = slots[row], row if bytewise else 0
        if peak[n] < _SMALL:
            peak[n] = _step_small(u, v, n, a, row - begin, fired, m, shift, current_keep, voltage_keep, threshold, bias)
        else:
            peak[n] = _step_any(u, v, n, a, row - begin, fired, m, shift, current_keep, voltage_keep, threshold, bias)
        _note(kept_u, row, u, n)
        _note(kept_v, row, v, n)
        if bytewise:
            for j in range(u.shape[1]):
                k += fired[m, j]
        else:
            k = _list_flags(fired, 0, at, k)
        first[row + 1] = k


@njit
def _note(kept: Any, row: int, states: Any, slot: int) -> None:
    """Notes a row of states, where that is wanted."""
    if kept.size:
        for j in range(states.shape[1]):
            kept[row, j] = states[slot, j]


@njit
def _keep_small(state: Any, keep: Any) -> Any:
    """What a decay leaves of a state below ``_SMALL``, rounded towards zero."""
    product = np.int32(state * keep)
    return np.int32(np.int32(product + (np.int32(state >> 31) & 4095)) >> 12)


@njit
def _keep_any(state: Any, keep: Any) -> Any:
    product = np.int64(state) * keep
    return np.int32((product + ((product >> 63) & 4095)) >> 12)


def _stepping(kept: Any) -> Any:
    """A step of all neurons of a sample, with one way to let states decay."""

    @njit(nogil=True)
    def step(
        u: Any, v: Any, n: int, a: Any, r: int, fired: Any, m: int, shift: int, current_keep: Any, voltage_keep: Any,
        threshold: Any, bias: Any,
    ) -> Any:  # fmt: skip
        """Takes row ``n`` of ``u`` and ``v``, ``r`` of ``a``, ``m`` of ``fired``. Returns an int32 with the highest bit
        of the size of any new state.

        A loop from 0 on, of 32 bits throughout: what the compiler turns into SIMD code.
        """
        peak = np.int32(0)
        for j in range(u.shape[1]):
            # That the shift is less than 32 lets the compiler keep to 32 bits.
            current = np.int32(kept(u[n, j], _each(current_keep, j)) + np.int32(np.int32(a[r, j]) << (shift & 31)))
            a[r, j] = 0
            # Lava tests the wrapped value from below and adds to the one before: 2**23 stays, -2**23 gets 2**23.
            wrapped = np.int32(current - 2 * _HALF) if current > _HALF else current
            current = np.int32(current + 2 * _HALF) if wrapped <= -_HALF else wrapped
            u[n, j] = current
            voltage = np.int32(np.int32(kept(v[n, j], _each(voltage_keep, j)) + current) + _each(bias, j))
            voltage = min(max(voltage, np.int32(1 - _HALF)), np.int32(_HALF - 1))
            fires = voltage > _each(threshold, j)
            fired[m, j] = fires
            voltage = np.int32(0) if fires else voltage
            v[n, j] = voltage
            peak = np.int32(peak | np.int32(abs(current)) | np.int32(abs(voltage)))
        return peak

    return step


_step_small, _step_any = _stepping(_keep_small), _stepping(_keep_any)


def _respond_delta(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_respond_cuba`, of ``PyDeltaModelFixed``."""
    k = out.first[begin]
    for row in range(begin, end):
        slot = rows.slot[row]
        residue, act, a = arrays.v[slot], arrays.act[slot], scratch.a[row - begin]
        for j in range(act.size):
            new = np.int32(np.int32(a[j]) << neuron.input_shift)
            a[j] = 0
            k = _send_change(neuron, new, j, act, residue, out, k)
        _note(trace.u, row, arrays.u, slot)
        _note(trace.v, row, arrays.v, slot)
        out.first[row + 1] = k


def _respond_sigma_delta(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_respond_cuba`, of ``PySigmaDeltaModelFixed`` with its ReLU."""
    k = out.first[begin]
    for row in range(begin, end):
        slot = rows.slot[row]
        sigma, residue, act, a = arrays.u[slot], arrays.v[slot], arrays.act[slot], scratch.a[row - begin]
        for j in range(sigma.size):
            total = np.int32(sigma[j] + np.int32(a[j]))
            a[j] = 0
            sigma[j] = total
            new = max(np.int32(total + _each(neuron.bias, j)), np.int32(0))
            k = _send_change(neuron, new, j, act, residue, out, k)
        _note(trace.u, row, arrays.u, slot)
        _note(trace.v, row, arrays.v, slot)
        out.first[row + 1] = k


@njit
def _send_change(neuron: Any, new: Any, j: int, act: Any, residue: Any, out: Any, k: int) -> int:
    """Sends the change of the activation to ``new`` if it is large enough, otherwise keeps it as residue."""
    delta = np.int32(np.int32(new - act[j]) + residue[j])
    act[j] = new
    sends = np.int32(abs(delta)) >= neuron.threshold  # the smallest int32 has no absolute value: never sent, as in Lava
    residue[j] = 0 if sends else delta
    message = delta >> neuron.state_exp
    if sends and message:
        out.at[k] = j
        out.value[k] = message
        k += 1
    return k


def _respond_sigma(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_respond_cuba`, of ``PySigmaModelFixed``."""
    k = out.first[begin]
    for row in range(begin, end):
        sigma, a = arrays.u[rows.slot[row]], scratch.a[row - begin]
        for j in range(sigma.size):
            total = np.int32(sigma[j] + np.int32(a[j]))
            a[j] = 0
            sigma[j] = total
            if total:
                out.at[k] = j
                out.value[k] = total
                k += 1
        _note(trace.u, row, arrays.u, rows.slot[row])
        _note(trace.v, row, arrays.v, rows.slot[row])
        out.first[row + 1] = k


# -- layers -------------------------------------------------------------------------------------------------------


@njit(nogil=True)
def _note_sent(trace: Any, out: Any, begin: int, end: int) -> None:
    for row in range(begin, end):
        sent = trace.s[row]
        if out.sent.size:
            sent[:] = out.sent[row, : sent.size]
            continue
        sent[:] = 0
        for k in range(out.first[row], out.first[row + 1]):
            sent[out.at[k]] = out.value[k] if out.value.size else 1


@njit(cache=True, nogil=True)
def run_layer(
    x: Any, rows: Any, synapses: Any, neuron: Any, arrays: Any, scratch: Any, out: Any, operations: Any, trace: Any
) -> None:
    """One layer through ``rows``, which follow one another in time for each sample.

    ``x``: what the layer before sent. Fills ``out``, ``operations`` int64 (rows,) and ``trace``. Rows go through in
    blocks as high as ``scratch.a``; of a block, first all is collected, then all neurons respond. Where a step depends
    on the one before through ``recent``, a block is a single row.
    """
    out.first[0] = 0
    height = 1 if arrays.recent.size > 0 else len(scratch.a)  # 32 for a matrix
    count = rows.slot.size
    for begin in range(0, count, height):
        end = min(begin + height, count)
        _collect(synapses, x, rows, arrays, scratch, begin, end, operations)
        _respond(neuron, rows, arrays, scratch, out, trace, begin, end)
        if arrays.recent.size:
            recent = arrays.recent[rows.slot[begin]]
            recent[:] = 0
            for k in range(out.first[begin], out.first[end]):
                recent[out.at[k]] = out.value[k] if out.value.size and x.value.size else 1
        if trace.s.size:
            _note_sent(trace, out, begin, end)


def _drive(neuron: Any, values: Any, scratch: Any) -> None: ...


@overload(_drive, strict=False)
def _drive_of(neuron: Any, values: Any, scratch: Any) -> Any:
    if _is(neuron, Delta):
        return _drive_delta
    return _drive_cuba if _is(neuron, Cuba) else None


def _drive_delta(neuron: Any, values: Any, scratch: Any) -> None:
    scratch.a[0] = values


def _drive_cuba(neuron: Any, values: Any, scratch: Any) -> None:
    for j in range(values.size):
        neuron.bias[j] = np.int32(np.int16(values[j])) << 6


@njit(cache=True, nogil=True)
def run_input(values: Any, rows: Any, neuron: Any, arrays: Any, scratch: Any, out: Any, trace: Any) -> None:
    """An input block; ``values`` int32 (rows, n)."""
    out.first[0] = 0
    for row in range(rows.slot.size):
        _drive(neuron, values[row], scratch)
        _respond(neuron, rows, arrays, scratch, out, trace, row, row + 1)
        if trace.s.size:
            _note_sent(trace, out, row, row + 1)
