"""aoi verify on networks of all kinds: executors, compared quantities, and errors."""

from __future__ import annotations

import json
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from aoi.netx import Conv, Cuba, Delta, Dense, Input, NetworkDescription, Sigma, SigmaDelta
from aoi.netx.write import _write_blocks

from .conftest import Aoi

LIMITED = ("--steps", "10", "--samples", "2", "--json")


def stored(path: Path, *layers: Any, shape: tuple[int, ...] = (2, 6, 6), average: int | None = None) -> Path:
    with h5py.File(path, "w") as file:
        _write_blocks(file, NetworkDescription(shape, layers, average))
    return path


def even(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-50, 60, shape, dtype=np.int32) * 2


def report(aoi: Aoi, *arguments: object) -> dict[str, Any]:
    result = aoi("verify", *arguments, *LIMITED)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert found["equal"] is True
    assert found["mismatches"] == 0
    return found


@pytest.fixture
def pooled(tmp_path: Path) -> Path:
    neuron = Cuba(200, 1024, 128)
    pool = Conv("1", (2, 6, 6), np.full((2, 1, 2, 2), 64, np.int32), neuron, (2, 2), groups=2, kind="pool")
    return stored(tmp_path / "pool.net", pool, Dense("3", even(4, 18), neuron), average=2)


@pytest.fixture
def sigma_delta(tmp_path: Path) -> Path:
    conv = Conv("1", (2, 6, 6), even(3, 2, 3, 3), SigmaDelta(4), bias=np.array([4, 5, -6], np.int32))
    dense = Dense("3", even(4, 48), Sigma())
    return stored(tmp_path / "sdnn.net", Input("0", (2, 6, 6), Delta(2)), conv, dense)


def test_sigma_delta_networks_take_values(aoi: Aoi, sigma_delta: Path) -> None:
    found = report(aoi, sigma_delta, "--input", "random:0.5")
    assert found["executors"] == ["engine", "lava"]
    assert found["quantities"] == {
        "message, residue": ["0"],
        "message, sigma, residue": ["1"],
        "message, sigma": ["3"],
    }
    assert found["compared"] == 2 * 10 * (72 * 2 + 48 * 3 + 4 * 2)
    assert found["input"] == "random:0.5, values -128 to 127, else 0"
    assert "slayer: layer 0: input block of Delta neurons" in found["left_out"][0]
    assert report(aoi, sigma_delta, "--against", "engine")["compared"] == 2 * 10 * (72 * 2 + 48 * 3 + 4 * 2 + 4)


def test_values_for_an_input_block_of_cuba_neurons(aoi: Aoi, tmp_path: Path) -> None:
    block = Input("0", (12,), Cuba(50, 4096, 400), scale=76, offset=-6)
    net = stored(tmp_path / "block.net", block, Dense("1", even(5, 12), Cuba(100, 1000, 100)), shape=(12,))
    assert report(aoi, net, "--against", "lava")["layers"] == 1
    found = report(aoi, net, "--against", "lava", "--values", "--input", "random:0.8")
    assert found["layers"] == 2
    assert found["input"] == "random:0.8, values -6 to 70, else 0"
    assert found["quantities"] == {"s, u, v": ["0", "1"]}


def test_lava_is_left_out_if_it_cannot_run_the_network(aoi: Aoi, pooled: Path) -> None:
    found = report(aoi, pooled, "--input", "random:0.4")
    assert found["executors"] == ["engine", "slayer"]
    assert "layer 1 (pool): Lava loads no pool layers" in found["left_out"][0]
    refused = aoi("verify", pooled, "--against", "lava")
    assert refused.returncode == 2
    assert "layer 1 (pool): Lava loads no pool layers" in refused.stderr
    assert "slayer or engine" in refused.stderr
    alone = report(aoi, pooled, "--against", "engine")
    assert alone["executors"] == ["engine", "engine, sample by sample", "engine, step by step"]
    assert alone["left_out"] == []


def test_nothing_to_compare_with(aoi: Aoi, tmp_path: Path) -> None:
    pool = Conv("1", (2, 6, 6), np.full((2, 1, 2, 2), 64, np.int32), Sigma(), (2, 2), groups=2, kind="pool")
    net = stored(tmp_path / "none.net", Input("0", (2, 6, 6), Delta(0)), pool)
    refused = aoi("verify", net)
    assert refused.returncode == 2
    assert "no executor to compare with" in refused.stderr
    assert "against='engine'" in refused.stderr
    assert report(aoi, net, "--against", "engine")["compared"] > 0


def test_values_need_an_input_block(aoi: Aoi, pooled: Path) -> None:
    refused = aoi("verify", pooled, "--values")
    assert refused.returncode == 2
    assert "no input block" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pilotnet_sdnn/network.net", "pilotnet_lif/network.net", "ntidigits.net"])
def test_large_networks_of_lava_dl(aoi: Aoi, name: str) -> None:
    path = next(file.locate() for file in distribution("lava-dl").files or [] if str(file).endswith(name))
    result = aoi("verify", path, "--against", "lava", "--input", "random:0.2", "--steps", "4", "--samples", "1")
    assert result.returncode == 0, result.stderr
    assert "engine = lava" in result.stderr


def test_inspect_shows_all_kinds(aoi: Aoi, sigma_delta: Path, pooled: Path, tmp_path: Path) -> None:
    facts = json.loads(aoi("inspect", sigma_delta, "--json").stdout)
    assert [layer["neuron"] for layer in facts["layers"]] == ["Delta", "SigmaDelta", "Sigma"]
    assert [layer["threshold"] for layer in facts["layers"]] == [2, 4, None]
    assert facts["takes"] == "values"
    assert facts["latency"] == 2
    facts = json.loads(aoi("inspect", pooled, "--json").stdout)
    assert facts["layers"][0]["kind"] == "pool"
    assert facts["average"] == 2
    many = Cuba(np.array([10, 20], np.int32), np.array([0, 4096], np.int32), 5)
    net = stored(tmp_path / "many.net", Dense("0", even(2, 3), many), shape=(3,))
    assert json.loads(aoi("inspect", net, "--json").stdout)["layers"][0]["threshold"] == [10, 20]
    for path in (sigma_delta, pooled, net):
        shown = aoi("inspect", path)
        assert shown.returncode == 0
    assert "10 to 20" in shown.stdout
