"""The weights of a dense layer as Lava's synapses execute them."""

from __future__ import annotations

import numpy as np

from aoi.errors import NetXError

_SYNAPSE_BITS = 8


def effective_weights(weight: np.ndarray, recurrent: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    """The integers by which Lava multiplies spikes, from those in the file.

    ``hdf5.Network`` shifts a matrix up as far as the synapse's 8 bits allow (``optimize_weight_bits``, over both
    matrices of a recurrent layer together). The synapse then clips and truncates it by sign (``clip_weights``,
    ``truncate_weights``) and shifts the sum back down. Even weights of both signs stay the same.

    ``weight``, int (out, in), and ``recurrent``, int (out, out), are within -256..254; the result is int32 of the same
    shapes. Raises NetXError, without the name of the layer, if Lava fails or represents a weight by no single integer.
    """
    both = weight if recurrent is None else np.hstack((weight, recurrent))
    low, high = int(both.min()), int(both.max())
    shift = weight_shift(weight, recurrent)
    signed = low < 0 <= high
    zeros = next((n for n in range(8, 0, -1) if not (both & ((1 << n) - 1)).any()), 0)  # common low bits that are 0
    bits = _SYNAPSE_BITS - shift - (zeros - signed)
    if bits > _SYNAPSE_BITS:
        odd = int(both[(both & 1) == 1][0])
        raise NetXError(
            f"weight {odd} is odd in a layer from {low} to {high}: 8 bits hold even weights; double or round"
        )
    return _execute(weight, shift, bits), None if recurrent is None else _execute(recurrent, shift, bits)


def keeps_weights(weight: np.ndarray, recurrent: np.ndarray | None = None) -> bool:
    """Whether Lava executes the weights of a file as they are; arguments as for :func:`effective_weights`."""
    try:
        executed, executed_recurrent = effective_weights(weight, recurrent)
    except NetXError:
        return False
    kept = recurrent is None or (executed_recurrent is not None and np.array_equal(executed_recurrent, recurrent))
    return kept and np.array_equal(executed, weight)


def weight_shift(weight: np.ndarray, recurrent: np.ndarray | None = None) -> int:
    """Bits, 0 to 8, by which Lava's synapses shift the weights of a dense layer up (``-weight_exponent``).

    Graded messages are multiplied by the shifted weights in 32 bits, so their sum wraps at ``32 - shift`` bits.
    Raises NetXError if all weights are 0.
    """
    matrices = (weight,) if recurrent is None else (weight, recurrent)
    low, high = min(int(m.min()) for m in matrices), max(int(m.max()) for m in matrices)
    if low == high == 0:
        raise NetXError("all weights are 0, which Lava cannot load (OverflowError); leave the layer out")
    signed = low < 0 <= high
    largest = max(high / 127, -low / 128) if signed else max(high / 255, -low / 256)  # ≤ 1 fits without a shift
    return int(np.floor(np.log2(1 / largest))) + signed


def _execute(weight: np.ndarray, shift: int, bits: int) -> np.ndarray:
    """``weight`` after Lava's shift up, clipping, truncation and shift down."""
    shifted = weight.astype(np.int32) << shift
    mixed = bool(shifted.min() < 0 < shifted.max())
    sign = 1 if mixed or shifted.min() >= 0 else -1
    stored = np.clip(sign * shifted, -256 if mixed else 0, 255)
    drop = _SYNAPSE_BITS - bits + mixed
    stored = sign * ((stored >> drop) << drop)
    wrong = (stored & ((1 << shift) - 1)) != 0
    if wrong.any():
        value = int(weight[wrong][0])
        raise NetXError(f"weight {value} has no exact value in Lava's 8-bit synapse; give the layer a weight above 0")
    return stored >> shift
