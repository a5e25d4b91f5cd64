"""Running in chunks of steps: the same values to the bit, gradients within float32 rounding, little memory per step."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from aoi.experiment.network import ConvSpec, DenseSpec, HiddenSpec, NetworkSpec
from aoi_models.blocks import LayerActivity
from aoi_models.dynamics import CubaDynamics
from aoi_models.network import AnytimeNetwork

SHAPE, STEPS = (2, 9, 8), 13
CONV = ConvSpec(channels=4, kernel=3, stride=2, padding=1, weight_scale=3)
KINDS: dict[str, tuple[HiddenSpec, ...]] = {
    "dense": (DenseSpec(neurons=20, weight_scale=3),),
    "conv": (CONV, ConvSpec(channels=6, kernel=3, groups=2, weight_scale=3)),
    "recurrent": (CONV, DenseSpec(neurons=20, weight_scale=3, recurrent=True)),
    "delay": (DenseSpec(neurons=20, weight_scale=3, delay=True), DenseSpec(neurons=10, weight_scale=3)),
}


def network(kind: str, readout: str, max_delay: float = 5) -> AnytimeNetwork:
    torch.manual_seed(0)
    spec = NetworkSpec(layers=KINDS[kind], readout=readout, readout_weight_scale=3)  # type: ignore[arg-type]
    net = AnytimeNetwork.from_spec(spec, SHAPE, 4)
    for block in net.blocks:
        if block.block.delay is not None:
            block.block.delay.delay.data.uniform_(0, max_delay)
    return net


def spikes(steps: int = STEPS, samples: int = 3) -> torch.Tensor:
    return (torch.rand(samples, *SHAPE, steps, generator=torch.Generator().manual_seed(1)) < 0.3).to(torch.uint8)


def voltage_and_sent(layer: LayerActivity, _: float) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.voltage, layer.sent


Outcome = tuple[torch.Tensor, list[torch.Tensor], list[torch.Tensor]]


def outcome(net: AnytimeNetwork, chunk: int | None) -> Outcome:
    """Scores, all voltages and sent spikes, and the gradients of a weighted sum of them all."""
    x = spikes()
    if chunk is None:
        scores, layers = net(x.float())
        seen = [each for layer in layers for each in (layer.voltage, layer.sent)]
    else:
        scores, summaries = net.forward_in_chunks(x, chunk, voltage_and_sent)
        seen = [torch.cat(each, -1) for layer in summaries for each in zip(*layer, strict=True)]
    generator = torch.Generator().manual_seed(2)
    total = sum((y * torch.randn(y.shape, generator=generator)).mean() for y in (scores, *seen))
    parameters = [p for p in net.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    return scores, seen, [g for g in gradients if g is not None]


@pytest.mark.parametrize("readout", ["spikes", "voltage"])
@pytest.mark.parametrize("kind", KINDS)
def test_chunks_change_nothing(kind: str, readout: str) -> None:
    net = network(kind, readout)
    scores, seen, gradients = outcome(net, None)
    assert all(each.any() for each in seen[:-1])  # the last are the spikes of the readout
    assert len(gradients) == len(net.blocks) + (kind in ("delay", "recurrent"))
    for chunk in (1, 3, STEPS - 1, STEPS, STEPS + 5):
        in_chunks = outcome(net, chunk)
        assert torch.equal(in_chunks[0], scores)
        for a, b in zip(in_chunks[1], seen, strict=True):
            assert torch.equal(a, b)
        for a, b in zip(in_chunks[2], gradients, strict=True):
            assert float(b.abs().max()) > 0
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@pytest.mark.parametrize("max_delay", [0.5, 60.0])
def test_delays_longer_and_shorter_than_a_chunk(max_delay: float) -> None:
    net = network("delay", "spikes", max_delay)
    scores, _, gradients = outcome(net, None)
    in_chunks = outcome(net, 4)
    assert torch.equal(in_chunks[0], scores)
    for a, b in zip(in_chunks[2], gradients, strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    neurons=st.sampled_from([1, 7, 1500]),
    steps=st.integers(2, 40),
    cut=st.floats(0, 1),
    decays=st.tuples(st.integers(0, 4096), st.integers(0, 4096)),
    threshold=st.sampled_from([0.1, 1.0, 20.0, float("inf")]),
    gain=st.sampled_from([0.1, 1.0, 300.0]),
)
def test_dynamics_continue_from_a_state_bit_exactly(seed, neurons, steps, cut, decays, threshold, gain):  # type: ignore[no-untyped-def]
    """Values and gradients, also of states with more digits than a float32 holds."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.round(torch.randn(steps, neurons, generator=generator) * gain * 32) / 32
    weights = torch.randn(3, steps, neurons, generator=generator)

    def run(*parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        state, found = None, []
        for part in parts:
            *each, state, _, _ = CubaDynamics.apply(part, state, *decays, threshold, 0.3, 2.0, True)
            found.append(torch.stack(each))
        assert state is not None
        return torch.cat(found, 1), state, (torch.cat(found, 1) * weights).sum() + state.sum().float()

    at = 1 + int(cut * (steps - 2))
    whole = z.clone().requires_grad_()
    split = z.clone().requires_grad_()
    outcomes = [run(whole), run(*(part.contiguous() for part in split.split([at, steps - at])))]
    assert torch.equal(outcomes[0][0], outcomes[1][0])
    assert torch.equal(outcomes[0][1], outcomes[1][1])
    for _, _, total in outcomes:
        total.backward()
    assert torch.equal(whole.grad, split.grad)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are allocated and not yet freed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        old = {each.untyped_storage()._cdata for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)}
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor):
                storage = each.untyped_storage()
                if storage._cdata not in self._known | old:
                    self._known.add(storage._cdata)
                    self.now += storage.nbytes()
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self._freed, storage._cdata, storage.nbytes())
        return result

    def _freed(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def peak_of(work: Callable[[], torch.Tensor]) -> int:
    with LiveBytes() as live:
        work().backward()
    return live.peak


@pytest.mark.parametrize(("kind", "steps"), [("dense", 240), ("conv", 240), ("delay", 240), ("recurrent", 96)])
def test_memory_grows_only_by_states_and_sums(kind: str, steps: int) -> None:
    net = network(kind, "voltage", max_delay=2)
    samples, chunk = 4, 12

    def total(layer: LayerActivity, _: float) -> torch.Tensor:
        return layer.spikes.flatten(1, -2).sum(1)

    def peak(steps: int) -> int:
        x = spikes(steps, samples)
        return peak_of(lambda: net.forward_in_chunks(x, chunk, total)[0].mean())

    short, long = peak(steps // 4), peak(steps)
    neurons = sum(layer.spikes[0, ..., 0].numel() for layer in net(spikes(1).float()).layers)
    # Per boundary: 16 bytes per neuron (12 in a recurrent layer), with delays 12 more for the spikes of three steps.
    states = (steps - steps // 4) // chunk * samples * neurons * (28 if kind == "delay" else 16)
    # The sums of each layer and step and the scores, three times: by chunk, concatenated, and as gradients.
    sums = (steps - steps // 4) * samples * 4 * 3 * (len(net.blocks) + 4)
    assert long - short < states + sums
    whole = spikes(steps, samples).float()
    assert long < 0.3 * peak_of(lambda: net(whole).scores.mean())


def test_without_gradients_no_graph_is_kept() -> None:
    net = network("conv", "voltage")
    with torch.no_grad():
        scores, summaries = net.forward_in_chunks(spikes(), 4, voltage_and_sent)
    assert scores.grad_fn is None
    assert not any(each.requires_grad for layer in summaries for chunk in layer for each in chunk)
    assert torch.equal(scores, net(spikes().float()).scores)
    assert net(spikes().float()).layers[0].current is None
