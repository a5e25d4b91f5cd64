"""The engine, stock Lava and the golden files on the networks that lava-dl's wheel brings along.

The golden arrays come from SLAYER or from the chip, not from Lava's simulation: each test says how far they agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from aoi.engine import Engine, LayerTrace
from aoi.netx import Conv, Dense, NetworkDescription, NetworkFile, read_network
from aoi_deploy.lava.trace import lava_trace

pytestmark = pytest.mark.timeout(240)
Golden = Callable[[str], np.ndarray]


@pytest.fixture
def golden(shipped) -> Golden:
    """An array of ``gts/``; maps, which lie as (W, H, C, T) there, as (C, H, W, T)."""

    def load(name: str) -> np.ndarray:
        array = np.load(shipped(f"gts/{name}.npy"))
        return array.transpose(2, 1, 0, 3) if array.ndim == 4 else array

    return load


def in_engine(file: NetworkFile, inputs: np.ndarray) -> tuple[LayerTrace, ...]:
    return Engine(file.description).run(inputs, return_traces=True).traces


def in_lava(file: NetworkFile, inputs: np.ndarray) -> list[LayerTrace]:
    return lava_trace(file, inputs, timeout_s=900)


def assert_equal(file: NetworkFile, inputs: np.ndarray) -> tuple[LayerTrace, ...]:
    traces = in_engine(file, inputs)
    for trace, lava in zip(traces, in_lava(file, inputs), strict=True):
        assert trace.name == lava.name
        for quantity in ("u", "v", "s"):
            found, wanted = getattr(trace, quantity), getattr(lava, quantity)
            np.testing.assert_array_equal(found, wanted, err_msg=f"{quantity} of layer {trace.name}")
    return traces


def spikes(file: NetworkFile, samples: int, steps: int, rate: float) -> np.ndarray:
    shape = (samples, *file.description.input_shape, steps)
    return (np.random.default_rng(0).random(shape) < rate).astype(np.uint8)


def held(values: np.ndarray, steps: int) -> np.ndarray:
    """One sample that stays the same for all steps: (*shape,) → int32 (1, *shape, T)."""
    return np.repeat(values[None, ..., None], steps, axis=-1).astype(np.int32)


@pytest.mark.parametrize(("name", "outputs"), [("netx/mnist.net", 10), ("netx/tiny.net", 36)])
def test_spikes_behind_the_input_block(name, outputs, shipped):
    """mnist.net's last layer never fires and is read through its voltage; tiny.net has biases."""
    file = read_network(shipped(name))
    assert (file.skip_layers, file.description.takes_values, file.description.outputs) == (1, False, outputs)
    traces = assert_equal(file, spikes(file, 3, 32, 0.2))
    assert all(trace.s.any() for trace in traces[:-1])
    assert traces[-1].v.any()


@pytest.mark.parametrize("name", ["netx/mnist.net", "netx/tiny.net"])
def test_values_into_the_input_block(name, shipped):
    file = read_network(shipped(name), input_block=True)
    block = file.description.layers[0]
    low, high = sorted((block.offset, block.offset + block.scale))
    inputs = np.random.default_rng(1).integers(low, high + 1, (3, *file.description.input_shape, 24), dtype=np.int32)
    traces = assert_equal(file, inputs)
    assert all(trace.s.any() for trace in traces[:2])


def test_tiny_golden(shipped, golden):
    """Input spikes, and the first layer's current; its spikes only where biases may not act before input arrives.

    The golden run is one step late, and SLAYER's biases begin with the input; Lava's act from the first step on.
    """
    file = read_network(shipped("netx/tiny.net"), input_block=True)
    bias = np.load(shipped("gts/tinynet/input_bias.npy")).transpose(2, 1, 0)
    traces = in_engine(file, held(bias, 15))
    fired, current = (np.load(shipped(f"gts/tinynet/{name}.npy"))[0, ..., 1:] for name in ("input", "current"))
    np.testing.assert_array_equal(traces[0].s[0], fired)
    np.testing.assert_array_equal(traces[1].u[0], current * 64)
    out = np.load(shipped("gts/tinynet/output.npy"))[0, ..., 1:]
    assert out.any()
    assert (traces[-1].s[0] != out).any(), "the golden output is of a network that is reset when input arrives"


@pytest.mark.slow
def test_pilotnet_lif_against_the_golden_layers(shipped, golden):
    """u, v and spikes of each layer, fed what the golden run says that the layer before it sent.

    The golden run clears each layer when its input arrives, after which a bias is an input that always fires. After a
    spike the chip's v holds 128 for the refractory step, Lava's is 0. The files of the last layer are of another run:
    they hold a current that no step of ``fc-2`` causes.
    """
    file = read_network(shipped("gts/pilotnet_lif/network.net"))
    fed, steps = golden("pilotnet_lif/input-s"), 16
    names = [*(f"conv-{n}" for n in range(5)), *(f"fc-{n}" for n in range(3))]
    for late, (name, layer) in enumerate(zip(names, file.description.layers, strict=False), 1):
        u, v, s = (golden(f"pilotnet_lif/{name}{suffix}")[..., late : late + steps] for suffix in ("-u", "-v", ""))
        x = fed[..., late - 1 : late - 1 + steps].astype(np.uint8)
        x = x.reshape(-1, steps) if isinstance(layer, Dense) else x
        biased, x = _bias_as_input(layer, x)
        trace = Engine(NetworkDescription(x.shape[:-1], (biased,))).run(x[None], return_traces=True).traces[0]
        offset = layer.bias.reshape(-1, *[1] * (u.ndim - 1)) << 6
        np.testing.assert_array_equal(trace.s[0], s, err_msg=f"spikes of {name}")
        np.testing.assert_array_equal(trace.u[0] - offset, u, err_msg=f"u of {name}")
        np.testing.assert_array_equal(np.where(s, 128, trace.v[0]), v, err_msg=f"v of {name}")
        assert s.any()
        fed = golden(f"pilotnet_lif/{name}")
    caused = (file.description.layers[-1].weight @ fed.astype(np.int32)) << 6
    assert -5376 in golden("pilotnet_lif/fc-3-u")
    assert -5376 not in caused


