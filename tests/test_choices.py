"""Choices agree with their implementations."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from aoi.choices import CorruptionKind, Readout, RuleName, parse_split
from aoi.cutoff.rules import RULES
from aoi.errors import DataError
from aoi.events.corrupt import Corruption
from aoi.netx.metadata import Metadata


def test_choices_match_the_implementations() -> None:
    assert get_args(RuleName) == tuple(RULES)
    assert get_args(CorruptionKind) == get_args(get_type_hints(Corruption)["kind"])
    assert get_args(Readout) == get_args(Metadata.model_fields["readout"].annotation)


@pytest.mark.parametrize("text", ["test", "Test", "TEST"])
def test_case_of_a_split_does_not_matter(text: str) -> None:
    assert parse_split(text) == "test"


def test_error_for_an_unknown_split_lists_the_splits() -> None:
    with pytest.raises(DataError, match="split 'Tset': is not one of train, validation, calibration, test"):
        parse_split("Tset")


def test_choices_import_no_heavy_package() -> None:
    code = "import sys, aoi.choices; print('numpy' in sys.modules or 'pydantic' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
