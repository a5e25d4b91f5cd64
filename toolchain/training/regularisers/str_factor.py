"""STR, the Spatial-Temporal Regulariser (arXiv 2405.00699).

The paper regulates, per layer and timestep, the ratio between the strength of the spikes (what a layer hands on now:
spatial) and its membrane potential (what it keeps for later timesteps: temporal), on correctly predicted samples.
Its equations are in no text we could reach and no code is public. Our reading of the Spatial-Temporal Factor, bounded
so that no silent layer minimises it by an epsilon:

``STF_l(t) = S / (S + V + F)``, ``S = sum(threshold * s_l(t))``, ``V = sum(relu(v_l(t)))`` with v after the reset,

sums over a layer's neurons. F is 1 % of what the layer sends when all its neurons fire: without it a step at which
next to nothing has arrived yet (V near 0) has a factor that jumps and a gradient that drowns all others.

The regulariser draws the factor towards a target: a low one keeps layers from handing on everything at once
(over-firing), a positive one from keeping everything for later (late answers).

The gradient flows through the spikes alone. Through V it would raise the voltage of neurons below the threshold to
lower the factor, and so make them fire: the opposite of what is asked for (hidden rates of 0.4 to 0.5 on the digits,
where this form gives 0.05).
"""

from __future__ import annotations

import torch

from models.blocks import LayerActivity

_FLOOR = 0.01  # of the strength of a layer whose neurons all fire


def spatial_temporal_factor(layer: LayerActivity, threshold: float) -> torch.Tensor:
    """STF (N, T) in [0, 1] of one layer; 0 where the layer neither fires nor holds voltage."""
    spatial = threshold * layer.spikes.flatten(1, -2).sum(1)
    kept = layer.voltage.clamp(min=0) * (layer.voltage <= threshold)
    temporal = kept.flatten(1, -2).sum(1).detach()
    floor = _FLOOR * threshold * layer.spikes[0, ..., 0].numel()
    return spatial / (spatial + temporal + floor)


def str_penalty(layer: LayerActivity, threshold: float, correct: torch.Tensor, target: float) -> torch.Tensor:
    """Mean over time of ``(STF - target)^2`` over the correctly predicted samples → scalar, 0 where none is."""
    deviation = (spatial_temporal_factor(layer, threshold) - target) ** 2
    weight = correct.to(deviation.dtype)
    return (deviation.mean(-1) * weight).sum() / weight.sum().clamp(min=1)
