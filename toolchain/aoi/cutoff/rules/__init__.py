"""The stopping rules, one per file."""

from aoi.cutoff.rules.base import Rule, softmax_peak
from aoi.cutoff.rules.confidence import ConfidenceRule
from aoi.cutoff.rules.conformal import ConformalRule
from aoi.cutoff.rules.entropy import EntropyRule
from aoi.cutoff.rules.fixed import FixedRule
from aoi.cutoff.rules.gap import GapRule
from aoi.cutoff.rules.integer_confidence import IntegerConfidenceRule
from aoi.cutoff.rules.integer_gap import IntegerGapRule
from aoi.cutoff.rules.patience import PatienceRule

RULES: dict[str, type[Rule]] = {
    rule.name: rule
    for rule in (
        FixedRule,
        ConfidenceRule,
        EntropyRule,
        GapRule,
        ConformalRule,
        PatienceRule,
        IntegerConfidenceRule,
        IntegerGapRule,
    )
}

__all__ = [
    "RULES",
    "ConfidenceRule",
    "ConformalRule",
    "EntropyRule",
    "FixedRule",
    "GapRule",
    "IntegerConfidenceRule",
    "IntegerGapRule",
    "PatienceRule",
    "Rule",
    "softmax_peak",
]
