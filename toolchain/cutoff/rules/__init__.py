"""The stopping rules, one a file."""

from toolchain.cutoff.rules.base import Rule, softmax_peak
from toolchain.cutoff.rules.confidence import ConfidenceRule
from toolchain.cutoff.rules.conformal import ConformalRule
from toolchain.cutoff.rules.entropy import EntropyRule
from toolchain.cutoff.rules.fixed import FixedRule
from toolchain.cutoff.rules.gap import GapRule
from toolchain.cutoff.rules.integer_confidence import IntegerConfidenceRule
from toolchain.cutoff.rules.integer_gap import IntegerGapRule
from toolchain.cutoff.rules.patience import PatienceRule

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
