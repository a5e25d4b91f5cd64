"""Verdicts of nodes, and the integers that they become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from aoi.engine import Engine
from aoi.netx import Conv, Cuba, Dense
from aoi.nir import Conversion, Numerics, convert
from aoi.nir.quantise import quantise
from aoi.nir.reference import run_reference
from tests.nir.graphs import chain, conv, integrate_and_fire, pool, read

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def same_weights_in_any_order() -> None:
    RNG.bit_generator.state = np.random.default_rng(3).bit_generator.state


def converted(graph: nir.NIRGraph, folder: Path, *args: Any, **options: Any) -> Conversion:
    return convert(read(graph, folder), *args, **options)


def refused(graph: nir.NIRGraph, folder: Path, node: str, says: str, *args: Any) -> None:
    found = converted(graph, folder, *args)
    assert found.description is None
    assert [(each.node, says in each.text) for each in found.unsupported] == [(node, True)], found.unsupported


def affine(outputs: int, inputs: int, bias: float = 0.0) -> nir.Affine:
    return nir.Affine(weight=RNG.normal(size=(outputs, inputs)), bias=np.full(outputs, bias))


def lif(n: int, **parameters: float) -> nir.LIF:
    values = {"tau": 1e-3, "r": 10.0, "v_leak": 0.0, "v_threshold": 1.0} | parameters
    return nir.LIF(**{name: np.full(n, value) for name, value in values.items()})


def test_gains_go_into_the_weights(tmp_path: Path) -> None:
    """r = τ / dt gives a gain of 1; the threshold and the weights keep their ratio."""
    node = affine(4, 3)
    found = converted(chain(node, lif(4), shape=(3,)), tmp_path)
    assert found.description is not None
    layer = found.description.layers[0]
    assert isinstance(layer, Dense)
    assert isinstance(layer.neuron, Cuba)
    assert (layer.neuron.current_decay, layer.neuron.voltage_decay) == (4096, 410)  # 4096 · 1e-4 / 1e-3
    np.testing.assert_allclose(layer.weight / layer.neuron.threshold, node.weight, atol=0.02)
    verdicts = {each.node: each for each in found.verdicts}
    assert verdicts["0"].verdict == verdicts["1"].verdict == "approximate"
    assert verdicts["1"].deviation["decay"] == pytest.approx(abs(410 / 4096 - 0.1))
    assert 0 < verdicts["0"].deviation["weight"] < 0.02


def test_the_time_step_is_said_where_it_matters(tmp_path: Path) -> None:
    with_tau = converted(chain(affine(2, 2), lif(2), shape=(2,)), tmp_path)
    without = converted(chain(affine(2, 2), integrate_and_fire(2), shape=(2,)), tmp_path)
    assert any("time step 0.0001 s (euler)" in note for note in with_tau.notes)
    assert not any("time step 0" in note for note in without.notes)


def test_discretisations(tmp_path: Path) -> None:
    graph = chain(affine(2, 2), lif(2), shape=(2,))
    decays = [
        converted(graph, tmp_path, Numerics(5e-4, kind)).description.layers[0].neuron.voltage_decay  # type: ignore[union-attr]
        for kind in ("euler", "exponential")
    ]
    assert decays == [2048, round(4096 * (1 - np.exp(-0.5)))]


def test_a_leak_voltage_becomes_a_bias(tmp_path: Path) -> None:
    found = converted(chain(nir.Linear(weight=np.array([[2.0]])), lif(1, v_leak=5.0, r=10.0), shape=(1,)), tmp_path)
    assert found.description is not None
    layer = found.description.layers[0]
    assert layer.bias is not None
    assert layer.bias[0] / layer.neuron.threshold == pytest.approx(0.5, rel=0.01)


def test_unsupported_nodes_are_named(tmp_path: Path) -> None:
    refused(chain(affine(2, 2), lif(2, tau=1e-5), shape=(2,)), tmp_path, "1", "is below the time step 0.0001 s")
    li = nir.LI(tau=np.full(2, 1e-3), r=np.ones(2), v_leak=np.zeros(2))
    refused(chain(affine(2, 2), li, affine(2, 2), lif(2), shape=(2,)), tmp_path, "1", "never fires")
    delay = nir.Delay(delay=np.array([1e-4, 70e-4]))
    refused(chain(delay, affine(2, 2), lif(2), shape=(2,)), tmp_path, "0", "delays up to 70 steps")
    refused(chain(conv(np.ones((1, 1, 3, 3))), affine(2, 5), lif(2), shape=(1, 4, 4)), tmp_path, "1", "takes 5 inputs")
    zero = nir.Linear(weight=np.zeros((2, 2)))
    refused(chain(zero, lif(2), shape=(2,)), tmp_path, "0", "all weights are 0")


@pytest.mark.parametrize(
    ("edges", "node", "says"),
    [
        ([("input", "0"), ("0", "1"), ("1", "0"), ("1", "output")], "0", "is fed by 2 nodes"),
        ([("input", "0"), ("0", "0")], "0", "circle without a neuron"),
        ([("input", "0"), ("0", "1"), ("1", "output"), ("input", "1")], "input", "feeds 2 nodes"),
        ([("input", "0"), ("0", "1")], "1", "leads nowhere"),
    ],
)
def test_graphs_that_are_no_chain(edges, node: str, says: str, tmp_path: Path) -> None:
    graph = chain(affine(2, 2), lif(2), shape=(2,))
    graph.edges = edges
    found = converted(graph, tmp_path)
    if ("1", "0") in edges:  # a loop through the weights that also take the input: one layer cannot do that
        assert found.description is None
        return
    assert found.description is None
    assert any(each.node == node and says in each.text for each in found.unsupported), found.unsupported


def test_a_circle_without_a_neuron(tmp_path: Path) -> None:
    graph = chain(affine(2, 2), affine(2, 2), lif(2), shape=(2,))
    graph.edges = [("input", "0"), ("0", "1"), ("1", "0")]
    found = converted(graph, tmp_path)
    assert any("circle without a neuron" in each.text for each in found.unsupported)


def test_recurrence_in_both_forms(tmp_path: Path) -> None:
    """A flat cycle, and a nested graph that holds it."""
    weight, back, neuron = RNG.normal(size=(3, 2)), RNG.normal(size=(3, 3)), lif(3)
    ends = {
        "input": nir.Input(input_type={"input": np.array([2])}),
        "output": nir.Output(output_type={"output": np.array([3])}),
    }
    flat = nir.NIRGraph(
        {**ends, "fc": nir.Linear(weight=weight), "lif": neuron, "rec": nir.Linear(weight=back)},
        [("input", "fc"), ("fc", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    inner = nir.NIRGraph(
        {
            "input": nir.Input(input_type={"input": np.array([3])}),
            "lif": neuron,
            "rec": nir.Linear(weight=back),
            "output": nir.Output(output_type={"output": np.array([3])}),
        },
        [("input", "lif"), ("lif", "rec"), ("rec", "lif"), ("lif", "output")],
        type_check=False,
    )
    nested = nir.NIRGraph(
        {**ends, "fc": nir.Linear(weight=weight), "block": inner},
        [("input", "fc"), ("fc", "block"), ("block", "output")],
        type_check=False,
    )
    layers = []
    for graph in (flat, nested):
        found = converted(graph, tmp_path)
        assert found.description is not None, found.unsupported
        layers.append(found.description.layers[0])
        assert any("recurrent" in each.text for each in found.verdicts)
    np.testing.assert_array_equal(layers[0].weight, layers[1].weight)  # type: ignore[union-attr]
    np.testing.assert_array_equal(layers[0].weight_rec, layers[1].weight_rec)  # type: ignore[union-attr]
    assert layers[0].weight_rec.any()  # type: ignore[union-attr]


@pytest.mark.parametrize(("scale", "reset"), [("layer", -0.4), ("channel", 0.0)])
def test_integers_follow_the_reference(scale: str, reset: float, tmp_path: Path) -> None:
    """A network with pools, groups, a delay, recurrence-free: spikes of the last layer agree in nearly all steps."""
    neuron = nir.LIF(
        *(np.full((4, 7, 7), value) for value in (2e-3, 20.0, 0.0, 0.8)), v_reset=np.full((4, 7, 7), reset)
    )
    graph = chain(
        conv(RNG.normal(size=(4, 2, 3, 3)) * 0.3, bias=0.01),
        neuron,
        pool(nir.AvgPool2d, 2, padding=0),
        nir.Flatten(input_type={"input": np.array([4, 3, 3])}, start_dim=0, end_dim=-1),
        affine(5, 36),
        nir.Delay(delay=np.array([0.0, 1e-4, 5e-4, 0.0, 2e-4])),
        nir.CubaLIF(*(np.full(5, value) for value in (5e-4, 2e-3, 20.0, 0.0, 1.0)), w_in=np.full(5, 5.0)),
        shape=(2, 9, 9),
    )
    stored = read(graph, tmp_path)
    found = convert(stored, scale=scale)  # type: ignore[arg-type]
    assert found.description is not None, found.unsupported
    assert isinstance(found.description.layers[0], Conv)
    spikes = (RNG.random((4, 2, 9, 9, 60)) < 0.2).astype(np.uint8)
    reference = run_reference(stored, list(found.stages), spikes, Numerics())
    run = Engine(found.description).run(spikes)
    totals = reference.spikes.sum(axis=(0, 2)), run.spikes.sum(axis=(0, 2))
    assert min(totals[0]) > 50
    np.testing.assert_allclose(totals[1], totals[0], rtol=0.1)


def test_an_output_without_neurons_is_added_up(tmp_path: Path) -> None:
    graph = chain(affine(3, 2), lif(3), affine(2, 3), shape=(2,))
    stored = read(graph, tmp_path)
    found = convert(stored)
    assert found.description is not None
    assert found.description.readout == "voltage"
    spikes = (RNG.random((5, 2, 40)) < 0.5).astype(np.uint8)
    reference = run_reference(stored, list(found.stages), spikes, Numerics())
    scores = Engine(found.description).run(spikes, readout="voltage").scores[..., -1]
    assert (scores.argmax(axis=1) == reference.scores[..., -1].argmax(axis=1)).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weight_bits(bits: int) -> None:
    weight = RNG.normal(size=(8, 50))
    found = quantise(weight, np.full(8, 3.0), np.zeros(8), bits=bits)
    assert len(np.unique(found.weight)) <= 1 << bits
    assert found.weight.min() >= -256
    assert found.weight.max() <= 254
    if bits == 8:
        assert np.abs(found.weight * found.scale[:, None] - weight).max() < 0.05


def test_a_scale_for_each_row_is_finer() -> None:
    weight = RNG.normal(size=(4, 50)) * np.array([[0.01], [0.1], [1.0], [10.0]])
    errors = []
    for by_row in (False, True):
        found = quantise(weight, np.full(4, 3.0), np.zeros(4), by_row=by_row)
        errors.append(np.abs(found.weight * found.scale[:, None] - weight)[0].max())
    assert errors[1] < errors[0] / 10


def test_a_threshold_out_of_reach() -> None:
    with pytest.raises(ValueError, match="exceed the chip's range"):
        quantise(np.full((1, 1), 1e-6), np.array([1e3]), np.zeros(1))


def totals(graph: nir.NIRGraph, folder: Path, rate: float = 0.2, steps: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of each layer in the reference and in integers."""
    stored = read(graph, folder)
    found = convert(stored)
    assert found.description is not None, found.unsupported
    spikes = (np.random.default_rng(5).random((6, *found.description.input_shape, steps)) < rate).astype(np.uint8)
    fed = spikes.reshape(6, *_shape_of(stored), steps)
    reference = run_reference(stored, list(found.stages), fed, Numerics())
    return reference.spikes.sum(axis=(0, 2)), Engine(found.description).run(spikes).spikes.sum(axis=(0, 2))


