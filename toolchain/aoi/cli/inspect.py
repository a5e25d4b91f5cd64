"""aoi inspect"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aoi.cli.console import JsonFlag, plain, print_json, print_table
from aoi.cli.options import BoardOption, NetworkOptions

if TYPE_CHECKING:
    from aoi.boards.fit import Fit


def command(network: NetworkOptions, board: BoardOption = None, json: JsonFlag = False) -> None:
    """Show the content of a network file and on which boards it fits.

    Lists layers, sizes, encoding and cutoff, and for --board the cores of each layer.

    Example: aoi inspect runs/demo/network.net --board oheogulch
    """
    from aoi.workflow.inspect import board_fits, describe, layer_facts

    net = network.load()
    description, metadata = net.description, net.metadata
    fits = board_fits(net, board)
    if json:
        print_json(describe(net, fits))
        return
    rows = [_row(layer_facts(layer)) for layer in description.layers]
    if description.average is not None:
        rows.append([f"average in {description.average} groups", str(description.average), "", "", "", "", "", ""])
    rows.append(["all", "", f"{description.neurons:,}", "", f"{description.synapses:,}", "", "", ""])
    shape = "x".join(map(str, description.input_shape))
    print_table(
        f"{net.path}: {shape} {'values' if description.takes_values else 'spikes'} per step, "
        f"{description.latency} blocks",
        ["layer", "shape", "neurons", "neuron", "weights", "range", "threshold", "decay u / v"],
        rows,
    )
    _show_fits(fits, detailed=board is not None)
    if metadata is None:
        print("no /aoi group: commands that run recordings need --data, --window-us and --bins")
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
        print("cutoff: not calibrated; aoi calibrate adds one")


def _show_fits(fits: dict[str, Fit], detailed: bool) -> None:
    """One line per board; for a selected board also the layout and all findings."""
    for name, fit in fits.items():
        if detailed:
            print_table(
                f"on {name}: content of the fullest core of each layer",
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
