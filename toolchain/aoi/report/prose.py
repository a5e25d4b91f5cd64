"""The sentences and headline numbers of the page."""

from __future__ import annotations

from html import escape
from math import isfinite, prod
from typing import Any

import numpy as np

from aoi.netx.metadata import Metadata
from aoi.report.activity import TRACED, hidden
from aoi.report.html import Html, tile
from aoi.report.subject import Subject


def prose(subject: Subject) -> dict[str, str]:
    """Placeholder in the template → markup."""
    return {
        "title": escape(f"{subject.name}: aoi report"),
        "overline": f"aoi report · {escape(subject.name)}",
        "headline": _spaced(_headline(subject)),
        "lead": _spaced(" ".join(_lead(subject))),
        "tiles": "\n".join(_tiles(subject)),
        "tiles_note": _spaced(_tiles_note(subject)),
        "samples_text": _samples_text(subject),
        "trust_text": _trust_text(subject),
        "inside_text": _inside_text(subject),
        "stf_caption": _stf_caption(subject),
    }


def promise(metadata: Metadata | None) -> str:
    """What the calibration of the file's cutoff guarantees, in a sentence."""
    evidence = metadata.policy.evidence if metadata and metadata.policy else {}
    drop, risk, samples, needed = map(_finite, map(evidence.get, ("max_drop", "risk", "samples", "samples_needed")))
    if evidence.get("certified") is True and drop is not None and risk is not None:
        return (
            f"Its cutoff is certified: with probability at least {100 * (1 - risk):g}% over the calibration data it "
            f"loses at most {100 * drop:g} points of accuracy."
        )
    if "certified" in evidence:
        reason = f" ({samples:,.0f} calibration recordings, {needed:,.0f} needed)" if samples and needed else ""
        return f"Its cutoff is an empirical choice, not certified{reason}."
    return "The file holds no evidence for its cutoff."


def _spaced(text: str) -> str:
    """Puts a narrow no-break space before each percent sign."""
    return text.replace(" %", "%").replace("%", "\u202f%")


def _finite(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, int | float) and isfinite(value) else None
    except OverflowError:  # JSON integers have no limit
        return None


def _headline(subject: Subject) -> str:
    summary = subject.summary
    if subject.file_rule is None:
        return f"{summary['full_accuracy']:.1%} accuracy after {summary['steps']} steps"
    return f"{summary['speedup_steps']:.1f} times fewer steps, {summary['accuracy']:.1%} accuracy"


def _lead(subject: Subject) -> list[str]:
    summary = subject.summary
    steps, recordings = summary["steps"], f"{summary['samples']:,} {escape(subject.split)} recordings"
    if subject.file_rule is None:
        said = [
            f"On {recordings}. The network file holds no cutoff yet: <code>aoi calibrate</code> chooses one. The "
            "explorer below shows what each rule would save and cost."
        ]
    else:
        said = [
            f"On {recordings} the network decides after {summary['mean_decision_step']:.1f} of {steps} steps on "
            f"average. All {steps} steps reach {summary['full_accuracy']:.1%}."
        ]
    seen = subject.network.trained_on
    if len(seen):
        count = int(np.isin(subject.data.fingerprints, seen).sum())
        said.append(
            f"<strong>{count:,} of these recordings were seen in training.</strong>"
            if count
            else "None of these recordings was seen in training (compared by content)."
        )
    return said if subject.file_rule is None else [*said, promise(subject.network.metadata)]


def _tiles(subject: Subject) -> list[Html]:
    summary = subject.summary
    ends = summary["intervals"]

    def number(label: str, name: str, digits: int, unit: str = "") -> Html:
        low, high = ends[name]
        value = f"{summary[name]:.{digits}f}{unit}"
        return tile(label, value, f"{low:.{digits}f} to {high:.{digits}f}", f"headline-{name.replace('_', '-')}")

    tiles = [number(f"accuracy, {summary['steps']} steps", "full_accuracy", 4)]
    if subject.file_rule is None:
        return tiles
    low, high = ends["operations_ratio"]
    tiles += [
        number("accuracy, cutoff", "accuracy", 4),
        number("drop from T", "accuracy_drop", 4),
        number("mean decision step", "mean_decision_step", 2),
        number("fewer steps", "speedup_steps", 2, " ×"),
        tile(
            "operations left",
            _spaced(f"{summary['operations']['ratio']:.1%}"),
            _spaced(f"{low:.1%} to {high:.1%}"),
            "headline-operations",
        ),
    ]
    cut, full = subject.lava.get("deploy"), subject.lava.get("deploy-full")
    if cut and cut.same_decisions and cut.wall_s is not None:
        against = (
            f"{full.wall_s:.2f} s for all steps" if full and full.same_decisions and full.wall_s else "all recordings"
        )
        tiles.append(tile("wall time in Lava", f"{cut.wall_s:.2f} s", against, "headline-wall"))
    return tiles


def _tiles_note(subject: Subject) -> str:
    note = "Ranges are 95 % bootstrap intervals over the recordings."
    cut = subject.lava.get("deploy")
    if cut is None:
        return note
    if cut.same_decisions:
        return (
            f"{note} Lava ran these {cut.samples:,} recordings with the cutoff in {cut.steps_executed:,} steps and "
            "made the same decision at the same step for each."
        )
    return f"{note} Lava's results in this folder are for other recordings or another cutoff and are left out."


def _samples_text(subject: Subject) -> str:
    when = "as the file’s cutoff decides them" if subject.file_rule else "after all steps"
    return f"Wrong answers (highest confidence first), the slowest correct ones, and the fastest of each class, {when}."


def _trust_text(subject: Subject) -> str:
    text = (
        "A confidence of 0.9 should be correct nine times out of ten: dots on the dashed line. Larger dots hold more "
        "recordings. Orange marks the distance: above the line underconfident, below it overconfident."
    )
    if subject.file_rule is None:
        return text
    low, high = subject.summary["intervals"]["ece"]
    return (
        f"{text} Where runs stop, confidence and accuracy differ by {subject.summary['ece']:.3f} on average "
        f"({low:.3f} to {high:.3f})."
    )


def _inside_text(subject: Subject) -> str:
    neurons = sum(prod(layer.shape) for layer in subject.layers)
    rate = subject.run.spikes.sum() / subject.summary["samples"] / subject.summary["steps"] / neurons
    return f"Over all steps, a neuron sends {rate:.3f} spikes per step on average ({neurons:,} neurons)."


def _stf_caption(subject: Subject) -> str:
    if not hidden(subject.network.description):
        return "<b>Spatial-Temporal Factor.</b> The network has no hidden layer of spiking neurons."
    traced = min(TRACED, len(subject.data))
    return (
        "<b>Spatial-Temporal Factor</b> of the hidden layers: the share of its activation that a layer "
        "sends on as spikes rather than keeps as membrane voltage. Mean over the first "
        f"{traced} recordings, all steps run."
    )
