"""What all stopping rules have in common: a causal statistic, a threshold on it, and a text form."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np


def softmax_peak(scores: np.ndarray, scale: float | np.ndarray = 1.0) -> np.ndarray:
    """Largest probability of ``softmax(scale * z)``; ``scores`` (..., classes), any real dtype → float64 (...).

    ``scale``: a number or an array (...). The sum runs class by class, so that the value of a sample is bit-identical
    in any batch.
    """
    z = np.asarray(scores, dtype=np.float64)
    factor = np.asarray(scale)[..., None]
    with np.errstate(over="ignore"):  # a distance beyond float64 is infinite, its probability 0
        shares = np.exp(factor * (z - np.maximum.reduce(z, axis=-1, keepdims=True)))
    return 1.0 / np.add.accumulate(shares, axis=-1)[..., -1]


@dataclass(frozen=True)
class Rule(ABC):
    """Stops a run at the first step at which the rule's statistic reaches ``threshold``, and otherwise at T.

    The statistic of step t depends on the readout of steps 1..t only and is bit-identical in any batch. The Lava
    monitor uses a rule step by step, the engine in batches, evaluation on whole arrays.
    """

    name: ClassVar[str]
    integer_threshold: ClassVar[bool] = False  # thresholds are integers
    max_threshold: ClassVar[float] = 1.0  # largest valid threshold
    needs_scale: ClassVar[bool] = False  # the statistic depends on the scale
    fitted: ClassVar[bool] = True  # calibration fits parameters besides the threshold
    example: ClassVar[float] = 0.9  # a threshold for examples

    threshold: float
    scale: float = 1.0
    """Factor on the readout before the softmax (1 / temperature), for the reported confidence."""
    scales: tuple[float, ...] = ()
    """A factor for each step 1..T instead of ``scale``; the last one holds for later steps."""

    def begin(self, samples: int) -> Any:
        """Memory of ``samples`` new runs; None for rules without memory."""
        return None

    @abstractmethod
    def measure(self, scores: np.ndarray, step: int, memory: Any) -> tuple[np.ndarray, Any]:
        """Accumulated readout (samples, classes) at output step 1..T → statistic, float64 (samples,), new memory."""

    @staticmethod
    def select(memory: Any, keep: np.ndarray) -> Any:
        """The memory of the samples ``keep`` (indices or mask) that stay in the batch."""
        return memory

    @abstractmethod
    def candidates(self, steps: int) -> np.ndarray:
        """Thresholds worth trying on runs of ``steps`` steps, most conservative first, float64."""

    def with_threshold(self, threshold: float) -> Rule:
        """The same rule with another threshold."""
        return replace(self, threshold=float(threshold))

    def scale_at(self, step: int | np.ndarray) -> Any:
        """The scale of the confidence at ``step`` (1..T): a number, or an array for an array of steps."""
        if not self.scales:
            return self.scale
        return np.asarray(self.scales)[np.minimum(step, len(self.scales)) - 1]

    def confidence(self, scores: np.ndarray, step: int | np.ndarray = 1) -> np.ndarray:
        """Calibrated confidence, the largest class probability: ``scores`` (..., classes) → float64 (...).

        ``step``: a number or an array (...); it matters only if each step has its own scale.
        """
        return softmax_peak(scores, self.scale_at(step))

    def params(self) -> dict[str, Any]:
        """The fields besides threshold and scale that are not empty, for JSON."""
        mine = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("threshold", "scale")}
        return {key: value for key, value in mine.items() if value not in ((), 0)}

    def spec(self) -> str:
        """Text that ``parse_rule`` turns back into an equal rule: ``name:THRESHOLD:SCALE[:key=v,v;v,v]…``."""
        extra = [f"{key}={_text(value)}" for key, value in self.params().items()]
        return ":".join([self.name, _text(self.threshold), _text(self.scale), *extra])

    def validation_error(self) -> str | None:
        """What is wrong with the rule's numbers, in words; None if nothing is."""
        if not 0 < self.threshold <= self.max_threshold:
            if self.max_threshold == 1:
                return "the threshold must be above 0 and at most 1"
            return f"the threshold must be above 0 and at most {self.max_threshold:g}"
        if self.integer_threshold and self.threshold != int(self.threshold):
            return "the threshold must be a whole number of steps"
        if not 0 < self.scale < float("inf"):
            return "the scale must be a positive number"
        if not all(0 < each < float("inf") for each in self.scales):
            return "the scales must be positive numbers, one per step"
        return None


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        rows = bool(value) and isinstance(value[0], tuple)
        return (";" if rows else ",").join(map(_text, value))
    return repr(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