def _bias_as_input(layer: Dense | Conv, x: np.ndarray) -> tuple[Dense | Conv, np.ndarray]:
    """The layer with its bias as the weight of one more input that always fires: the same while u forgets at once."""
    assert layer.neuron.current_decay == 4096
    x = np.concatenate([x, np.ones((1, *x.shape[1:]), x.dtype)])
    if isinstance(layer, Dense):
        return replace(layer, weight=np.concatenate([layer.weight, layer.bias[:, None]], axis=1), bias=None), x
    kernel = np.zeros((len(layer.bias), 1, *layer.weight.shape[2:]), np.int32)
    kernel[:, 0, 1, 1] = layer.bias  # never on the padding, which is 1 at most
    weight = np.concatenate([layer.weight, kernel], axis=1)
    return replace(layer, weight=weight, bias=None, input_shape=x.shape[:-1]), x


@pytest.mark.slow
def test_pilotnet_lif_input_block(shipped, golden):
    """The golden spikes of the input block, 16 steps after each reset of the golden run."""
    file = read_network(shipped("gts/pilotnet_lif/network.net"), input_block=True)
    image = np.load(shipped("gts/pilotnet_lif/image.npy")).transpose(2, 1, 0)
    traces = in_engine(file, held(image, 16))
    np.testing.assert_array_equal(traces[0].s[0], golden("pilotnet_lif/input")[..., :16])


@pytest.mark.parametrize("values", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_pilotnet_lif(values, shipped, golden):
    file = read_network(shipped("gts/pilotnet_lif/network.net"), input_block=values)
    image = np.load(shipped("gts/pilotnet_lif/image.npy")).transpose(2, 1, 0)
    frames = golden("pilotnet_lif/input-s")[None, ..., :16].astype(np.uint8)
    traces = assert_equal(file, held(image, 16) if values else frames)
    assert all(trace.s.any() for trace in traces[:-2])
    assert traces[-1].v.any()


def test_pilotnet_sdnn(shipped, golden):
    """Lava throughout, and the golden messages, sums and output that are there.

    The golden output is Lava's own of the first nine steps: the last is the answer to the input, those before it what
    biases send on their way, which an aligned trace leaves out. Of ``act0`` and ``sigma1``, 20 steps of the same
    image, the values are compared in all of them, those of ``sigma2`` from the step in which the input arrives.
    """
    file = read_network(shipped("gts/pilotnet_sdnn/network.net"))
    assert file.description.takes_values
    image = np.load(shipped("gts/pilotnet_sdnn/input.npy")).transpose(2, 1, 0, 3)[..., 0]
    traces = assert_equal(file, held(image, 3))
    output = np.load(shipped("gts/pilotnet_sdnn/output.npy"))
    assert output.shape == (1, 9)
    assert traces[-1].s[0, 0, 0] == output[0, -1] == -31026
    longer = in_engine(file, held(image, 20))
    np.testing.assert_array_equal(longer[0].s[0], golden("pilotnet_sdnn/act0"))
    np.testing.assert_array_equal(longer[1].u[0, ..., :19], golden("pilotnet_sdnn/sigma1")[..., 1:])
    np.testing.assert_array_equal(longer[2].u[0, ..., :18], golden("pilotnet_sdnn/sigma2")[..., 2:])


def test_ntidigits_golden(shipped, golden):
    """All 3,000 steps and 242 neurons agree: the golden run (SLAYER's) is 4 steps later, and that is all.

    lava-dl's own test compares one step, in which neither sends anything.
    """
    file = read_network(shipped("ntidigits.net"))
    assert file.description.average == file.description.outputs == 11
    fed, expected = golden("ntidigits/input").astype(np.uint8), golden("ntidigits/output")
    run = Engine(file.description).run(fed.reshape(1, 1, 1, *fed.shape), return_traces=True)
    np.testing.assert_array_equal(run.traces[-1].s[0, :, :-4], expected[:, 4:])
    assert not expected[:, :4].any()
    counts = run.traces[-1].s[0].reshape(11, 22, -1).sum(axis=1).cumsum(axis=-1)
    np.testing.assert_array_equal(run.scores[0], counts)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ntidigits(shipped, golden):
    """Delays up to 62 steps, 3,000 steps: engine, Lava and golden file, whole."""
    file = read_network(shipped("ntidigits.net"))
    fed = golden("ntidigits/input").astype(np.uint8)
    traces = assert_equal(file, fed.reshape(1, 1, 1, *fed.shape))
    np.testing.assert_array_equal(traces[-1].s[0, :, :-4], golden("ntidigits/output")[:, 4:])


def test_ntidigits_beginning(shipped, golden):
    file = read_network(shipped("ntidigits.net"))
    fed = golden("ntidigits/input")[:, :60].astype(np.uint8)
    assert assert_equal(file, fed.reshape(1, 1, 1, *fed.shape))[-1].s.any()
