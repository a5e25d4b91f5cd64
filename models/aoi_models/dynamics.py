"""CUBA dynamics of a whole run in one pass on the CPU, with SLAYER's values and gradients.

SLAYER's CPU code loops in Python over a strided time axis, once for the current and once for the voltage. Here time is
the outermost axis in memory: each core takes a block of neurons that fits into its cache and loops over the steps once
forward and once backward. Source of the arithmetic: ``lava.lib.dl.slayer.neuron.dynamics.leaky_integrator`` and
``lava.lib.dl.slayer.spike.spike``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit, prange

STATE_SCALE = 4096.0  # a SLAYER state is the Loihi state divided by 2**12
_BLOCK = 1024  # neurons per core at a time: their states fit into the first-level cache


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """e**x for float32 x <= 0, within 1.2 units in the last place; unlike math.exp it lets loops vectorise.

    Cephes' ``expf``: 2**n times a polynomial of the remainder.
    """
    x = max(x, np.float32(-87.0))
    n = np.floor(x * np.float32(1.44269504) + np.float32(0.5))
    r = (x - n * np.float32(0.693359375)) - n * np.float32(-2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1.0)
    return p * np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(fastmath=True, cache=True)
def _segment_sums(spikes, voltage):  # type: ignore[no-untyped-def]
    """Number of spikes, and sum of positive voltages. All are integers, so the order of the sum does not matter."""
    count, potential = np.float32(0.0), 0.0
    for i in range(len(spikes)):
        count += spikes[i]
        potential += max(voltage[i], 0.0)
    return count, potential


# Loihi's integers are held in float64: the product of a 24-bit state and a 12-bit decay is exact, and loops vectorise.
@njit(parallel=True, cache=True)
def _forward(  # type: ignore[no-untyped-def]
    z, starts, columns, segment, keep_u, keep_v, threshold, current, voltage, spikes, fired, kept, state_u, state_v
):
    """Writes ``current``, ``voltage`` and ``spikes``, (T, neurons), and the sums over segments ``fired`` and ``kept``,
    (T, columns). A (0, 0) array for ``current`` or the sums skips them. The states, (neurons,), are updated in place.
    """
    steps = len(z)
    keeps_current, sums = current.size > 0, fired.size > 0
    for block in prange(len(columns)):
        here = slice(starts[block], starts[block + 1])
        u = state_u[here] * STATE_SCALE
        v = state_v[here] * STATE_SCALE
        for t in range(steps):
            z_t, voltage_t, spikes_t = z[t, here], voltage[t, here], spikes[t, here]
            for i in range(len(u)):
                u_new = np.trunc(u[i] * keep_u) + np.trunc(np.float64(z_t[i]) * STATE_SCALE)
                v_new = np.trunc(v[i] * keep_v) + u_new
                fires = v_new > threshold
                voltage_t[i] = np.float32(v_new * (1.0 / STATE_SCALE))
                spikes_t[i] = np.float32(1.0) if fires else np.float32(0.0)
                u[i] = u_new
                v[i] = 0.0 if fires else v_new
            if keeps_current:
                current_t = current[t, here]
                for i in range(len(u)):
                    current_t[i] = np.float32(u[i] * (1.0 / STATE_SCALE))
            if sums:
                for g in range((len(u) + segment - 1) // segment):
                    part = slice(g * segment, (g + 1) * segment)
                    count, potential = _segment_sums(spikes_t[part], v[part])
                    fired[t, columns[block] + g] = count
                    kept[t, columns[block] + g] = np.float32(potential * (1.0 / STATE_SCALE))
        state_u[here] = u * (1.0 / STATE_SCALE)
        state_v[here] = v * (1.0 / STATE_SCALE)


@njit(cache=True)
def _add_surrogate_gradient(sum_v, voltage, grad_s, grad_count, threshold, rate, height):  # type: ignore[no-untyped-def]
    """Adds to the voltage gradient what flows through each spike, its own gradient and that of the spike count."""
    for i in range(len(sum_v)):
        surrogate = height * _exp(-abs(voltage[i] - threshold) * rate)
        sum_v[i] += (grad_s[i] + grad_count) * surrogate


@njit(parallel=True, cache=True)
def _backward(  # type: ignore[no-untyped-def]
    grad_u,
    grad_v,
    grad_s,
    grad_fired,
    voltage,
    starts,
    columns,
    segment,
    keep_u,
    keep_v,
    threshold,
    rate,
    height,
    grad_z,
    state_u,
    state_v,
):
    """Writes ``grad_z``, (T, neurons), from the gradients ``grad_u``, ``grad_v``, ``grad_s``, (T, neurons), and
    ``grad_fired``, (T, columns). A (0, 0) array stands for no gradient; ``grad_fired`` needs ``grad_s``. The gradients
    of the states, (neurons,), are updated in place, from the final to the initial state.
    """
    steps = len(voltage)
    has_u, has_v, has_s, has_fired = grad_u.size > 0, grad_v.size > 0, grad_s.size > 0, grad_fired.size > 0
    for block in prange(len(columns)):
        here = slice(starts[block], starts[block + 1])
        sum_u, sum_v = state_u[here], state_v[here]
        for back in range(steps):
            t = steps - 1 - back
            if has_v:
                sum_v += grad_v[t, here]
            if has_s:
                voltage_t, grad_s_t = voltage[t, here], grad_s[t, here]
                for g in range((len(sum_v) + segment - 1) // segment):
                    part = slice(g * segment, (g + 1) * segment)
                    count = grad_fired[t, columns[block] + g] if has_fired else np.float32(0.0)
                    to_spikes = grad_s_t[part]
                    _add_surrogate_gradient(sum_v[part], voltage_t[part], to_spikes, count, threshold, rate, height)
            grad_z_t = grad_z[t, here]
            for i in range(len(sum_u)):
                sum_u[i] += sum_v[i]
            if has_u:
                sum_u += grad_u[t, here]
            for i in range(len(sum_u)):
                grad_z_t[i] = sum_u[i]
                sum_u[i] *= keep_u
                sum_v[i] *= keep_v


@lru_cache(maxsize=64)
def _blocks(neurons: int, samples: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Divides the neurons into blocks, one per core at a time, and into segments, over which sums run.

    Returns the starts of the blocks and the end of the last, int64 (blocks + 1,); the first segment of each block,
    int64 (blocks,); and the width of a segment. A sample's ``neurons / samples`` are one segment if they fit into a
    block, otherwise each of its blocks is one.
    """
    per_sample = neurons // samples
    if 0 < per_sample <= _BLOCK:
        starts = np.arange(0, neurons, _BLOCK // per_sample * per_sample)
        return np.append(starts, neurons), starts // per_sample, per_sample
    starts = (np.arange(samples)[:, None] * per_sample + np.arange(0, per_sample, _BLOCK)).ravel()
    return np.append(starts, neurons), np.arange(len(starts)), _BLOCK


class CubaDynamics(torch.autograd.Function):
    """CUBA neurons over T steps: current, voltage (before the reset), spikes, final state, and sums per sample."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        z: torch.Tensor,
        start: torch.Tensor | None,
        current_decay: int,
        voltage_decay: int,
        threshold: float,
        tau: float,
        height: float,
        keep_current: bool = False,
        sum_samples: int = 0,
    ) -> tuple[torch.Tensor | None, ...]:
        """Returns current, voltage, spikes, final state, spike count and positive voltage after the reset.

        Args:
            z: synaptic input, float32 (T, neurons), contiguous. Current, voltage and spikes have the same shape.
            start: initial state, float64 (2, neurons): current, and voltage after the reset, Loihi's integers / 4096
                without rounding; None: at rest. The final state is alike. Gradients flow through both states; as in
                SLAYER, not through the reset.
            current_decay: in 1/4096, as ``voltage_decay``.
            threshold: in SLAYER's units; infinite for an integrator.
            tau: width of the surrogate gradient ``height / 2 / tau * exp(-|v - threshold| / tau)``.
            keep_current: whether to return the current; otherwise None.
            sum_samples: number of samples, whose neurons follow each other, equally many each. The spike count and the
                voltage are summed over each sample's neurons, float32 (T, samples), without another pass over memory;
                the gradient flows through the spike count only. 0: both are None.
        """
        current = torch.empty_like(z) if keep_current else z.new_empty(0, 0)
        voltage, spikes = torch.empty_like(z), torch.empty_like(z)
        state = z.new_zeros(2, z.shape[1], dtype=torch.float64) if start is None else start.detach().clone()
        blocks = _blocks(z.shape[1], sum_samples or 1)
        segments = -(-z.shape[1] // (sum_samples or 1) // _BLOCK)  # per sample
        shape = (len(z), sum_samples * segments) if sum_samples else (0, 0)
        fired, kept = z.new_empty(shape), z.new_empty(shape)
        keep_u, keep_v = 1 - current_decay / 4096, 1 - voltage_decay / 4096
        _forward(
            z.detach().numpy(),
            *blocks,
            keep_u,
            keep_v,
            threshold * STATE_SCALE,
            current.numpy(),
            voltage.numpy(),
            spikes.numpy(),
            fired.numpy(),
            kept.numpy(),
            *state.numpy(),
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(voltage)
        ctx.blocks, ctx.segments = blocks, segments
        ctx.parameters = (keep_u, keep_v, threshold if math.isfinite(threshold) else 0.0, 1 / tau, height / 2 / tau)
        outputs = current if keep_current else None, voltage, spikes, state
        if not sum_samples:
            return *outputs, None, None
        fired, kept = (each.view(len(z), sum_samples, -1).sum(-1) for each in (fired, kept))
        ctx.mark_non_differentiable(kept)
        return *outputs, fired, kept

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, *grads: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        *each_step, end, fired, _ = grads
        (voltage,) = ctx.saved_tensors
        grad_z = torch.empty_like(voltage)
        no_gradient = np.empty((0, 0), np.float32)
        if fired is not None:
            if each_step[2] is None:
                each_step[2] = torch.zeros_like(voltage)
            fired = fired.repeat_interleave(ctx.segments, 1)  # all segments of a sample get the gradient of its sum
        gradients = [no_gradient if grad is None else grad.contiguous().numpy() for grad in (*each_step, fired)]
        state = voltage.new_zeros(2, voltage.shape[1]) if end is None else end.float()
        parameters = (np.float32(value) for value in ctx.parameters)
        _backward(*gradients, voltage.numpy(), *ctx.blocks, *parameters, grad_z.numpy(), *state.numpy())
        return grad_z, state.double() if ctx.needs_input_grad[1] else None, *[None] * 7


class CubaStep(torch.autograd.Function):
    """One step of :class:`CubaDynamics`, for layers whose input depends on their own spikes of the step before."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        z: torch.Tensor,
        current: torch.Tensor,
        kept: torch.Tensor,
        current_decay: int,
        voltage_decay: int,
        threshold: float,
        tau: float,
        height: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns current, voltage before the reset, spikes and voltage after the reset, after one step.

        ``z``, ``current`` and ``kept`` (voltage after the reset): float32 of one shape, on any device. The other
        arguments as in :class:`CubaDynamics`.
        """
        keep_u, keep_v = 1 - current_decay / 4096, 1 - voltage_decay / 4096
        u = (current.double() * (STATE_SCALE * keep_u)).trunc() + (z.double() * STATE_SCALE).trunc()
        v = (kept.double() * (STATE_SCALE * keep_v)).trunc() + u
        spikes = (v > threshold * STATE_SCALE).to(z.dtype)
        voltage = (v / STATE_SCALE).to(z.dtype)
        ctx.save_for_backward(voltage)
        ctx.parameters = (keep_u, keep_v, threshold, 1 / tau, height / 2 / tau)
        return (u / STATE_SCALE).to(z.dtype), voltage, spikes, voltage * (1 - spikes)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        grad_u, grad_v, grad_s, grad_kept = grads
        (voltage,) = ctx.saved_tensors
        keep_u, keep_v, threshold, rate, height = ctx.parameters
        # As in SLAYER, no gradient flows through the reset.
        grad_v = grad_v + grad_kept + grad_s * height * torch.exp(-(voltage - threshold).abs() * rate)
        grad_u = grad_u + grad_v
        return grad_u, keep_u * grad_u, keep_v * grad_v, None, None, None, None, None
