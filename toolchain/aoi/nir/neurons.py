"""The neurons of NIR as difference equations in floating point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from aoi.nir.numerics import Numerics


@dataclass(frozen=True, eq=False)
class Difference:
    """One step of a neuron that is driven by ``S`` (spikes times weights, plus bias). Float64, a value per neuron.

    ``u = (1 - current_share) u + gain S``; ``v = (1 - voltage_share) v + u + drive``; a spike where ``v > threshold``,
    then ``v = reset``. ``threshold`` None: it never fires.
    """

    current_share: np.ndarray
    voltage_share: np.ndarray
    gain: np.ndarray
    drive: np.ndarray
    threshold: np.ndarray | None
    reset: np.ndarray

    def reshaped(self, *shape: int) -> Difference:
        """The same with all arrays in another shape."""
        return replace(self, **{key: value.reshape(shape) for key, value in vars(self).items() if value is not None})

    @property
    def shifted_drive(self) -> np.ndarray:
        """The drive of ``v - reset``, which the chip holds because its neurons are reset to 0."""
        return self.drive - self.voltage_share * self.reset

    @property
    def steady_gain(self) -> np.ndarray:
        """What a constant S adds to v in each step once u has settled; 0 / 0 counts as the gain."""
        settles = self.current_share > 0
        return np.where(settles, self.gain / np.where(settles, self.current_share, 1.0), self.gain)


def difference(node: Any, kind: str, shape: tuple[int, ...], numerics: Numerics) -> Difference:
    """The difference equation of a NIR neuron, for neurons of ``shape``. The parameters broadcast to it.

    Raises ValueError if they do not.
    """

    def of(name: str) -> np.ndarray:
        values = np.asarray(getattr(node, name), np.float64)
        if 1 < values.size < np.prod(shape) and values.ndim < len(shape):
            raise ValueError(f"{name} has shape {values.shape}, ambiguous for neurons of shape {shape}")
        return np.broadcast_to(values.reshape(shape) if values.size == np.prod(shape) else values, shape).copy()

    one, zero = np.ones(shape), np.zeros(shape)
    fires = kind in ("LIF", "CubaLIF", "IF")
    threshold = of("v_threshold") if fires else None
    reset = of("v_reset") if fires else zero
    if kind == "Threshold":
        return Difference(one, one, one, zero, of("threshold"), zero)
    if kind in ("IF", "I"):
        return Difference(one, zero, numerics.step_gain(of("r")), zero, threshold, reset)
    if kind in ("LIF", "LI"):
        share = numerics.share(of("tau"))
        return Difference(one, share, share * of("r"), share * of("v_leak"), threshold, reset)
    current, voltage = numerics.share(of("tau_syn")), numerics.share(of("tau_mem"))
    gain = current * of("w_in") * voltage * of("r")
    return Difference(current, voltage, gain, voltage * of("v_leak"), threshold, reset)
