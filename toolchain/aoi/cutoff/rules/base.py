"""What all stopping rules have in common: a causal statistic, a threshold on it, a text form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np


def softmax_peak(scores: np.ndarray, scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Largest probability of ``softmax(scale * z)``; ``scores`` (..., classes), any real dtype → float64 (...).

    ``scale``: a number or an array of shape (...). The sum runs class by class, so that a sample's value has the same
    bits whatever batch or array it is part of.
    """
    z = np.asarray(scores, dtype=np.float64)
    factor = np.asarray(scale)[..., None]
    with np.errstate(over="ignore"):  # a distance beyond float64 is infinite, its share zero
        shares = np.exp(factor * (z - np.maximum.reduce(z, axis=-1, keepdims=True)))
    return 1.0 / np.add.accumulate(shares, axis=-1)[..., -1]


@dataclass(frozen=True)
class Rule(ABC):
    """Stops a run at the first step at which the rule's statistic reaches ``threshold``, and at T otherwise.

    The statistic of step t depends on the readout of the steps 1..t alone, and for a sample its bits do not depend on
    the batch. Used step by step by the Lava monitor, batched by the engine, over whole arrays by evaluation.
    """

    name: ClassVar[str]
    whole: ClassVar[bool] = False  # thresholds are whole numbers
    ceiling: ClassVar[float] = 1.0  # largest threshold that makes sense
    needs_scale: ClassVar[bool] = False  # the statistic depends on the scale
    fitted: ClassVar[bool] = True  # the statistic has parameters that calibration fits
    example: ClassVar[float] = 0.9  # a threshold to show

    threshold: float
    scale: float = 1.0
    """Factor on the readout before the softmax (1 / temperature), for the confidence that is reported."""
    scales: tuple[float, ...] = ()
    """A factor for each step 1..T in place of ``scale``; beyond their number the last one goes on."""

    def begin(self, samples: int) -> Any:
        """Memory of ``samples`` fresh runs; None for rules that need none."""
        return None

    @abstractmethod
    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        """Accumulated readout (samples, classes) at output step ``step`` (1..T) → float64 (samples,), new memory."""

    @staticmethod
    def select(memory: Any, keep: np.ndarray) -> Any:
        """The memory of the samples ``keep`` (indices or mask) that stay in the batch."""
        return memory

    @abstractmethod
    def candidates(self, steps: int) -> np.ndarray:
        """Thresholds worth trying for runs of ``steps`` steps, most careful first, float64."""

    def at(self, threshold: float) -> Rule:
        """The same rule with another threshold."""
        return replace(self, threshold=float(threshold))

    def scale_at(self, step: int | np.ndarray) -> Any:
        """The confidence's scale at ``step`` (1..T): a number, or an array for an array of steps."""
        if not self.scales:
            return self.scale
        return np.asarray(self.scales)[np.minimum(step, len(self.scales)) - 1]

    def confidence(self, scores: np.ndarray, step: int | np.ndarray = 1) -> np.ndarray:
        """Calibrated confidence of the answer, the largest class probability: ``scores`` (..., classes) → (...).

        ``step``: a number or an array of shape (...); it matters only where each step has a scale of its own.
        """
        return softmax_peak(scores, self.scale_at(step))

    def params(self) -> dict[str, Any]:
        """Fields beyond threshold and scale that are not empty, as JSON holds them."""
        mine = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("threshold", "scale")}
        return {key: value for key, value in mine.items() if value not in ((), 0)}

    def spec(self) -> str:
        """Text that ``parse_rule`` reads back to an equal rule: ``name:THRESHOLD:SCALE[:key=v,v;v,v]…``."""
        extra = [f"{key}={_text(value)}" for key, value in self.params().items()]
        return ":".join([self.name, _text(self.threshold), _text(self.scale), *extra])

    def fault(self) -> str | None:
        """What is wrong with the rule's numbers, for people; None where all is well."""
        if not 0 < self.threshold <= self.ceiling:
            if self.ceiling == 1:
                return "the threshold is a share, above 0 and at most 1"
            return f"the threshold lies above 0 and is at most {self.ceiling:g}"
        if self.whole and self.threshold != int(self.threshold):
            return "the threshold is a whole number of steps"
        if not 0 < self.scale < float("inf"):
            return "the scale is a positive number"
        if not all(0 < each < float("inf") for each in self.scales):
            return "the scales are positive numbers, one a step"
        return None


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        rows = bool(value) and isinstance(value[0], tuple)
        return (";" if rows else ",").join(map(_text, value))
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
