"""Damaged, unusual and malicious NIR files give one line that names what is wrong."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aoi.errors import NetXError
from aoi.nir import convert, read_graph
from tests.nir.graphs import chain, integrate_and_fire, stored


def dense(n: int = 3) -> nir.NIRGraph:
    lif = nir.LIF(*(np.full(n, value) for value in (1e-3, 10.0, 0.0, 1.0)))
    return chain(nir.Affine(weight=np.eye(n) * 2, bias=np.zeros(n)), lif, shape=(n,))


def refused(path: Path, says: str) -> None:
    with pytest.raises(NetXError, match=says) as caught:
        read_graph(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("1/tau", np.array([1e-3, -1e-3, 1e-3]), r"node '1' \(LIF\): tau: -0.001; it has to be positive and finite"),
        ("1/tau", np.zeros(3), "tau: 0.0; it has to be positive"),
        ("1/r", np.array([1.0, np.nan, 1.0]), "r: nan; it has to be finite"),
        ("0/weight", np.full((3, 3), np.inf), "weight: inf; it has to be finite"),
        ("0/weight", np.full((3, 3), 1e300), r"weight: 1e\+300; it has to be finite, at most 1e\+30"),
        ("0/weight", np.empty((0, 3)), "weight is empty"),
        ("0/weight", np.array(b"text"), "0.*Affine.*"),
        ("0/weight", np.zeros(3), "is not a Affine of NIR 1.0: Weight must be at least 2D"),
        ("0/type", b"Synapse", "type 'Synapse' is not a node of NIR 1.0"),
        ("1/tau_extra", np.zeros(3), "got an unexpected keyword argument 'tau_extra'"),
        ("input/shape", None, "shape is missing"),
        ("1/v_threshold", None, "missing 1 required positional argument: 'v_threshold'"),
        ("1/type", None, "type is missing"),
    ],
)
def test_fields(field: str, value, says: str, tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        del_if = f"node/nodes/{field}"
        if del_if in file:
            del file[del_if]
        if value is not None:
            file[del_if] = value
    refused(path, says)


def test_what_a_file_claims(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/0/weight"]
        file["node/nodes/0"].create_dataset("weight", (1 << 14, 1 << 14), np.float32)  # 1 GB that is not stored
    refused(path, "weight claims 268435456 values")


def test_groups_that_contain_themselves(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/again"] = file["node"]
    refused(path, "nested more than 16 times")


def test_links_out_of_the_file(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/nodes/0/weight"]
        file["node/nodes/0/weight"] = h5py.ExternalLink("/etc/passwd", "/weight")
    refused(path, "weight is a link")


def test_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    path.write_bytes(b"no HDF5")
    refused(path, "not an HDF5 file")
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
    refused(path, "holds no NIR graph")
    with h5py.File(path, "w") as file:
        file["node/type"] = "NIRGraph"
        file.create_group("node/nodes")
        file["node/edges"] = np.empty((0, 2), "S1")
    refused(path, "the graph has no nodes")
    refused(tmp_path / "missing.nir", "no such file")


def test_an_edge_to_nowhere(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        edges = file["node/edges"][()]
        edges[0, 1] = b"elsewhere"
        file["node/edges"][...] = edges
    refused(path, "an edge names node 'elsewhere'")


def test_float64_is_welcome(tmp_path: Path) -> None:
    found = convert(read_graph(stored(dense(), tmp_path)))
    assert found.description is not None
    np.testing.assert_array_equal(found.description.layers[0].weight > 0, np.eye(3, dtype=bool))


@pytest.mark.timeout(300)
@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6))
def test_flipped_bytes(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("flipped")
    content = bytearray(stored(dense(), folder).read_bytes())
    rng = np.random.default_rng(seed)
    for place in rng.integers(0, len(content), rng.integers(1, 9)):
        content[place] ^= 1 << int(rng.integers(8))
    path = folder / "flipped.nir"
    path.write_bytes(content)
    try:
        convert(read_graph(path))
    except NetXError as error:
        assert "\n" not in str(error)  # noqa: PT017


def test_a_nested_graph_is_flattened(tmp_path: Path) -> None:
    inner = chain(nir.Linear(weight=np.eye(3)), integrate_and_fire(3), shape=(3,))
    nodes = {
        "input": nir.Input(input_type={"input": np.array([3])}),
        "block": inner,
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    graph = read_graph(
        stored(nir.NIRGraph(nodes, [("input", "block"), ("block", "output")], type_check=False), tmp_path)
    )
    assert sorted(graph.nodes) == ["block.0", "block.1", "input", "output"]
    assert set(graph.edges) == {("input", "block.0"), ("block.0", "block.1"), ("block.1", "output")}


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("input/shape", np.array([2.5]), "shape: 2.5; it has to be a whole number"),
        ("input/shape", b"abc", "shape must hold numbers, it is a text"),
        ("0/weight", b"abc", "weight must hold numbers, it is a text"),
    ],
)
def test_shapes_are_whole_numbers(field: str, value, says: str, tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        del file[f"node/nodes/{field}"]
        file[f"node/nodes/{field}"] = value
    refused(path, says)


@pytest.mark.parametrize("shape", [(2, 100_000, 100_000), (-3, 8, 8), (0,)])
def test_claims_of_the_input(shape: tuple[int, ...], tmp_path: Path) -> None:
    lif = nir.LIF(*(np.full(1, value) for value in (1e-3, 10.0, 0.0, 1.0)))
    found = convert(read_graph(stored(chain(lif, shape=shape), tmp_path)))
    assert found.description is None
    assert "has no values, or more than 16777216" in found.unsupported[0].text


def test_two_nodes_of_one_name(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        inner = file["node/nodes"].create_group("a")
        for key in ("type", "edges"):
            file.copy(file[f"node/{key}"], inner, key)
        file.copy(file["node/nodes/1"], inner.create_group("nodes"), "b")
        for end in ("input", "output"):
            file.copy(file[f"node/nodes/{end}"], inner["nodes"], end)
        del inner["edges"]
        inner["edges"] = np.array([[b"input", b"b"], [b"b", b"output"]])
        file.copy(file["node/nodes/1"], file["node/nodes"], "a.b")
    refused(path, "two nodes are called 'a.b'; rename one")


def test_many_nodes_and_edges_are_refused_at_once(tmp_path: Path) -> None:
    path = stored(dense(), tmp_path)
    with h5py.File(path, "r+") as file:
        del file["node/edges"]
        file["node/edges"] = np.array([[b"0", b"1"]] * 20_000)
    refused(path, "has 20000 edges, at most 16384 are read")


def test_more_layers_than_a_network_file_has(tmp_path: Path) -> None:
    found = convert(read_graph(stored(chain(*[integrate_and_fire(1)] * 300, shape=(1,)), tmp_path)))
    assert "at most 256 layers" in found.unsupported[0].text
