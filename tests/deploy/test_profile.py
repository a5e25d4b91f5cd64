"""The reader of Lava's profiler: as far as it goes without a board."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from deploy import profile
from toolchain.errors import DataError, DeployError


def test_without_the_extension_it_says_what_is_missing() -> None:
    """Lava's own Profiler, asked for a board's run configuration."""
    from toolchain.compat import enable_netx

    enable_netx()
    from lava.magma.core.run_configs import Loihi2SimCfg

    with pytest.raises(DeployError, match="lava-loihi"):
        profile.attach(Loihi2SimCfg(select_tag="fixed_pt"), 10)


def test_what_the_profiler_holds_becomes_a_measurement(tmp_path: Path) -> None:
    """Its public attributes, as lava-optimization reads them: J of the run, s of each step."""
    held = SimpleNamespace(energy=0.5, execution_time=np.full(40, 1e-4))
    found = profile.measured(held, samples=4, source="a board")  # type: ignore[arg-type]
    assert (found.total_j, found.steps) == (0.125, 40)
    assert found.latency_s == pytest.approx(1e-3)
    profile.save(found, tmp_path / "profile.json")
    assert profile.load(tmp_path / "profile.json") == found


@pytest.mark.parametrize("text", ["", "[]", '{"samples": 0}'])
def test_what_is_no_measurement_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "profile.json").write_text(text)
    with pytest.raises(DataError, match="no measurement"):
        profile.load(tmp_path / "profile.json")
    with pytest.raises(DataError, match="cannot be read"):
        profile.load(tmp_path / "nothing")
