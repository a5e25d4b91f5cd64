"""What the page says about the guarantee of the cutoff."""

from __future__ import annotations

from typing import Any

import pytest

from aoi.netx.metadata import CutoffPolicy, Metadata
from aoi.report.prose import promise

UNKNOWN = "The file holds no evidence for its cutoff."


def said(**evidence: Any) -> str:
    return promise(Metadata(policy=CutoffPolicy(threshold=0.9, scale=1.0, evidence=evidence)))


def test_a_certified_cutoff() -> None:
    sentence = (
        "Its cutoff is certified: with probability at least 99.6% over the calibration data it loses at most "
        "0.5 points of accuracy."
    )
    assert said(certified=True, max_drop=0.005, risk=0.004, samples=700, samples_needed=648) == sentence


def test_an_uncertified_cutoff() -> None:
    numbers: dict[str, Any] = {"max_drop": 0.005, "risk": 0.05, "samples": 1225, "samples_needed": 2648}
    sentence = "Its cutoff is an empirical choice, not certified (1,225 calibration recordings, 2,648 needed)."
    assert said(certified=False, **numbers) == sentence
    assert said(certified="true", **numbers) == sentence
    assert said(certified=True, max_drop=0.005) == "Its cutoff is an empirical choice, not certified."


@pytest.mark.parametrize("risk", [10**400, float("inf"), "0.05", None])
def test_evidence_that_is_not_a_number_certifies_nothing(risk: Any) -> None:
    assert said(certified=True, max_drop=0.005, risk=risk) == "Its cutoff is an empirical choice, not certified."


def test_no_evidence() -> None:
    assert promise(None) == promise(Metadata()) == said() == UNKNOWN
