"""``aoi.check``: one verdict for anybody's file."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

import aoi
from aoi.cli.main import run
from tests.nir.graphs import chain, stored


def test_a_complete_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "zoo:digits", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    states = {each["question"]: each["state"] for each in found["findings"]}
    assert found["ok"]
    assert found["kind"] == "NetX"
    assert [states[f"in {name}"] for name in ("engine", "slayer", "lava")] == ["ok"] * 3
    assert [states[name] for name in ("encoding", "classes", "cutoff")] == ["ok"] * 3
    assert found["next_command"] == "aoi evaluate zoo:digits"


def test_a_stock_network(public_data: Path) -> None:
    found = aoi.check(public_data / "networks" / "dl_oxford.net")
    states = {each.question: each.state for each in found.findings}
    assert found.ok
    assert [states[name] for name in ("encoding", "classes", "cutoff")] == ["missing"] * 3
    assert "--window-us" in found.next_command


@pytest.mark.slow
def test_sigma_delta_does_not_fit_loihi_1(public_data: Path) -> None:
    found = aoi.check(public_data / "networks" / "dns_nodelay.net")
    nahuku = next(each for each in found.findings if each.question == "nahuku")
    assert nahuku.state == "fails"
    assert "graded spikes, which Loihi 1 lacks" in nahuku.text


def test_a_nir_file_with_an_unsupported_node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    li = nir.LI(tau=np.full(2, 1e-3), r=np.ones(2), v_leak=np.zeros(2))
    lif = nir.LIF(*(np.full(2, value) for value in (1e-3, 10.0, 0.0, 1.0)))
    weight = np.array([[1.0, -1.0], [0.5, 1.0]])
    path = stored(chain(nir.Linear(weight=weight), li, nir.Linear(weight=weight), lif, shape=(2,)), tmp_path)
    assert run(["check", str(path)]) == 1
    printed = capsys.readouterr().out
    assert "node 1" in printed
    assert "never fires" in printed


def test_cost_of_random_input(public_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(public_data / "networks" / "dl_oxford.net")
    assert run(["cost", path, "--input", "random:0.1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["split"] == "random:0.1"
    assert found["counts"]["at_t"]["operations"] > 0
    assert run(["cost", path, "--input", "random:2"]) == 2
    assert "--input random:2: expected random:RATE" in capsys.readouterr().err
