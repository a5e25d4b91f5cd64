"""What a NIR file leaves open: the time step, the discretisation, and the reset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from aoi.errors import DataError

Discretisation = Literal["euler", "exponential"]
Reset = Literal["value", "subtract"]
DEFAULT_DT = 1e-4  # s; what snnTorch, SpikingJelly and NIR's own Lava importer assume


@dataclass(frozen=True)
class Numerics:
    """How the differential equations of NIR become steps.

    A state with time constant τ keeps ``1 - share(τ)`` of itself in a step and takes ``share(τ)`` of what drives it:
    ``share = dt / τ`` ("euler", as in snnTorch, Norse and SpikingJelly) or ``1 - exp(-dt / τ)`` ("exponential", as in
    Rockpool and Sinabs). Integrators without time constant (IF, I) add ``r`` times their input in each step, as most
    simulators write it (r = 1), although NIR's equation has a dt; where ``r = 1 / dt``, as SpikingJelly writes it, they
    add ``r dt``.

    Raises DataError for a value out of range.
    """

    dt: float = DEFAULT_DT  # s
    discretisation: Discretisation = "euler"
    reset: Reset = "value"
    """Of the reference alone: "value" sets v to v_reset, as NIR says; "subtract" lowers it by the threshold, as
    snnTorch and Sinabs train by default. The chip sets it to 0."""

    def __post_init__(self) -> None:
        if not 1e-12 <= self.dt <= 1e6:
            raise DataError(f"dt {self.dt:g}: has to lie between 1e-12 and 1e6 seconds")
        if self.discretisation not in get_args(Discretisation):
            raise DataError(f"discretisation {self.discretisation!r}: has to be euler or exponential")
        if self.reset not in get_args(Reset):
            raise DataError(f"reset {self.reset!r}: has to be value or subtract")

    def share(self, tau: np.ndarray) -> np.ndarray:
        """Part of a state that a step exchanges, float64 of the shape of ``tau`` (s); above 1 if τ < dt (Euler)."""
        ratio = self.dt / np.asarray(tau, np.float64)
        return -np.expm1(-ratio) if self.discretisation == "exponential" else ratio

    def step_gain(self, r: np.ndarray) -> np.ndarray:
        """What IF and I multiply their input by in a step, from their ``r``."""
        by_time: np.ndarray = np.asarray(r, np.float64) * self.dt
        return by_time if np.allclose(by_time, 1.0, rtol=1e-3) else np.asarray(r, np.float64)

    def time_constant(self, share: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`share`: τ in s. 0 gives 2**40 steps; 1 a fortieth of a step, if exponential."""
        share = np.asarray(share, np.float64)
        with np.errstate(divide="ignore"):
            ratio = -np.log1p(-share) if self.discretisation == "exponential" else share
        return self.dt / np.clip(ratio, 2.0**-40, 40.0)
