"""NetworkDescription → NIR, so that :func:`~aoi.nir.convert.convert` gives the same integers back."""

from __future__ import annotations

from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aoi.errors import NetXError
from aoi.files import atomic_path
from aoi.netx.description import DECAY_UNITY, Conv, Cuba, Dense, Input, Layer, NetworkDescription
from aoi.netx.weights import keeps_weights
from aoi.nir.numerics import Numerics
from aoi.nir.quantise import NEVER
from aoi.nir.read import METADATA

if TYPE_CHECKING:
    from nir import NIRGraph


def to_nir(
    description: NetworkDescription,
    numerics: Numerics | None = None,
    *,
    name: str = "network",
    metadata: str = "",
    flat_input: bool = False,
) -> NIRGraph:
    """The network as a NIR graph: integer weights, biases and thresholds, time constants from the decays.

    A layer becomes ``Affine`` or ``Conv2d``, with a ``Flatten`` or ``Delay`` before or after it, and its
    neurons ``IF``, ``LIF`` or ``CubaLIF`` (``I``, ``LI`` or ``CubaLI`` if they never fire). Gains are 1: ``r = τ /
    dt``, ``w_in = τ_syn / dt``. The bias of neurons with a current is ``v_leak``, because the chip adds it to the
    voltage. Recurrent weights are an ``Affine`` from the neurons back to them. The chip rounds states towards zero and
    holds 24 bits, which NIR cannot say.

    Args:
        description: the network.
        numerics: time step and discretisation that decays are turned into time constants with.
        name: what errors call the network.
        metadata: JSON about the network's use, which other programs do not read; empty: none.
        flat_input: declare the input of a first dense layer as one vector, for readers without ``Flatten``.

    Raises:
        NetXError: NIR cannot say what a layer does; the message names it.

    Example:
        >>> graph = to_nir(aoi.load("zoo:digits").description)
        >>> list(graph.nodes)[:3]
        ['input', 'flatten_0', 'weights_0']
    """
    import nir

    numerics = numerics or Numerics()
    if description.average is not None:
        raise NetXError(f"{name}: sums groups of outputs (average), which no NIR node does; use one output per class")
    shape = description.input_shape
    if flat_input and isinstance(description.layers[0], Dense):
        shape = (prod(shape),)
    nodes: dict[str, Any] = {"input": nir.Input(input_type={"input": np.array(shape)})}
    edges: list[tuple[str, str]] = []
    last = "input"

    def add(key: str, node: Any) -> str:
        nodes[key] = node
        edges.append((last, key))
        return key

    for layer in description.layers:
        _check(layer, layer is description.layers[-1], name)
        index = layer.name
        if isinstance(layer, Dense) and len(shape) > 1:
            last = add(f"flatten_{index}", nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1))
        before, after = _delays(layer, numerics)
        bias = None if layer.bias is None or _in_leak(layer) else layer.bias
        if before is not None:
            last = add(f"delay_{index}", nir.Delay(delay=before))
        if isinstance(layer, Conv):
            last = add(f"weights_{index}", _convolution(layer, bias))
        elif isinstance(layer, Dense):
            last = add(f"weights_{index}", _matrix(layer.weight, bias))
        if after is not None:
            last = add(f"delay_{index}", nir.Delay(delay=after))
        last = add(f"neurons_{index}", _neurons(layer, numerics))
        if isinstance(layer, Dense) and layer.weight_rec is not None:
            nodes[f"recurrent_{index}"] = _matrix(layer.weight_rec, None)
            edges += [(last, f"recurrent_{index}"), (f"recurrent_{index}", last)]
        shape = layer.shape
    add("output", nir.Output(output_type={"output": np.array(shape)}))
    about = {METADATA: metadata} if metadata else {}
    # Without type_check: nir takes the kernels of groups for wrong.
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=about, type_check=False)


def write_nir(
    path: str | PathLike[str],
    description: NetworkDescription,
    numerics: Numerics | None = None,
    *,
    name: str = "network",
    metadata: str = "",
    flat_input: bool = False,
) -> None:
    """Writes :func:`to_nir` atomically; replaces an existing file. Raises NetXError.

    Example:
        >>> write_nir("digits.nir", aoi.load("zoo:digits").description)
    """
    import nir

    graph = to_nir(description, numerics, name=name, metadata=metadata, flat_input=flat_input)
    path = Path(path)
    try:
        with atomic_path(path) as temporary:
            nir.write(temporary, graph)
    except (OSError, RuntimeError, ValueError) as error:
        raise NetXError(f"{path}: cannot be written ({(str(error).splitlines() or [''])[0]})") from error


