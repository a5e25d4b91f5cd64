"""Describes a network file and on which boards the network fits."""

from __future__ import annotations

from dataclasses import asdict
from math import prod
from typing import Any

from aoi.boards.board import board_names, load_board
from aoi.boards.fit import Fit, assess
from aoi.netx import Cuba, Input, Layer, Sigma
from aoi.workflow.network import Network


def board_fits(network: Network, board: str | None = None) -> dict[str, Fit]:
    """The fit of the network on ``board``, or on all boards. Raises DataError for an unknown board."""
    return {name: assess(network.description, load_board(name)) for name in ([board] if board else board_names())}


def describe(network: Network, fits: dict[str, Fit]) -> dict[str, Any]:
    """Layers, sizes, fits and the group ``/aoi``, as plain values for JSON."""
    description = network.description
    return {
        "input_shape": list(description.input_shape),
        "takes": "values" if description.takes_values else "spikes",
        "average": description.average,
        "latency": description.latency,
        "neurons": description.neurons,
        "synapses": description.synapses,
        "layers": [layer_facts(layer) for layer in description.layers],
        "boards": {name: _fit_facts(fit) for name, fit in fits.items()},
        "aoi": network.metadata.model_dump(mode="json") if network.metadata else None,
    }


def layer_facts(layer: Layer) -> dict[str, Any]:
    """Properties of a layer: None for what its kind does not have, a list if channels differ."""
    neuron, weight = layer.neuron, None if isinstance(layer, Input) else layer.weight
    decays = (neuron.current_decay, neuron.voltage_decay) if isinstance(neuron, Cuba) else (None, None)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "shape": list(layer.shape),
        "neurons": prod(layer.shape),
        "neuron": type(neuron).__name__,
        "weights": 0 if weight is None else int(weight.size),
        "weight_range": None if weight is None else [int(weight.min()), int(weight.max())],
        "threshold": None if isinstance(neuron, Sigma) or not neuron.fires else _plain(neuron.threshold),
        "current_decay": _plain(decays[0]),
        "voltage_decay": _plain(decays[1]),
    }


def _fit_facts(fit: Fit) -> dict[str, Any]:
    limits = load_board(fit.board).chip.limits
    return {
        "verdict": fit.verdict,
        "cores": fit.cores,
        "available": fit.available,
        "layers": [asdict(placed) for placed in fit.placements],
        "findings": [{**asdict(found), "text": str(found)} for found in fit.findings],
        "limits": limits.model_dump(exclude_none=True),
    }


def _plain(value: Any) -> int | list[int] | None:
    return value if value is None or isinstance(value, int) else [int(each) for each in value]