def _shape_of(stored: Any) -> tuple[int, ...]:
    return tuple(int(n) for n in stored.nodes["input"].input_type["input"])


def neurons(*shape: int, threshold: Any = 1.0) -> nir.LIF:
    values = [np.broadcast_to(np.asarray(value, np.float64), shape).copy() for value in (2e-3, 20.0, 0.0, threshold)]
    return nir.LIF(*values)


def conv1d(outputs: int, inputs: int, kernel: int) -> nir.Conv1d:
    weight = RNG.normal(size=(outputs, inputs, kernel)) * 0.4 + 0.1
    return nir.Conv1d(input_shape=20, weight=weight, stride=1, padding=0, dilation=1, groups=1, bias=np.zeros(outputs))


def test_small_integers_next_to_slow_decays_get_a_finer_scale(tmp_path: Path) -> None:
    """Of a spike of weight 1 a state keeps 64 units, and loses one in each step: left as they are, they lose most."""
    slow = nir.CubaLIF(*(np.full(4, value) for value in (20e-3, 20e-3, 200.0, 0.0, 50.0)), w_in=np.full(4, 200.0))
    theirs, ours = totals(chain(nir.Linear(weight=np.eye(4)), slow, shape=(4,)), tmp_path, rate=0.05, steps=300)
    assert theirs[0] > 100
    np.testing.assert_allclose(ours, theirs, rtol=0.05)


