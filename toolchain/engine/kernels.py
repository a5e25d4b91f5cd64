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
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic, overload

_HALF = 1 << 23
_MASK24 = (1 << 24) - 1
_SMALL = 1 << 19  # states below need no 64 bits to decay: 2**19 * 4096 = 2**31
_BYTES = np.uint64(0x7F7F7F7F7F7F7F7F)


class Events(NamedTuple):
    """Row r holds ``at[first[r]:first[r + 1]]``."""

    at: np.ndarray  # int32; ascending within a row, but for the input of a convolution
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


class DenseSynapses(NamedTuple):
    weight: np.ndarray  # int8 or int16 (in, out)
    most: np.ndarray  # int32 (in,): largest size of a weight in each row
    total: np.ndarray  # int32 (out,): sum of all rows
    delay: np.ndarray  # uint8 (in, out), (in, 1), or (0, 0) for none
    recurrent: np.ndarray  # as weight, (out, out), or (0, 0)
    most_recurrent: np.ndarray  # int32 (out,) or (0,)
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
    fired: np.ndarray  # uint8, n rounded up to 8
    fired_words: np.ndarray  # the same as uint64
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


# -- events -------------------------------------------------------------------------------------------------------


@njit
def _marks(word: Any) -> Any:
    """0x80 for each byte but 0, otherwise 0."""
    return (((word & _BYTES) + _BYTES) | word) & ~_BYTES


@njit(cache=True, nogil=True)
def count_events(words: np.ndarray, counts: np.ndarray) -> None:
    """``words`` uint64 (samples, inputs, w): bytes of timesteps, any but 0 a spike. Fills ``counts`` int64 (samples,
    8 * w): spikes in each step."""
    samples, inputs, width = words.shape
    lanes = np.empty(width, np.uint64)  # a count a byte
    for n in range(samples):
        counts[n] = 0
        for begin in range(0, inputs, 255):
            lanes[:] = 0
            for i in range(begin, min(begin + 255, inputs)):
                for w in range(width):
                    lanes[w] += _marks(words[n, i, w]) >> np.uint64(7)
            for w in range(width):
                for byte in range(8):
                    counts[n, 8 * w + byte] += np.int64((lanes[w] >> np.uint64(8 * byte)) & np.uint64(255))


@njit(cache=True, nogil=True)
def find_events(words: np.ndarray, steps: int, inverted: bool, order: np.ndarray, at: np.ndarray, first: Any) -> None:
    """Lists the spikes of samples by sample and step.

    ``words`` as of :func:`count_events`; ``steps``: how many of the bytes count. ``inverted``: lists what is silent
    instead. ``order`` int32 (inputs,): new index of each input, or empty. ``first`` of :class:`Events` is given, rows
    being samples * steps; fills ``at``.
    """
    samples, inputs, width = words.shape
    fill = np.empty(8 * width, np.int64)
    last = ~np.uint64(0) >> np.uint64(8 * (8 * width - steps))  # the bytes of the last word that count
    for n in range(samples):
        fill[:steps] = first[n * steps : (n + 1) * steps]
        for i in range(inputs):
            index = order[i] if order.size else np.int32(i)
            for w in range(width):
                marks = _marks(words[n, i, w])
                if inverted:
                    marks = ~(marks | _BYTES)
                    if w == width - 1:
                        marks &= last
                while marks:
                    step = 8 * w + np.int64(trailing_zeros(marks) >> 3)
                    marks &= marks - np.uint64(1)
                    at[fill[step]] = index
                    fill[step] += 1


@njit(cache=True, nogil=True)
def list_spikes(spikes: np.ndarray, order: np.ndarray, at: np.ndarray, first: Any) -> None:
    """One step: ``spikes`` uint8 (samples, inputs), any but 0 a spike; ``order`` as of :func:`find_events`. Fills
    ``at`` and ``first``."""
    k = 0
    for n in range(spikes.shape[0]):
        for i in range(spikes.shape[1]):
            if spikes[n, i]:
                at[k] = order[i] if order.size else np.int32(i)
                k += 1
        first[n + 1] = k


@njit
def _swap(low: Any, high: Any, bits: int, mask: Any) -> Any:
    """Exchanges the ``mask`` << bits part of ``low`` with the ``mask`` part of ``high``."""
    shift = np.uint64(bits)
    changed = ((low >> shift) ^ high) & mask
    return low ^ (changed << shift), high ^ changed


