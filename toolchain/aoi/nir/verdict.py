"""What became of a node of a NIR graph."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

State = Literal["exact", "approximate", "unsupported"]


@dataclass(frozen=True)
class NodeVerdict:
    """How the chip executes a node.

    Example:
        >>> NodeVerdict("lif1", "CubaLIF", "approximate", "decay of the voltage 0.1 becomes 410 / 4096")
        NodeVerdict(node='lif1', type='CubaLIF', verdict='approximate', text='decay …', deviation={})
    """

    node: str  # name; nested graphs are joined by dots
    type: str  # of NIR
    verdict: State
    text: str  # what was rounded or left out; for "unsupported" why, and the remedy
    deviation: dict[str, float] = field(default_factory=dict)
    """Largest deviation of "weight" (in parts of the largest weight), "threshold" and "bias" (in parts of the
    threshold) and "decay" (in parts of the state, a step)."""
