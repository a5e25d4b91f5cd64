"""aoi inspect"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from aoi.cli.console import JsonFlag, plain, print_json, print_table
from aoi.cli.cost import BoardOption
from aoi.cli.recordings import NetworkArgument

if TYPE_CHECKING:
    from aoi.boards.fit import Fit
    from aoi.netx import Layer


def command(net: NetworkArgument, board: BoardOption = None, json: JsonFlag = False) -> None:
    """Show what a network file holds: layers, sizes, encoding, cutoff; on which boards it fits, and how.

    Example: aoi inspect runs/demo/network.net --board oheogulch
    """
    from aoi.boards.board import board_names, load_board
    from aoi.boards.fit import assess
    from aoi.netx.read import read_network

    network = read_network(net)
    description, metadata = network.description, network.metadata
    fits = {name: assess(description, load_board(name)) for name in ([board] if board else board_names())}
    if json:
        layers = [_facts(layer) for layer in description.layers]
        print_json(
            {
                "input_shape": list(description.input_shape),
                "takes": "values" if description.takes_values else "spikes",
                "average": description.average,
                "latency": description.latency,
                "neurons": description.neurons,
                "synapses": description.synapses,
                "layers": layers,
                "boards": {name: _fit_facts(fit) for name, fit in fits.items()},
                "aoi": metadata.model_dump(mode="json") if metadata else None,
            }
        )
        return
    rows = [_row(_facts(layer)) for layer in description.layers]
    if description.average is not None:
        rows.append([f"average in {description.average} groups", str(description.average), "", "", "", "", "", ""])
    rows.append(["all", "", f"{description.neurons:,}", "", f"{description.synapses:,}", "", "", ""])
    shape = "x".join(map(str, description.input_shape))
    print_table(
        f"{net}: {shape} {'values' if description.takes_values else 'spikes'} a step, {description.latency} blocks",
        ["layer", "shape", "neurons", "neuron", "weights", "range", "threshold", "decay u / v"],
        rows,
    )
    _show_fits(fits, detailed=board is not None)
    if metadata is None:
        print("no /aoi group: give --data, --window-us and --bins where a command needs them")
        return
    if metadata.encoding:
        encoding = metadata.encoding
        print(f"encoding: {encoding.window_us} µs in {encoding.bins} steps, sensor {encoding.sensor_size}")
    print(f"classes: {plain(', '.join(metadata.classes))}; readout: {metadata.readout}")
    if metadata.policy:
        policy = metadata.policy
        certified = "certified" if policy.evidence.get("certified") is True else "not certified"
        print(f"cutoff: {policy.rule} >= {policy.threshold:.6g}, scale {policy.scale:.4g}, {certified}")
    else:
        print("cutoff: not calibrated yet (aoi calibrate)")


def _show_fits(fits: dict[str, Fit], detailed: bool) -> None:
    """A line each; of one board that was asked for, the layout and all that stands against it."""
    for name, fit in fits.items():
        if detailed:
            print_table(
                f"on {name}: what the fullest core of each layer holds",
                ["layer", "cores", "neurons", "neuron groups", "axons in", "axon map", "synapse words", "weight bits"],
                [
                    [
                        f"{placed.layer} {placed.kind}",
                        f"{placed.cores:,}",
                        f"{placed.neurons.most:,}",
                        str(placed.neuron_groups),
                        f"{placed.axons_in:,}",
                        f"{placed.axon_map.most:,}",
                        f"{placed.synapse_words.most:,}",
                        str(placed.weight_bits or ""),
                    ]
                    for placed in fit.placements
                ],
            )
        print(f"{name}: {fit}" + ("" if detailed or not fit.findings else f" ({plain(str(fit.findings[0]))})"))
        for found in fit.findings if detailed else ():
            basis = f" [{'stated' if found.stated else 'derived'}: {found.source}]" if found.source else ""
            print(f"  {found.verdict}: {plain(str(found))}{basis}")


def _fit_facts(fit: Fit) -> dict[str, Any]:
    from dataclasses import asdict

    from aoi.boards.board import load_board

    limits = load_board(fit.board).chip.limits
    return {
        "verdict": fit.verdict,
        "cores": fit.cores,
        "available": fit.available,
        "layers": [asdict(placed) for placed in fit.placements],
        "findings": [{**asdict(found), "text": str(found)} for found in fit.findings],
        "limits": limits.model_dump(exclude_none=True),
    }


def _facts(layer: Layer) -> dict[str, Any]:
    """What there is to say of a layer; None where its kind has no such thing, a list where channels differ."""
    from aoi.netx import Cuba, Input, Sigma

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


def _plain(value: Any) -> int | list[int] | None:
    return value if value is None or isinstance(value, int) else [int(each) for each in value]


def _row(facts: dict[str, Any]) -> list[str]:
    def text(value: Any, missing: str = "") -> str:
        if value is None:
            return missing
        return f"{min(value)} to {max(value)}" if isinstance(value, list) else str(value)

    decays = [text(facts[key]) for key in ("current_decay", "voltage_decay")]
    return [
        f"{facts['name']} {facts['kind']}",
        "x".join(map(str, facts["shape"])),
        f"{facts['neurons']:,}",
        facts["neuron"],
        f"{facts['weights']:,}" if facts["weights"] else "",
        text(facts["weight_range"]),
        text(facts["threshold"], "" if facts["neuron"] == "Sigma" else "never fires"),
        " / ".join(decays) if decays[0] else "",
    ]
