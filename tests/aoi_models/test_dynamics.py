"""Our CPU dynamics against SLAYER's: the same values to the bit, gradients within float32 rounding."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aoi.compat import enable_slayer
from aoi_models.dynamics import CubaDynamics

enable_slayer()
from lava.lib.dl import slayer  # noqa: E402


def slayer_and_ours(z: torch.Tensor, current_decay: float, voltage_decay: float, threshold: float):  # type: ignore[no-untyped-def]
    """(current, voltage, spikes) of SLAYER and of ours for z (neurons, T), and both gradients of a weighted sum."""
    neuron = slayer.neuron.cuba.Neuron(
        threshold=threshold, current_decay=current_decay, voltage_decay=voltage_decay, tau_grad=0.003, scale_grad=10
    )
    weights = torch.linspace(-1, 1, z.numel()).view_as(z)
    theirs_in = z.clone().requires_grad_()
    current, voltage = neuron.dynamics(theirs_in[None])
    theirs = (current[0], voltage[0], neuron.spike(voltage)[0])
    ours_in = z.clone().requires_grad_()
    ours = CubaDynamics.apply(
        ours_in.T.contiguous(),
        None,
        int(neuron.cx_current_decay),
        int(neuron.cx_voltage_decay),
        float(neuron.threshold),
        float(neuron.tau_rho) * slayer.neuron.cuba.TAU_RHO_MULT,
        float(neuron.scale_rho) * slayer.neuron.cuba.SCALE_RHO_MULT,
        True,
    )
    ours = tuple(value.T for value in ours[:3])
    for result in (theirs, ours):
        sum((value * weights * k).sum() for k, value in enumerate(result, start=1)).backward()
    return theirs, ours, theirs_in.grad, ours_in.grad


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    neurons=st.sampled_from([1, 7, 1024, 1500]),
    steps=st.integers(1, 40),
    current_decay=st.floats(0, 1),
    voltage_decay=st.floats(0, 1),
    threshold=st.floats(0.1, 20),
    gain=st.sampled_from([0.1, 1.0, 30.0]),
)
def test_values_and_gradients_equal_slayers(seed, neurons, steps, current_decay, voltage_decay, threshold, gain):  # type: ignore[no-untyped-def]
    generator = torch.Generator().manual_seed(seed)
    z = torch.round(torch.randn(neurons, steps, generator=generator) * gain * 32) / 32
    theirs, ours, their_grad, our_grad = slayer_and_ours(z, current_decay, voltage_decay, threshold)
    for a, b in zip(theirs, ours, strict=True):
        assert torch.equal(a, b)
    assert torch.allclose(their_grad, our_grad, rtol=1e-4, atol=1e-4 * float(their_grad.abs().max()))


def test_an_integrator_never_fires_and_keeps_its_sum() -> None:
    z = torch.full((50, 3), 5.0)
    _, voltage, spikes, *_ = CubaDynamics.apply(z, None, 4096, 0, float("inf"), 1.0, 1.0, False)
    assert not spikes.any()
    assert torch.equal(voltage[-1], torch.full((3,), 250.0))


def test_gradient_of_the_current_alone() -> None:
    z = torch.rand(5, 4, requires_grad=True)
    current, *_ = CubaDynamics.apply(z, None, 4096, 0, 1.0, 0.3, 1.0, True)
    current.sum().backward()
    assert z.grad is not None
    assert torch.equal(z.grad, torch.ones_like(z))


@pytest.mark.parametrize(
    "each", [1, 7, 1024, 1500]
)  # neurons per sample: several samples per block, or several blocks per sample
@pytest.mark.parametrize("threshold", [1.0, float("inf")])
def test_sums_over_the_neurons_of_each_sample(each: int, threshold: float) -> None:
    samples, generator = 3, torch.Generator().manual_seed(each)
    drive = torch.round(torch.randn(12, samples * each, generator=generator) * 32) / 32
    weights = torch.randn(12, samples, generator=generator)

    def run(sum_samples: int) -> tuple[torch.Tensor, ...]:
        z = drive.clone().requires_grad_()
        return z, *CubaDynamics.apply(z, None, 1024, 400, threshold, 0.3, 1.0, False, sum_samples)

    z, _, voltage, spikes, _, fired, kept = run(samples)
    plain_z, _, _, plain_spikes, _, plain_fired, plain_kept = run(0)
    assert plain_fired is plain_kept is None
    assert torch.equal(spikes, plain_spikes)
    assert torch.equal(fired, spikes.view(12, samples, each).sum(-1))
    left = voltage.detach().double().clamp(min=0) * (voltage <= threshold)
    assert torch.equal(kept, left.view(12, samples, each).sum(-1).float())
    assert not kept.requires_grad
    # Each spike gets the gradient of the sum, alone and in addition to a gradient of its own.
    (fired * weights).sum().backward()
    (plain_spikes.view(12, samples, each).sum(-1) * weights).sum().backward(retain_graph=True)
    assert torch.equal(z.grad, plain_z.grad)
    assert z.grad.any()
    z, _, _, spikes, _, fired, _ = run(samples)
    plain_z.grad = None
    ((fired * weights).sum() + (spikes * drive).sum()).backward()
    ((plain_spikes.view(12, samples, each).sum(-1) * weights).sum() + (plain_spikes * drive).sum()).backward()
    assert torch.equal(z.grad, plain_z.grad)


@pytest.mark.parametrize("threads", [1, 2])
def test_result_does_not_depend_on_the_number_of_threads(threads: int) -> None:
    import numba

    before = numba.get_num_threads()
    numba.set_num_threads(min(threads, before))
    try:
        z = torch.round(torch.randn(20, 5000, generator=torch.Generator().manual_seed(0)) * 32) / 32
        _, voltage, *_ = CubaDynamics.apply(z, None, 2048, 400, 1.0, 0.3, 1.0, False)
        assert float(voltage.double().sum()) == pytest.approx(float(_reference(z)), abs=0)
    finally:
        numba.set_num_threads(before)


def _reference(z: torch.Tensor) -> torch.Tensor:
    """Plain integer arithmetic, step by step."""
    u = v = torch.zeros(z.shape[1], dtype=torch.int64)
    total = torch.zeros((), dtype=torch.float64)
    for row in z:
        u = torch.div(u * 2048, 4096, rounding_mode="trunc") + (row * 4096).long()
        v = torch.div(v * 3696, 4096, rounding_mode="trunc") + u
        total += (v.double() / 4096).sum()
        v = torch.where(v > 4096, 0, v)
    return total
