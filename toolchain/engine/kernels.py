"""The inner loops: spikes scatter weights, neurons step, in the integers of Lava's fixed-point models.

Arrays are time-major: spikes uint8 (samples, steps, neurons); maps lie as (H, W, C), so that a spike of a convolution
adds contiguous rows. A layer runs ``lead`` steps (0 or 1) before its first input arrives.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_STATE = 1 << 23
_CONV_MASK = (1 << 24) - 1


@njit(cache=True, nogil=True)
def _step(
    a: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    bias: np.ndarray,
    current_decay: int,
    voltage_decay: int,
    threshold: int,
    s: np.ndarray,
) -> None:
    """One step of all neurons of a layer (``PyLifModelBitAcc``); ``a``, ``u``, ``v`` int32, ``s`` uint8: (n,)."""
    for j in range(a.size):
        decayed = np.int64(u[j]) * (4096 - current_decay)
        decayed = (decayed + ((decayed >> 63) & 4095)) >> 12  # towards zero
        current = np.int32(np.int32(decayed) + np.int32(a[j] << 6))
        # Lava tests the wrapped value from below and adds to the value before: 2**23 stays, -2**23 becomes 2**23.
        wrapped = current - 2 * _STATE if current > _STATE else current
        u[j] = current + 2 * _STATE if wrapped <= -_STATE else wrapped
        decayed = np.int64(v[j]) * (4096 - voltage_decay)
        decayed = (decayed + ((decayed >> 63) & 4095)) >> 12
        voltage = np.int32(np.int32(np.int32(decayed) + u[j]) + (bias[j] << 6))
        voltage = min(max(voltage, 1 - _STATE), _STATE - 1)
        fires = voltage > threshold
        s[j] = fires
        v[j] = 0 if fires else voltage


@njit(cache=True, nogil=True)
def run_dense(
    x: np.ndarray,
    lead: int,
    weight: np.ndarray,
    delay: np.ndarray,
    recurrent: np.ndarray,
    bias: np.ndarray,
    current_decay: int,
    voltage_decay: int,
    threshold: int,
    s: np.ndarray,
    u_trace: np.ndarray,
    v_trace: np.ndarray,
) -> None:
    """Dense layer over whole samples.

    ``x`` uint8 (N, T, n_in); ``weight`` int32 (n_in, n_out); ``delay`` uint8 of that shape or (0, 0) for none;
    ``recurrent`` int32 (n_out, n_out), from row to column, or (0, 0); ``bias`` int32 (n_out,). Fills ``s`` uint8
    (N, T + lead, n_out) and, unless they are empty, the traces int32 of that shape.
    """
    samples, steps, inputs = x.shape
    outputs = weight.shape[1]
    delayed = delay.size > 0
    depth = int(delay.max()) + 1 if delayed else 1
    for n in range(samples):
        a = np.zeros((depth, outputs), np.int32)  # ring: what arrives in this and the next steps
        u = np.zeros(outputs, np.int32)
        v = np.zeros(outputs, np.int32)
        for t in range(steps + lead):
            now = a[t % depth]
            if t >= lead:
                for i in range(inputs):
                    if x[n, t - lead, i]:
                        row = weight[i]
                        if delayed:
                            for j in range(outputs):
                                a[(t + delay[i, j]) % depth, j] += row[j]
                        else:
                            for j in range(outputs):
                                now[j] += row[j]
            if recurrent.size and t:
                for i in range(outputs):
                    if s[n, t - 1, i]:
                        row = recurrent[i]
                        for j in range(outputs):
                            now[j] += row[j]
            _step(now, u, v, bias, current_decay, voltage_decay, threshold, s[n, t])
            now[:] = 0
            if u_trace.size:
                u_trace[n, t] = u
            if v_trace.size:
                v_trace[n, t] = v


@njit(cache=True, nogil=True)
def run_conv(
    x: np.ndarray,
    lead: int,
    shape: tuple[int, int, int],
    weight: np.ndarray,
    out_shape: tuple[int, int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    bias: np.ndarray,
    current_decay: int,
    voltage_decay: int,
    threshold: int,
    s: np.ndarray,
    u_trace: np.ndarray,
    v_trace: np.ndarray,
) -> None:
    """Convolution over whole samples.

    ``x`` uint8 (N, T, H * W * C) for ``shape`` (C, H, W); ``weight`` int32 (C, kH, kW, C_out / groups); ``bias`` int32
    (H' * W' * C_out,); ``s`` uint8 (N, T + lead, H' * W' * C_out) for ``out_shape`` (C_out, H', W').
    """
    samples, steps, inputs = x.shape
    channels, _, width = shape
    out_channels, out_height, out_width = out_shape
    _, kernel_height, kernel_width, group_out = weight.shape
    group_in = channels // (out_channels // group_out)
    a = np.empty(out_height * out_width * out_channels, np.int32)
    u = np.empty_like(a)
    v = np.empty_like(a)
    for n in range(samples):
        u[:] = 0
        v[:] = 0
        for t in range(steps + lead):
            a[:] = 0
            if t >= lead:
                for i in range(inputs):
                    if not x[n, t - lead, i]:
                        continue
                    c = i % channels
                    top = i // (channels * width) + padding[0]
                    left = (i // channels) % width + padding[1]
                    offset = c // group_in * group_out
                    for p in range(kernel_height):
                        y = top - p * dilation[0]
                        if y < 0 or y % stride[0] or y >= out_height * stride[0]:
                            continue
                        for q in range(kernel_width):
                            z = left - q * dilation[1]
                            if z < 0 or z % stride[1] or z >= out_width * stride[1]:
                                continue
                            first = (y // stride[0] * out_width + z // stride[1]) * out_channels + offset
                            row = weight[c, p, q]
                            target = a[first : first + group_out]
                            for k in range(group_out):
                                target[k] += row[k]
                for j in range(a.size):  # Lava keeps a convolution's sum in 24 bits
                    a[j] = ((a[j] + _STATE) & _CONV_MASK) - _STATE
            _step(a, u, v, bias, current_decay, voltage_decay, threshold, s[n, t])
            if u_trace.size:
                u_trace[n, t] = u
            if v_trace.size:
                v_trace[n, t] = v
