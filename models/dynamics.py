"""CUBA dynamics over a whole run in one pass, on the CPU, with SLAYER's values and gradients.

SLAYER's CPU path walks a strided time axis in Python, once for the current and once for the voltage. Here time is the
outermost axis in memory: each core takes a block of neurons that stays in its cache and walks the steps once, forward
and backward. Source of the arithmetic: ``lava.lib.dl.slayer.neuron.dynamics.leaky_integrator`` and
``lava.lib.dl.slayer.spike.spike``.
"""

from __future__ import annotations

import math
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


# Loihi's integers are carried in float64: a 24-bit state times a 12-bit decay is exact there, and it vectorises.
@njit(parallel=True, cache=True)
def _forward(z, keep_u, keep_v, threshold, current, voltage, spikes, state_u, state_v):  # type: ignore[no-untyped-def]
    """``current`` is (T, neurons), or (0, 0) where nobody asks; the states (neurons,) go from start to end."""
    steps, neurons = z.shape
    keeps_current = current.size > 0
    for block in prange((neurons + _BLOCK - 1) // _BLOCK):
        start = block * _BLOCK
        size = min(_BLOCK, neurons - start)
        u = np.zeros(_BLOCK)
        v = np.zeros(_BLOCK)
        for i in range(size):
            u[i] = state_u[start + i] * STATE_SCALE
            v[i] = state_v[start + i] * STATE_SCALE
        for t in range(steps):
            for i in range(size):
                u_new = np.trunc(u[i] * keep_u) + np.trunc(np.float64(z[t, start + i]) * STATE_SCALE)
                v_new = np.trunc(v[i] * keep_v) + u_new
                fired = v_new > threshold
                voltage[t, start + i] = np.float32(v_new * (1.0 / STATE_SCALE))
                spikes[t, start + i] = np.float32(1.0) if fired else np.float32(0.0)
                u[i] = u_new
                v[i] = 0.0 if fired else v_new
            if keeps_current:
                for i in range(size):
                    current[t, start + i] = np.float32(u[i] * (1.0 / STATE_SCALE))
        for i in range(size):
            state_u[start + i] = u[i] * (1.0 / STATE_SCALE)
            state_v[start + i] = v[i] * (1.0 / STATE_SCALE)


@njit(parallel=True, cache=True)
def _backward(  # type: ignore[no-untyped-def]
    grad_u, grad_v, grad_s, voltage, keep_u, keep_v, threshold, rate, height, grad_z, state_u, state_v
):
    """``grad_u``, ``grad_v`` and ``grad_s`` are (T, neurons), or (0, 0) where nothing flows back; the gradients of the
    states (neurons,) go from end to start."""
    steps, neurons = voltage.shape
    has_u, has_v, has_s = grad_u.size > 0, grad_v.size > 0, grad_s.size > 0
    for block in prange((neurons + _BLOCK - 1) // _BLOCK):
        start = block * _BLOCK
        size = min(_BLOCK, neurons - start)
        sum_u = np.zeros(_BLOCK, np.float32)
        sum_v = np.zeros(_BLOCK, np.float32)
        for i in range(size):
            sum_u[i] = state_u[start + i]
            sum_v[i] = state_v[start + i]
        for back in range(steps):
            t = steps - 1 - back
            if has_v:
                for i in range(size):
                    sum_v[i] += grad_v[t, start + i]
            if has_s:
                for i in range(size):
                    pseudo = height * _exp(-abs(voltage[t, start + i] - threshold) * rate)
                    sum_v[i] += grad_s[t, start + i] * pseudo
            for i in range(size):
                sum_u[i] += sum_v[i]
            if has_u:
                for i in range(size):
                    sum_u[i] += grad_u[t, start + i]
            for i in range(size):
                grad_z[t, start + i] = sum_u[i]
                sum_u[i] *= keep_u
                sum_v[i] *= keep_v
        for i in range(size):
            state_u[start + i] = sum_u[i]
            state_v[start + i] = sum_v[i]


class CubaDynamics(torch.autograd.Function):
    """Synaptic input → current, voltage (before the reset) and spikes of CUBA neurons, and the state they end in."""

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
        keep_current: bool,
    ) -> tuple[torch.Tensor | None, torch.Tensor, torch.Tensor, torch.Tensor]:
        """``z`` (T, neurons) float32, contiguous → three tensors of its shape, the current None unless it is to be
        kept, and the end.

        ``start`` and end are (2, neurons), current and voltage after the reset, float64: Loihi's integers / 4096
        without rounding. No start: at rest. Gradients flow through both; as in SLAYER the reset is no part of them.
        Decays are fractions of 4096; ``threshold`` in SLAYER's units, infinite for an integrator; the surrogate
        gradient is ``height / 2 / tau * exp(-|v - threshold| / tau)``.
        """
        current = torch.empty_like(z) if keep_current else z.new_empty(0, 0)
        voltage, spikes = torch.empty_like(z), torch.empty_like(z)
        state = z.new_zeros(2, z.shape[1], dtype=torch.float64) if start is None else start.detach().clone()
        keep_u, keep_v = 1 - current_decay / 4096, 1 - voltage_decay / 4096
        _forward(
            z.detach().numpy(),
            keep_u,
            keep_v,
            threshold * STATE_SCALE,
            current.numpy(),
            voltage.numpy(),
            spikes.numpy(),
            *state.numpy(),
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(voltage)
        ctx.parameters = (keep_u, keep_v, threshold if math.isfinite(threshold) else 0.0, 1 / tau, height / 2 / tau)
        return current if keep_current else None, voltage, spikes, state

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, *grads: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        *each_step, end = grads
        (voltage,) = ctx.saved_tensors
        grad_z = torch.empty_like(voltage)
        nothing = np.empty((0, 0), np.float32)
        flows = [nothing if grad is None else grad.contiguous().numpy() for grad in each_step]
        state = voltage.new_zeros(2, voltage.shape[1]) if end is None else end.float()
        parameters = (np.float32(value) for value in ctx.parameters)
        _backward(*flows, voltage.numpy(), *parameters, grad_z.numpy(), *state.numpy())
        return grad_z, state.double() if ctx.needs_input_grad[1] else None, None, None, None, None, None, None


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