@pytest.mark.parametrize(
    "nodes",
    [
        lambda: [conv1d(3, 2, 3), neurons(3, 18), conv1d(4, 3, 2), neurons(4, 17)],
        lambda: [neurons(2, 20, threshold=0.5), conv1d(3, 2, 3), neurons(3, 18)],
        lambda: [
            conv1d(3, 2, 3),
            neurons(3, 18),
            nir.Scale(scale=np.full((3, 1), 1.5)),
            conv1d(2, 3, 2),
            neurons(2, 17),
        ],
    ],
)
def test_maps_of_one_dimension(nodes, tmp_path: Path) -> None:
    theirs, ours = totals(chain(*nodes(), shape=(2, 20)), tmp_path)
    assert min(theirs) > 50
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


def test_a_threshold_for_each_pixel_makes_matrices(tmp_path: Path) -> None:
    by_pixel = np.linspace(0.5, 1.5, 3 * 4 * 4).reshape(3, 4, 4)
    nodes = [
        conv(np.abs(RNG.normal(size=(3, 2, 3, 3))) * 0.3),
        neurons(3, 4, 4, threshold=by_pixel),
        conv(np.abs(RNG.normal(size=(2, 3, 2, 2))) * 0.3),
        neurons(2, 3, 3),
    ]
    theirs, ours = totals(chain(*nodes, shape=(2, 6, 6)), tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


def test_recurrent_convolutions(tmp_path: Path) -> None:
    graph = chain(conv(np.abs(RNG.normal(size=(2, 2, 3, 3))) * 0.2, padding=1), neurons(2, 5, 5), shape=(2, 5, 5))
    graph.nodes["back"] = conv(RNG.normal(size=(2, 2, 3, 3)) * 0.1, padding=1)
    graph.edges += [("1", "back"), ("back", "1")]
    theirs, ours = totals(graph, tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


def test_groups_in_a_row(tmp_path: Path) -> None:
    nodes = [
        conv(np.abs(RNG.normal(size=(8, 1, 3, 3))), groups=4),
        conv(np.abs(RNG.normal(size=(2, 4, 2, 2))) * 0.1, groups=2),
        neurons(2, 3, 3),
    ]
    theirs, ours = totals(chain(*nodes, shape=(4, 6, 6)), tmp_path)
    np.testing.assert_allclose(ours, theirs, rtol=0.1)


@pytest.mark.slow
def test_large_pools_before_a_matrix(tmp_path: Path) -> None:
    """The matrix is made without one of inputs x inputs."""
    nodes = [
        pool(nir.SumPool2d, 32),
        nir.Flatten(input_type={"input": np.array([2, 4, 4])}, start_dim=0, end_dim=-1),
        affine(10, 32),
        lif(10),
    ]
    found = converted(chain(*nodes, shape=(2, 128, 128)), tmp_path)
    assert found.description is not None
    assert found.description.layers[0].weight.shape == (10, 2 * 128 * 128)  # type: ignore[union-attr]


def test_parameters_that_could_be_rows_or_channels_are_refused(tmp_path: Path) -> None:
    refused(
        chain(conv(np.ones((6, 1, 1, 1))), neurons(6), shape=(1, 6, 6)), tmp_path, "1", "do not match what it is fed"
    )


def test_few_bits_hold_for_integers_too(tmp_path: Path) -> None:
    weight = np.arange(-100, 254, 2).astype(float).reshape(3, -1)
    found = converted(
        chain(nir.Linear(weight=weight), integrate_and_fire(3, threshold=500.0), shape=(59,)), tmp_path, weight_bits=2
    )
    assert found.description is not None
    assert len(np.unique(found.description.layers[0].weight)) <= 4  # type: ignore[union-attr]
