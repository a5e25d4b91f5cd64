"""Weights, thresholds and biases of a layer as the chip's integers, on a common scale that loses least."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aoi.netx.description import BIAS_MAX, BIAS_MIN, THRESHOLD_MAX, WEIGHT_MAX, WEIGHT_MIN

NEVER = 1 << 17  # threshold of an integrator
_ACTIVITY = 0.05  # spikes a neuron and step that the loss assumes
_STEPS = 16.0  # over which a wrong bias adds up
_SAMPLED = 1 << 16  # weights of a layer that the search looks at
_EXACT = 1e-7  # relative deviation that float32 explains


@dataclass(frozen=True, eq=False)
class Quantised:
    """Integers of a layer, and ``scale``: float weight = integer · scale; one number, or one per row."""

    weight: np.ndarray  # int32 (rows, inputs)
    threshold: np.ndarray  # int32 (rows,); NEVER for integrators
    bias: np.ndarray  # int32 (rows,)
    scale: np.ndarray  # float64 (rows,)


def quantise(
    weight: np.ndarray,
    threshold: np.ndarray | None,
    bias: np.ndarray,
    *,
    bits: int = 8,
    by_row: bool = False,
    lowest: int = WEIGHT_MIN,
    truncation: float = 0.0,
    as_is: bool = True,
) -> Quantised:
    """Rounds a layer to signed weights of ``bits`` bits (8: even numbers from -256 to 254).

    A layer computes the same if weights, threshold and bias are all multiplied by one number. The scale is searched for
    which the rounded layer differs least: squared errors of the weights at an activity of 5 %, of the threshold, and of
    the bias, and of the states, which the chip truncates. A layer that consists of the chip's integers already stays as
    it is.

    Args:
        weight: float64 (rows, inputs), gains included.
        threshold: float64 (rows,); None: never fires.
        bias: float64 (rows,).
        bits: 2 to 8.
        by_row: a scale for each row; the thresholds then differ by row.
        truncation: how far the truncation of states shifts a voltage, in units of the threshold's integers.
        as_is: integers may stay as they are.
        lowest: smallest weight. Lava loses weights of -256 in a layer without positive ones; another value also keeps
            integers from staying as they are.

    Raises:
        ValueError: no scale keeps threshold and bias in range; the message names value and limit.
    """
    if as_is and lowest == WEIGHT_MIN and _is_integer(weight, threshold, bias, bits):
        levels = _or_never(threshold, len(weight))
        return Quantised(_int(weight), _int(levels), _int(bias), np.ones(len(weight)))
    step = 1 << (9 - bits)
    if by_row:
        scale = np.array(
            [
                _search(
                    weight[i : i + 1],
                    None if threshold is None else threshold[i : i + 1],
                    bias[i : i + 1],
                    step,
                    lowest,
                    truncation,
                )
                for i in range(len(weight))
            ]
        )
    else:
        scale = np.full(len(weight), _search(weight, threshold, bias, step, lowest, truncation))
    rounded = _round(weight, scale[:, None], step, lowest)
    limits = (0, THRESHOLD_MAX)
    rounded_threshold = None if threshold is None else np.clip(np.rint(threshold / scale), *limits)
    return Quantised(
        _int(rounded),
        _int(_or_never(rounded_threshold, len(weight))),
        _int(np.clip(np.rint(bias / scale), BIAS_MIN, BIAS_MAX)),
        scale,
    )


def _search(
    weight: np.ndarray, threshold: np.ndarray | None, bias: np.ndarray, step: int, lowest: int, truncation: float
) -> float:
    low, high = float(weight.min(initial=0.0)), float(weight.max(initial=0.0))
    top = max(high / (WEIGHT_MAX + 2 - step), low / lowest)  # at least this, or weights are clipped
    largest = 0.0 if threshold is None else float(threshold.max())
    needed = max(
        largest / THRESHOLD_MAX, float(bias.max(initial=0.0)) / BIAS_MAX, float(bias.min(initial=0.0)) / BIAS_MIN
    )
    if top == 0.0:
        top = max(needed, largest / 1024, 1e-30)
    if needed > 64 * top:
        raise ValueError(
            f"threshold {largest:.4g} and bias {float(np.abs(bias).max(initial=0.0)):.4g} next to weights of at most "
            f"{max(high, -low):.4g} exceed the chip's range ({THRESHOLD_MAX} and {BIAS_MAX} next to {WEIGHT_MAX}); "
            "scale the weights up"
        )
    flat = weight.ravel()
    sample = flat[:: max(1, flat.size // _SAMPLED)]
    fan_in = weight.shape[1]
    found: list[tuple[float, float]] = []
    for start in np.geomspace(0.4, 1.6, 65) * max(top, needed):
        scales = {float(start)}
        if largest > 0:  # a threshold that is an integer costs nothing
            scales.add(largest / max(1.0, np.rint(largest / start)))
        for scale in scales:
            if scale < needed * (1 - 1e-12):
                continue
            loss = _ACTIVITY * fan_in * float(np.mean((_round(sample, scale, step, lowest) - sample / scale) ** 2))
            if threshold is not None:
                loss += float(np.mean((np.rint(threshold / scale) - threshold / scale) ** 2))
            loss += _STEPS * float(np.mean((np.rint(bias / scale) - bias / scale) ** 2)) + truncation**2
            found.append((loss * scale**2, scale))
    return min(found)[1]


def _round(weight: np.ndarray, scale: np.ndarray | float, step: int, lowest: int) -> np.ndarray:
    rounded: np.ndarray = np.clip(step * np.rint(weight / (scale * step)), lowest, WEIGHT_MAX + 2 - step)
    return rounded


def _is_integer(weight: np.ndarray, threshold: np.ndarray | None, bias: np.ndarray, bits: int) -> bool:
    step = 1 << (9 - bits)
    if bits < 8 and (np.any(np.rint(weight) % step) or weight.max(initial=0.0) > WEIGHT_MAX + 2 - step):
        return False
    ranges = [(weight, WEIGHT_MIN, WEIGHT_MAX), (bias, BIAS_MIN, BIAS_MAX)]
    if threshold is not None:
        ranges.append((threshold, 0, NEVER))
    return all(
        np.all((np.rint(x) >= low) & (np.rint(x) <= high)) and np.allclose(x, np.rint(x), rtol=_EXACT, atol=_EXACT)
        for x, low, high in ranges
    )


def _or_never(threshold: np.ndarray | None, rows: int) -> np.ndarray:
    return np.full(rows, NEVER) if threshold is None else threshold


def _int(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int32)
