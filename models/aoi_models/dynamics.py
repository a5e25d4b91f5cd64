"""CUBA dynamics over a whole run in one pass, on the CPU, with SLAYER's values and gradients.

SLAYER's CPU path walks a strided time axis in Python, once for the current and once for the voltage. Here time is the
outermost axis in memory: each core takes a block of neurons that stays in its cache and walks the steps once, forward
and backward. Source of the arithmetic: ``lava.lib.dl.slayer.neuron.dynamics.leaky_integrator`` and
``lava.lib.dl.slayer.spike.spike``.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numba import njit, prange

STATE_SCALE = 4096.0  # SLAYER's states are Loihi's divided by 2**12
_BLOCK = 1024  # neurons a core takes at once: their states fit into its first-level cache


@njit(inline="always")
def _exp(x):  # type: ignore[no-untyped-def]
    """e**x of a float32 x <= 0, to 1.2 units in the last place: math.exp is a call that keeps loops from vectorising.

    Cephes' ``expf``: 2**n times a polynomial in what is left of x.
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
def _sums(spikes, kept):  # type: ignore[no-untyped-def]
    """Spikes, and positive voltages, summed: whole numbers, whatever the order."""
    fired, potential = np.float32(0.0), 0.0
    for i in range(len(spikes)):
        fired += spikes[i]
        potential += max(kept[i], 0.0)
    return fired, potential


# Loihi's integers are carried in float64: a 24-bit state times a 12-bit decay is exact there, and it vectorises.
@njit(parallel=True, cache=True)
def _forward(  # type: ignore[no-untyped-def]
    z, starts, columns, segment, keep_u, keep_v, threshold, current, voltage, spikes, fired, kept, state_u, state_v
):
    """``current`` is (T, neurons), or (0, 0) where nobody asks, as ``fired`` and ``kept``, (T, columns), the sums over
    segments; the states (neurons,) go from start to end."""
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
                    some = slice(g * segment, (g + 1) * segment)
                    count, potential = _sums(spikes_t[some], v[some])
                    fired[t, columns[block] + g] = count
                    kept[t, columns[block] + g] = np.float32(potential * (1.0 / STATE_SCALE))
        state_u[here] = u * (1.0 / STATE_SCALE)
        state_v[here] = v * (1.0 / STATE_SCALE)


@njit(cache=True)
def _through_spikes(sum_v, voltage, grad_s, of_all, threshold, rate, height):  # type: ignore[no-untyped-def]
    """Adds what flows to the voltage through spikes: to each its own, and what their number gets."""
    for i in range(len(sum_v)):
        pseudo = height * _exp(-abs(voltage[i] - threshold) * rate)
        sum_v[i] += (grad_s[i] + of_all) * pseudo


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
    """``grad_u``, ``grad_v`` and ``grad_s`` are (T, neurons), ``grad_fired`` (T, columns), or (0, 0) where nothing
    flows back, ``grad_fired`` only together with ``grad_s``; the gradients of the states (neurons,) go from end to
    start, in place."""
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
                    some = slice(g * segment, (g + 1) * segment)
                    of_all = grad_fired[t, columns[block] + g] if has_fired else np.float32(0.0)
                    _through_spikes(sum_v[some], voltage_t[some], grad_s_t[some], of_all, threshold, rate, height)
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
    """Where blocks start, with the end of the last, int64 (blocks + 1,); the first of the segments that each sums
    over, int64 (blocks,); and the segments' width. A sample's ``neurons / samples`` are one segment where they fit
    into a block, otherwise each of its blocks is one."""
    each = neurons // samples
    if 0 < each <= _BLOCK:
        starts = np.arange(0, neurons, _BLOCK // each * each)
        return np.append(starts, neurons), starts // each, each
    starts = (np.arange(samples)[:, None] * each + np.arange(0, each, _BLOCK)).ravel()
    return np.append(starts, neurons), np.arange(len(starts)), _BLOCK


class CubaDynamics(torch.autograd.Function):
    """Synaptic input → what CUBA neurons do: current, voltage (before the reset), spikes, the state they end in, and
    of each sample the sums over its neurons."""

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
        """``z`` (T, neurons) float32, contiguous → current, voltage and spikes of its shape, the end, and the sums:
        number of spikes, and positive voltage after the reset.

        ``start`` and end are (2, neurons), current and voltage after the reset, float64: Loihi's integers / 4096
        without rounding. No start: at rest. Gradients flow through both; as in SLAYER the reset is no part of them.
        The current is None unless it is to be kept. The sums, (T, samples), are None unless ``sum_samples`` says how
        many samples the neurons belong to, one after the other and equally many each; the gradient flows through the
        number of spikes alone. They cost no pass over memory. Decays are fractions of 4096; ``threshold`` in SLAYER's
        units, infinite for an integrator; the surrogate gradient is ``height / 2 / tau * exp(-|v - threshold| / tau)``.
        """
        current = torch.empty_like(z) if keep_current else z.new_empty(0, 0)
        voltage, spikes = torch.empty_like(z), torch.empty_like(z)
        state = z.new_zeros(2, z.shape[1], dtype=torch.float64) if start is None else start.detach().clone()
        blocks = _blocks(z.shape[1], sum_samples or 1)
        pieces = -(-z.shape[1] // (sum_samples or 1) // _BLOCK)  # of a sample, each a segment
        shape = (len(z), sum_samples * pieces) if sum_samples else (0, 0)
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
        ctx.blocks, ctx.pieces = blocks, pieces
        ctx.parameters = (keep_u, keep_v, threshold if math.isfinite(threshold) else 0.0, 1 / tau, height / 2 / tau)
        did = current if keep_current else None, voltage, spikes, state
        if not sum_samples:
            return *did, None, None
        fired, kept = (each.view(len(z), sum_samples, -1).sum(-1) for each in (fired, kept))
        ctx.mark_non_differentiable(kept)
        return *did, fired, kept

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, *grads: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        *each_step, end, fired, _ = grads
        (voltage,) = ctx.saved_tensors
        grad_z = torch.empty_like(voltage)
        nothing = np.empty((0, 0), np.float32)
        if fired is not None:
            if each_step[2] is None:
                each_step[2] = torch.zeros_like(voltage)
            fired = fired.repeat_interleave(ctx.pieces, 1)  # what flows to a sample's sum flows to all its segments
        flows = [nothing if grad is None else grad.contiguous().numpy() for grad in (*each_step, fired)]
        state = voltage.new_zeros(2, voltage.shape[1]) if end is None else end.float()
        parameters = (np.float32(value) for value in ctx.parameters)
        _backward(*flows, voltage.numpy(), *ctx.blocks, *parameters, grad_z.numpy(), *state.numpy())
        return grad_z, state.double() if ctx.needs_input_grad[1] else None, *[None] * 7


class CubaStep(torch.autograd.Function):
    """One step of :class:`CubaDynamics`, for layers whose input depends on what they did the step before."""

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
        """``z``, ``current`` and ``kept`` (the voltage after the reset) of one shape, float32 → current, voltage,
        spikes, kept. Runs on any device; the rest as in :class:`CubaDynamics`."""
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
        # As in SLAYER the reset is no part of the gradient.
        grad_v = grad_v + grad_kept + grad_s * height * torch.exp(-(voltage - threshold).abs() * rate)
        grad_u = grad_u + grad_v
        return grad_u, keep_u * grad_u, keep_v * grad_v, None, None, None, None, None
