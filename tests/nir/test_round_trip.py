"""NetX → NIR → NetX gives the same integers, or a refusal that names the layer."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from aoi.errors import NetXError
from aoi.netx import Dense, Input, NetworkDescription, read_network
from aoi.nir import Numerics, convert, read_graph, write_nir
from tests.engine.drawn_networks import Case, cases
from tests.engine.drawn_networks import stored as stored_network

EXPONENTIAL = Numerics(dt=1e-3, discretisation="exponential")


def again(description: NetworkDescription, path: Path, numerics: Numerics) -> NetworkDescription:
    write_nir(path, description, numerics)
    found = convert(read_graph(path), numerics, values=description.takes_values)
    assert found.description is not None, found.unsupported
    assert {each.verdict for each in found.verdicts} == {"exact"}
    return found.description


def assert_same(meant: NetworkDescription, found: NetworkDescription) -> None:
    assert found.input_shape == meant.input_shape
    for a, b in zip(meant.layers, found.layers, strict=True):
        assert_equal(a, b, a.name)


def assert_equal(a: Any, b: Any, place: str) -> None:
    if not is_dataclass(a):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=place)
        return
    assert type(a) is type(b), place
    for field in fields(a):  # type: ignore[arg-type]
        x, y = getattr(a, field.name), getattr(b, field.name)
        if field.name in ("name", "file_shift", "scale", "offset") or (isinstance(a, Input) and field.name == "neuron"):
            continue  # file_shift only matters for messages; scale and offset are not executed
        if field.name == "delay" and x is not None and isinstance(a, Dense):
            x, y = np.broadcast_to(x, a.weight.shape), np.broadcast_to(y, a.weight.shape)
        assert_equal(x, y, f"{place}.{field.name}")
    if isinstance(a, Input):  # its current is always 0, so current_decay changes nothing
        for name in ("threshold", "voltage_decay"):
            assert_equal(getattr(a.neuron, name), getattr(b.neuron, name), f"{place}.{name}")


SAYS = ("sigma-delta", "a delay of each synapse", "would delay the bias", "Lava changes its weights", "never fires")


@pytest.mark.slow
@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_two_hundred_networks(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(case, tmp_path_factory.mktemp("drawn"))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_a_few_networks(case: Case, tmp_path_factory: pytest.TempPathFactory) -> None:
    check(case, tmp_path_factory.mktemp("drawn"))


def check(case: Case, folder: Path) -> None:
    description = stored_network(case, folder / "drawn.net").description
    for numerics in (Numerics(), EXPONENTIAL):
        reason = ""
        try:
            found = again(description, folder / "drawn.nir", numerics)
        except NetXError as error:
            reason = str(error)
        if reason:
            assert any(text in reason for text in SAYS), reason
            assert "layer " in reason
        else:
            assert_same(description, found)


@pytest.mark.parametrize("name", ["netx/tiny.net", "netx/mnist.net", "pilotnet_lif/network.net"])
@pytest.mark.parametrize("values", [False, True])
def test_networks_of_lava_dl(name: str, values: bool, shipped, tmp_path: Path) -> None:
    network = read_network(shipped(name), input_block=values)
    assert_same(network.description, again(network.description, tmp_path / "a.nir", Numerics()))


def test_every_public_network(public_data: Path, tmp_path: Path) -> None:
    """Equal, or refused with the layer's name."""
    outcome: dict[str, str] = {}
    for path in sorted((public_data / "networks").glob("*.net")):
        try:
            description = read_network(path, recurrent=True).description
            assert_same(description, again(description, tmp_path / "a.nir", Numerics()))
            outcome[path.stem] = "equal"
        except NetXError as error:
            outcome[path.stem] = str(error)
    refused = {name: text for name, text in outcome.items() if text != "equal"}
    assert len(outcome) - len(refused) >= 3
    reasons = ("layer 0: NIR has no node for Delta", "layer 0: type is missing")
    assert all(any(reason in text for reason in reasons) for text in refused.values()), refused


def test_what_nir_cannot_say(shipped, tmp_path: Path) -> None:
    with pytest.raises(NetXError, match="sums groups of outputs"):
        write_nir(tmp_path / "a.nir", read_network(shipped("ntidigits/ntidigits.net")).description)
    with pytest.raises(NetXError, match="layer 0: NIR has no node for Delta neurons"):
        write_nir(tmp_path / "a.nir", read_network(shipped("pilotnet_sdnn/network.net")).description)
    assert not list(tmp_path.iterdir())
