"""Measurements on a board, as a user provides them."""

from __future__ import annotations

from pathlib import Path

import pytest

from aoi.boards.profile import Measurement, load_measurement
from aoi.errors import DataError


def test_a_measurement_is_read_back(tmp_path: Path) -> None:
    written = Measurement(source="a board", samples=4, steps=40, total_j=0.125, latency_s=1e-3)
    (tmp_path / "profile.json").write_text(written.model_dump_json())
    assert load_measurement(tmp_path / "profile.json") == written


@pytest.mark.parametrize("text", ["", "[]", '{"samples": 0}'])
def test_files_that_are_not_measurements_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(DataError, match="not a measurement"):
        load_measurement(tmp_path / "profile.json")
    with pytest.raises(DataError, match="cannot be read"):
        load_measurement(tmp_path / "nothing")
