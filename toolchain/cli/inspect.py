"""aoi inspect"""

from __future__ import annotations

from math import prod

from toolchain.cli.console import JsonFlag, print_json, print_table
from toolchain.cli.recordings import NetworkArgument


def command(net: NetworkArgument, json: JsonFlag = False) -> None:
    """Show what a network file holds: layers, sizes, encoding, cutoff.

    Example: aoi inspect runs/demo/network.net
    """
    from toolchain.netx.read import read_network

    network = read_network(net)
    description, metadata = network.description, network.metadata
    if json:
        layers = [
            {
                "name": layer.name,
                "kind": layer.kind,
                "shape": list(layer.shape),
                "neurons": prod(layer.shape),
                "weights": int(layer.weight.size),
                "weight_range": [int(layer.weight.min()), int(layer.weight.max())],
                "threshold": layer.neuron.threshold if layer.neuron.fires else None,
                "current_decay": layer.neuron.current_decay,
                "voltage_decay": layer.neuron.voltage_decay,
            }
            for layer in description.layers
        ]
        print_json(
            {
                "input_shape": list(description.input_shape),
                "latency": description.latency,
                "neurons": description.neurons,
                "synapses": description.synapses,
                "layers": layers,
                "aoi": metadata.model_dump(mode="json") if metadata else None,
            }
        )
        return
    rows = [
        [
            f"{layer.name} {layer.kind}",
            "x".join(map(str, layer.shape)),
            f"{prod(layer.shape):,}",
            f"{layer.weight.size:,}",
            f"{layer.weight.min()} to {layer.weight.max()}",
            str(layer.neuron.threshold) if layer.neuron.fires else "never fires",
            f"{layer.neuron.current_decay} / {layer.neuron.voltage_decay}",
        ]
        for layer in description.layers
    ]
    rows.append(["all", "", f"{description.neurons:,}", f"{description.synapses:,}", "", "", ""])
    shape = "x".join(map(str, description.input_shape))
    print_table(
        f"{net}: {shape} spikes a step, {description.latency} blocks",
        ["layer", "shape", "neurons", "weights", "range", "threshold", "decay u / v"],
        rows,
    )
    if metadata is None:
        print("no /aoi group: give --data, --window-us and --bins where a command needs them")
        return
    if metadata.encoding:
        encoding = metadata.encoding
        print(f"encoding: {encoding.window_us} µs in {encoding.bins} steps, sensor {encoding.sensor_size}")
    print(f"classes: {', '.join(metadata.classes)}; readout: {metadata.readout}")
    if metadata.policy:
        policy = metadata.policy
        print(f"cutoff: {policy.rule} >= {policy.threshold:.6g}, scale {policy.scale:.4g}")
    else:
        print("cutoff: not calibrated yet (aoi calibrate)")
