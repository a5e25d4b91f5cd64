"""Float operations on feature maps (N, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Pair = tuple[int, int]


def windows(maps: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair = (1, 1)) -> np.ndarray:
    """What each output pixel sees: a view (N, C, H', W', kH, kW)."""
    (ph, pw), (dh, dw) = padding, dilation
    padded = np.pad(maps, ((0, 0), (0, 0), (ph, ph), (pw, pw))) if ph or pw else maps
    reach = (dh * (kernel[0] - 1) + 1, dw * (kernel[1] - 1) + 1)
    seen: np.ndarray = sliding_window_view(padded, reach, axis=(2, 3))  # type: ignore[call-overload]
    return seen[:, :, :: stride[0], :: stride[1], ::dh, ::dw]


def conv2d(
    maps: np.ndarray, weight: np.ndarray, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """As torch's ``conv2d``: maps float (N, C, H, W), weight (C_out, C / groups, kH, kW) → (N, C_out, H', W')."""
    seen = windows(maps, (weight.shape[2], weight.shape[3]), stride, padding, dilation)
    n, channels, height, width = seen.shape[:4]
    out = np.empty((n, weight.shape[0], height, width), np.result_type(maps, weight))
    each, made = channels // groups, weight.shape[0] // groups
    for g in range(groups):
        part: Any = seen[:, g * each : (g + 1) * each].transpose(0, 2, 3, 1, 4, 5)
        rows = part.reshape(n * height * width, -1)
        kernels = weight[g * made : (g + 1) * made].reshape(made, -1)
        out[:, g * made : (g + 1) * made] = (rows @ kernels.T).reshape(n, height, width, made).transpose(0, 3, 1, 2)
    return out


def sum_pool(maps: np.ndarray, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """Sums of windows, (N, C, H', W')."""
    total: np.ndarray = windows(maps, kernel, stride, padding).sum(axis=(-2, -1))
    return total


def pair(value: Any) -> Pair:
    """(vertical, horizontal) of one number or two."""
    numbers = np.ravel(value)
    return int(numbers[0]), int(numbers[-1])
