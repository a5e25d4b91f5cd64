"""Checks of what a calibration is asked for. Light: no scipy."""

from __future__ import annotations

from typing import get_args

from aoi.choices import Temperature
from aoi.cutoff.rules import RULES
from aoi.errors import DataError

MIN_DROP = 1e-6  # no realistic number of recordings can certify less
MIN_RISK = 1e-6  # far above the probabilities that the exact test neglects
MAX_RISK = 0.5


def check_max_drop(max_drop: float) -> None:
    """Raises DataError unless the accuracy drop ``max_drop`` lies between 0 and 1."""
    if not 0 < max_drop < 1:
        raise DataError(f"max_drop {max_drop}: must lie between 0 and 1; 0.005 is half a percentage point of accuracy")


def check_request(max_drop: float, risk: float, rule: str = "confidence", temperature: str = "shared") -> None:
    """Raises DataError if ``max_drop`` or ``risk`` cannot be tested, or if ``rule`` or ``temperature`` is unknown."""
    check_max_drop(max_drop)
    if max_drop < MIN_DROP:
        raise DataError(f"max_drop {max_drop}: is too small to certify; the limit is {MIN_DROP:g}: choose a larger one")
    if not 0 < risk < 1:
        raise DataError(f"risk {risk}: must lie between 0 and 1; 0.05 certifies with 95 % confidence")
    if risk > MAX_RISK:
        raise DataError(f"risk {risk}: certifies with less than even odds; the limit is {MAX_RISK:g}: 0.05 is usual")
    if risk < MIN_RISK:
        raise DataError(f"risk {risk}: is below the resolution {MIN_RISK:g} of the exact test; choose a larger one")
    if rule not in RULES:
        raise DataError(f"rule {rule}: there is no such rule; choose one of {', '.join(RULES)}")
    if temperature not in get_args(Temperature):
        raise DataError(f"temperature {temperature}: choose 'shared', one for all steps, or 'step', one per step")
    if temperature == "step" and rule == "int-confidence":
        raise DataError("temperature step: rule int-confidence has one scale for all steps; choose 'shared'")
