"""The stopping rule for the processor on the chip: one C file, and a header of tables made from a rule.

C99, whole numbers, no heap, no library, less than 4 KB of tables; the same decisions as the rule in Python, bit by bit
(:mod:`aoi.cutoff.integer`).
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np

from aoi.cutoff.integer import SHARE_BITS, exp_table, gap_limits, share_limit
from aoi.cutoff.rule import Rule
from aoi.cutoff.rules import IntegerConfidenceRule, IntegerGapRule
from aoi.errors import DataError

TABLE_BYTES = 4096
MOST_OUTPUTS = 256
"""As many as the sums of :mod:`aoi.cutoff.integer` have room for."""


def monitor_files(rule: Rule, outputs: int, steps: int | None = None) -> tuple[dict[str, str], int]:
    """File name → text of the monitor for ``rule`` over ``outputs`` scores, and the bytes of its tables.

    ``steps``: T, for the header's reader. Raises DataError for rules that are no integer rules, and for what exceeds
    the tables.
    """
    if outputs > MOST_OUTPUTS or outputs < 2:
        raise DataError(f"the embedded monitor compares 2 to {MOST_OUTPUTS} outputs; the network has {outputs}")
    if isinstance(rule, IntegerConfidenceRule):
        tables, size = _confidence(rule)
    elif isinstance(rule, IntegerGapRule):
        tables, size = _gap(rule)
    else:
        raise DataError(
            f"rule {rule.name} needs floating point, which the embedded processor lacks; "
            "calibrate an integer one (aoi calibrate NET --rule int-confidence) or give it (--rule int-confidence:0.9)"
        )
    if size >= TABLE_BYTES:
        raise DataError(
            f"rule {rule.name}: {size:,} bytes of tables, less than {TABLE_BYTES:,} are allowed; "
            "use fewer timesteps or int-confidence, whose table does not grow with them"
        )
    header = "\n".join(
        [
            f"/* Made by aoi export-monitor from the rule {rule.spec()}. Not for editing. */",
            "#ifndef AOI_MONITOR_TABLES_H",
            "#define AOI_MONITOR_TABLES_H",
            "",
            "#include <stdint.h>",
            "",
            "#define AOI_CONFIDENCE 1",
            "#define AOI_GAP 2",
            f"#define AOI_OUTPUTS {outputs}u",
            *([f"#define AOI_STEPS {steps}u /* T: the run ends here, whatever the rule says */"] if steps else []),
            *tables,
            "",
            "#endif",
            "",
        ]
    )
    folder = files("aoi.boards.embedded")
    sources = {name: (folder / name).read_text("utf-8") for name in ("monitor.c", "monitor.h")}
    return {**sources, "monitor_tables.h": header}, size


def _confidence(rule: IntegerConfidenceRule) -> tuple[list[str], int]:
    """The last entry, 1, stands for all greater distances and is not stored."""
    shift, table = exp_table(rule.scale)
    stored = table[:-1]
    most = (1 << 2 * SHARE_BITS) // share_limit(rule.threshold)  # total * limit <= 2^56
    lines = [
        "#define AOI_RULE AOI_CONFIDENCE",
        f"#define AOI_SHIFT {shift}",
        f"#define AOI_TOTAL_MOST UINT64_C({most})",
        f"#define AOI_TABLE_LENGTH {len(stored)}u",
        *_array("uint32_t", stored),
    ]
    return lines, 4 * len(stored)


def _gap(rule: IntegerGapRule) -> tuple[list[str], int]:
    limits = gap_limits(rule.threshold, rule.units or (1.0,))
    last = len(limits)
    while last > 1 and limits[last - 2] == limits[last - 1]:
        last -= 1
    limits = limits[:last]
    wide = int(limits.max()) >= 1 << 32
    lines = [
        "#define AOI_RULE AOI_GAP",
        f"#define AOI_TABLE_LENGTH {len(limits)}u",
        *_array("uint64_t" if wide else "uint32_t", limits),
    ]
    return lines, (8 if wide else 4) * len(limits)


def _array(kind: str, values: np.ndarray) -> list[str]:
    macro = "UINT64_C({})" if kind == "uint64_t" else "{}u"
    rows = [values[first : first + 8] for first in range(0, len(values), 8)]
    lines = ["    " + ", ".join(macro.format(int(value)) for value in row) + "," for row in rows]
    return [f"static const {kind} aoi_table[AOI_TABLE_LENGTH] = {{", *lines, "};"]