@njit(cache=True, nogil=True)
def turn_spikes(words: np.ndarray, steps: int, sent: np.ndarray) -> None:
    """``words`` as of :func:`count_events` → ``sent`` uint64 (samples * steps.., columns): bytes of 0 and 1, a row a
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


@njit
def _list_fired(words: Any, at: Any, k: int) -> int:
    """Appends the indices of bytes that are 1 to ``at`` from ``k`` on and clears the words; returns the new end."""
    for w in range(words.size):
        word = words[w]
        if word:
            words[w] = np.uint64(0)
            while word:
                at[k] = np.int32(w * 8 + np.int64(trailing_zeros(word) >> 3))
                k += 1
                word &= word - np.uint64(1)
    return k


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


def _summed(rows: int) -> Any:
    """``a[i:i + 32] +=`` the sum of ``weight[begin + i:begin + i + 32]`` over as many begins, in the bits of
    ``weight``."""

    @intrinsic
    def add(context: Any, a: Any, i: Any, weight: Any, begins: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            def place(kind: Any, array: Any, index: Any) -> Any:
                item = context.get_data_type(kind.dtype)
                start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
                return builder.bitcast(start, ir.PointerType(ir.VectorType(item, 32)))

            total = None
            for n in range(rows):
                index = builder.add(builder.extract_value(values[3], n), values[1])
                row = builder.load(place(weight, values[2], index), align=weight.dtype.bitwidth // 8)
                total = row if total is None else builder.add(total, row)
            target = place(a, values[0], values[1])
            sums = builder.load(target, align=a.dtype.bitwidth // 8)
            if weight.dtype.bitwidth < a.dtype.bitwidth:
                total = builder.sext(total, sums.type)
            builder.store(builder.add(sums, total), target, align=a.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(a, types.int64, weight, begins), generate

    return add


_add_four, _add_eight = _summed(4), _summed(8)


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


@njit(nogil=True)
def _add_rows(a: Any, weight: Any, most: Any, at: Any, low: int, high: int) -> None:
    """``a += weight[at[low:high]].sum(axis=0)``; ``most``: largest size of a weight in each row.

    Eight or four rows at a time, summed in 8 bits first where that cannot overflow. Narrow rows one by one.
    """
    flat = weight.reshape(-1)
    outputs = weight.shape[1]
    k = low
    if outputs >= 32:
        whole = outputs // 32 * 32
        while k + 4 <= high:
            r0, r1, r2, r3 = np.int64(at[k]), np.int64(at[k + 1]), np.int64(at[k + 2]), np.int64(at[k + 3])
            b0, b1, b2, b3 = r0 * outputs, r1 * outputs, r2 * outputs, r3 * outputs
            four = most[r0] + most[r1] + most[r2] + most[r3]
            k += 4
            if k + 4 <= high and whole == outputs:
                r4, r5, r6, r7 = np.int64(at[k]), np.int64(at[k + 1]), np.int64(at[k + 2]), np.int64(at[k + 3])
                if four + most[r4] + most[r5] + most[r6] + most[r7] <= 127:
                    begins = (b0, b1, b2, b3, r4 * outputs, r5 * outputs, r6 * outputs, r7 * outputs)
                    for j in range(0, whole, 32):
                        _add_eight(a, j, flat, begins)
                    k += 4
                    continue
            done = 0
            if four <= 127:
                for j in range(0, whole, 32):
                    _add_four(a, j, flat, (b0, b1, b2, b3))
                done = whole
            if done < outputs:
                _add_some(a[done:], weight[r0, done:], weight[r1, done:], weight[r2, done:], weight[r3, done:])
    while k < high:
        begin = np.int64(at[k]) * outputs
        j = np.int64(0)
        while j + 16 <= outputs:
            _add16(a, j, flat, begin + j)
            j += 16
        if j + 8 <= outputs:
            _add8(a, j, flat, begin + j)
            j += 8
        while j < outputs:
            a[j] = a[j] + flat[begin + j]
            j += 1
        k += 1


@njit(nogil=True)
def _add_some(a: Any, w0: Any, w1: Any, w2: Any, w3: Any) -> None:
    for j in range(a.size):
        a[j] = a[j] + w0[j] + w1[j] + w2[j] + w3[j]


@njit
def _count(fan_out: Any, at: Any, low: int, high: int) -> int:
    """Sum of ``fan_out`` over ``at[low:high]``, four at a time: sums that do not wait for one another."""
    c0 = c1 = c2 = c3 = np.int64(0)
    k = low
    while k + 4 <= high:
        c0 += fan_out[np.uint32(at[k])]
        c1 += fan_out[np.uint32(at[k + 1])]
        c2 += fan_out[np.uint32(at[k + 2])]
        c3 += fan_out[np.uint32(at[k + 3])]
        k += 4
    while k < high:
        c0 += fan_out[np.uint32(at[k])]
        k += 1
    return c0 + c1 + c2 + c3


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


@njit(nogil=True)
def _subtract_rows(a: Any, weight: Any, at: Any, low: int, high: int) -> None:
    for k in range(low, high):
        row = np.uint64(at[k])
        for j in range(a.size):
            a[j] = a[j] - weight[row, j]


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
    most = synapses.most
    at, value, first = x.at, x.value, x.first
    graded = value.size > 0
    ring, recent, listed = arrays.ring, arrays.recent, scratch.listed
    inputs, outputs = weight.shape
    all_fan_out = fan_out.sum()
    depth = ring.shape[1]
    for row in range(begin, end):
        a, slot, source = scratch.a[row - begin], rows.slot[row], rows.source[row]
        low, high = first[source], first[source + 1]
        count = _count(fan_out, at, low, high)
        if delay.size:
            now = (rows.clock + rows.step[row]) % depth
            for k in range(low, high):
                i = np.uint32(at[k])
                message = value[k] if graded else np.int32(1)
                for j in range(outputs):
                    when = (now + delay[i, j % delay.shape[1]]) % depth
                    product = np.int32(np.int32(weight[i, j] * message) << lift)
                    ring[slot, when, j] = ring[slot, when, j] + (product >> lift)
            for j in range(outputs):
                a[j] = ring[slot, now, j]
                ring[slot, now, j] = 0
        elif graded:
            for k in range(low, high):
                i = np.uint32(at[k])
                message = value[k]
                for j in range(outputs):
                    a[j] = a[j] + weight[i, j] * message
            for j in range(outputs):
                a[j] = np.int32(np.int32(a[j]) << lift) >> lift
        elif x.inverted:
            for j in range(outputs):
                a[j] = total[j]
            _subtract_rows(a, weight, at, low, high)
            count = all_fan_out - count
        elif 2 * (high - low) > inputs:
            for j in range(outputs):
                a[j] = total[j]
            _subtract_rows(a, weight, listed, 0, _list_silent(at, low, high, inputs, listed))
        else:
            _add_rows(a, weight, most, at, low, high)
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
                    a[j] = a[j] + (np.int32(back << lift) >> lift)
            else:
                _add_rows(a, recurrent, synapses.most_recurrent, listed, 0, own)
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


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any, to: Any) -> Any:
    """Pointer of type ``to`` to an item of a flat array."""
    start = builder.gep(context.make_array(kind)(context, builder, array).data, [index])
    return builder.bitcast(start, ir.PointerType(to))


_BYTE, _WORD = ir.IntType(8), ir.IntType(64)
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
                first = builder.insert_element(ir.Constant(_LANES, ir.Undefined), four, ir.IntType(32)(0))
                spread = builder.shuffle_vector(first, first, zero)
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
    words, at, first = scratch.fired_words, out.at, out.first
    k = first[begin]
    for row in range(begin, end):
        slot = rows.slot[row]
        u, v = arrays.u[slot], arrays.v[slot]
        a = scratch.a[row - begin][: u.size]
        fired = out.sent[row] if out.sent.size else scratch.fired
        if arrays.peak[slot] < _SMALL:
            peak = _step_small(u, v, a, fired, shift, current_keep, voltage_keep, threshold, bias)
        else:
            peak = _step_any(u, v, a, fired, shift, current_keep, voltage_keep, threshold, bias)
        arrays.peak[slot] = peak
        _note_states(trace, row, u, v)
        if out.sent.size:
            for j in range(u.size):
                k += fired[j]
        else:
            k = _list_fired(words, at, k)
        first[row + 1] = k


@njit
def _note_states(trace: Any, row: int, u: Any, v: Any) -> None:
    if trace.u.size:
        trace.u[row] = u
    if trace.v.size:
        trace.v[row] = v


@njit(nogil=True)
def _step_small(
    u: Any, v: Any, a: Any, fired: Any, shift: int, current_keep: Any, voltage_keep: Any, threshold: Any, bias: Any
) -> Any:
    """For states below ``_SMALL``: products stay in 32 bits. Returns an int32 with the highest bit of any new state.

    Two passes over few arrays each, from 0 on: what the compiler turns into SIMD code.
    """
    peak = np.int32(0)
    for j in range(a.size):
        kept = np.int32(u[j] * _each(current_keep, j))
        kept = np.int32(np.int32(kept + (np.int32(u[j] >> 31) & 4095)) >> 12)  # towards zero
        current = np.int32(kept + np.int32(np.int32(a[j]) << shift))
        a[j] = 0
        # Lava tests the wrapped value from below and adds to the one before: 2**23 stays, -2**23 gets 2**23.
        wrapped = np.int32(current - 2 * _HALF) if current > _HALF else current
        current = np.int32(current + 2 * _HALF) if wrapped <= -_HALF else wrapped
        u[j] = current
        peak = np.int32(peak | (current ^ np.int32(current >> 31)))
    for j in range(a.size):
        kept = np.int32(v[j] * _each(voltage_keep, j))
        kept = np.int32(np.int32(kept + (np.int32(v[j] >> 31) & 4095)) >> 12)
        voltage = np.int32(np.int32(kept + u[j]) + _each(bias, j))
        voltage = min(max(voltage, np.int32(1 - _HALF)), np.int32(_HALF - 1))
        fires = voltage > _each(threshold, j)
        fired[j] = fires
        voltage = np.int32(0) if fires else voltage
        v[j] = voltage
        peak = np.int32(peak | (voltage ^ np.int32(voltage >> 31)))
    return peak


@njit(nogil=True)
def _step_any(
    u: Any, v: Any, a: Any, fired: Any, shift: int, current_keep: Any, voltage_keep: Any, threshold: Any, bias: Any
) -> Any:
    """As :func:`_step_small` for any state: products take 64 bits."""
    peak = np.int32(0)
    for j in range(a.size):
        product = np.int64(u[j]) * _each(current_keep, j)
        kept = np.int32((product + ((product >> 63) & 4095)) >> 12)
        current = np.int32(kept + np.int32(np.int32(a[j]) << shift))
        a[j] = 0
        wrapped = np.int32(current - 2 * _HALF) if current > _HALF else current
        current = np.int32(current + 2 * _HALF) if wrapped <= -_HALF else wrapped
        u[j] = current
        peak = np.int32(peak | (current ^ np.int32(current >> 31)))
    for j in range(a.size):
        product = np.int64(v[j]) * _each(voltage_keep, j)
        kept = np.int32((product + ((product >> 63) & 4095)) >> 12)
        voltage = np.int32(np.int32(kept + u[j]) + _each(bias, j))
        voltage = min(max(voltage, np.int32(1 - _HALF)), np.int32(_HALF - 1))
        fires = voltage > _each(threshold, j)
        fired[j] = fires
        voltage = np.int32(0) if fires else voltage
        v[j] = voltage
        peak = np.int32(peak | (voltage ^ np.int32(voltage >> 31)))
    return peak


def _respond_delta(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_respond_cuba`, of ``PyDeltaModelFixed``."""
    k = out.first[begin]
    for row in range(begin, end):
        slot = rows.slot[row]
        residue, act, a = arrays.v[slot], arrays.act[slot], scratch.a[row - begin]
        for j in range(a.size):
            new = np.int32(np.int32(a[j]) << neuron.input_shift)
            a[j] = 0
            k = _send_change(neuron, new, j, act, residue, out, k)
        _note_states(trace, row, arrays.u[slot], residue)
        out.first[row + 1] = k


def _respond_sigma_delta(
    neuron: Any, rows: Any, arrays: Any, scratch: Any, out: Any, trace: Any, begin: int, end: int
) -> None:
    """As :func:`_respond_cuba`, of ``PySigmaDeltaModelFixed`` with its ReLU."""
    k = out.first[begin]
    for row in range(begin, end):
        slot = rows.slot[row]
        sigma, residue, act, a = arrays.u[slot], arrays.v[slot], arrays.act[slot], scratch.a[row - begin]
        for j in range(a.size):
            total = np.int32(sigma[j] + np.int32(a[j]))
            a[j] = 0
            sigma[j] = total
            new = max(np.int32(total + _each(neuron.bias, j)), np.int32(0))
            k = _send_change(neuron, new, j, act, residue, out, k)
        _note_states(trace, row, arrays.u[slot], residue)
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
        for j in range(a.size):
            total = np.int32(sigma[j] + np.int32(a[j]))
            a[j] = 0
            sigma[j] = total
            if total:
                out.at[k] = j
                out.value[k] = total
                k += 1
        _note_states(trace, row, sigma, arrays.v[rows.slot[row]])
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