def _check(layer: Layer, last: bool, name: str) -> None:
    """Raises NetXError if NIR, or a network file made from it, cannot hold the layer."""
    if not isinstance(layer.neuron, Cuba):
        raise NetXError(
            f"{name}: layer {layer.name}: NIR has no node for {type(layer.neuron).__name__} neurons (sigma-delta); "
            "only networks of CUBA neurons can be written"
        )
    if not layer.neuron.fires and not last:
        raise NetXError(f"{name}: layer {layer.name}: never fires, and is not the last one; leave it out")
    if isinstance(layer, Dense) and not keeps_weights(layer.weight, layer.weight_rec):
        raise NetXError(
            f"{name}: layer {layer.name}: Lava changes its weights when it loads them, so that no network file holds "
            "the weights that run; give the layer weights of both signs"
        )
    if isinstance(layer, Dense) and layer.delay is not None:
        if 1 not in layer.delay.shape:
            raise NetXError(
                f"{name}: layer {layer.name}: NIR has no node for a delay of each synapse {layer.delay.shape}; delays "
                "by input or by output can be written"
            )
        if layer.bias is not None and layer.delay.shape[1] == 1 and not _in_leak(layer):
            raise NetXError(
                f"{name}: layer {layer.name}: NIR would delay the bias with the outputs, the chip does not; leave one "
                "out"
            )


def _matrix(weight: np.ndarray, bias: np.ndarray | None) -> Any:
    """Always ``Affine``: Sinabs reads no ``Linear``."""
    import nir

    offsets = np.zeros(len(weight)) if bias is None else bias
    return nir.Affine(weight=weight.astype(np.float32), bias=offsets.astype(np.float32))


def _in_leak(layer: Layer) -> bool:
    """Whether the bias is written as ``v_leak``: the bias of weights would go through the current, or the delay."""
    if isinstance(layer, Input) or not isinstance(layer.neuron, Cuba):
        return False
    delayed = isinstance(layer, Dense) and layer.delay is not None and layer.delay.shape[1] == 1
    return _has_current(layer.neuron) or (delayed and bool(np.any(layer.neuron.voltage_decay)))


def _has_current(neuron: Cuba) -> bool:
    return bool(np.any(np.asarray(neuron.current_decay) != DECAY_UNITY))


def _convolution(layer: Conv, bias: np.ndarray | None) -> Any:
    import nir

    bias = np.zeros(len(layer.weight)) if bias is None else bias
    return nir.Conv2d(
        input_shape=layer.input_shape[1:],
        weight=layer.weight.astype(np.float32),
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=bias.astype(np.float32),
    )


def _delays(layer: Layer, numerics: Numerics) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Delays in s of the inputs, float64 (in,), and of the outputs, (out,)."""
    if not isinstance(layer, Dense) or layer.delay is None:
        return None, None
    outputs, inputs = layer.weight.shape
    seconds = layer.delay * numerics.dt
    if layer.delay.shape[1] == 1 and layer.delay.shape[0] == outputs and not (layer.delay.shape[0] == 1 and inputs > 1):
        return None, np.ascontiguousarray(seconds.ravel())
    return np.ascontiguousarray(np.broadcast_to(seconds, (1, inputs)).ravel()), None


def _neurons(layer: Layer, numerics: Numerics) -> Any:
    """The node of a layer's neurons, with parameters of its whole shape."""
    import nir

    neuron = layer.neuron
    assert isinstance(neuron, Cuba)

    def spread(values: Any) -> np.ndarray:
        by_channel = np.asarray(values, np.float64).reshape(-1, *(1,) * (len(layer.shape) - 1))
        return np.broadcast_to(by_channel, layer.shape).copy()

    def constant(decay: Any) -> tuple[np.ndarray, np.ndarray]:
        """τ in s, and the factor that makes the gain 1."""
        share = spread(decay) / DECAY_UNITY
        tau = numerics.time_constant(share)
        return tau, 1.0 / numerics.share(tau)

    fires, zero = neuron.fires, np.zeros(layer.shape)
    threshold = {"v_threshold": np.minimum(spread(neuron.threshold), NEVER), "v_reset": zero.copy()} if fires else {}
    has_current = not isinstance(layer, Input) and _has_current(neuron)
    if not has_current and not np.any(neuron.voltage_decay):
        return nir.IF(r=zero + 1.0, **threshold) if fires else nir.I(r=zero + 1.0)
    tau, r = constant(neuron.voltage_decay)
    leak = spread(layer.bias) * r if layer.bias is not None and _in_leak(layer) else zero
    if has_current:
        tau_syn, w_in = constant(neuron.current_decay)
        kind = nir.CubaLIF if fires else nir.CubaLI
        return kind(tau_syn=tau_syn, tau_mem=tau, r=r, v_leak=leak, w_in=w_in, **threshold)
    return nir.LIF(tau=tau, r=r, v_leak=leak, **threshold) if fires else nir.LI(tau=tau, r=r, v_leak=leak)
