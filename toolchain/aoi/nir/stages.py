"""The order in which the nodes of a graph are executed: linear nodes, then a neuron, and so on."""

from __future__ import annotations

from dataclasses import dataclass

from aoi.netx.read import MAX_LAYERS
from aoi.nir.read import LINEAR, NEURONS, Graph


@dataclass(frozen=True)
class Stage:
    """Linear nodes and the neuron that they feed, by name. In the network file it is one layer."""

    linear: tuple[str, ...]  # in order; empty: the neuron before feeds this one directly
    neuron: str | None  # None: the linear nodes lead to the output
    loops: tuple[tuple[str, ...], ...] = ()  # linear nodes of each way from the neuron back to itself


def split_stages(graph: Graph) -> tuple[list[Stage], dict[str, str]]:
    """Stages from the input to the output, and the nodes that do not fit into them, each with the reason.

    A network file is a chain: one input, one output, and each layer feeds the next and itself.
    """
    wrong: dict[str, str] = {}
    ends = {kind: [name for name in graph.nodes if graph.kind(name) == kind] for kind in ("Input", "Output")}
    for kind, names in ends.items():
        if not names:
            return [], dict.fromkeys(graph.nodes, f"the graph has no {kind} node; add one")
        for name in names[1:]:
            wrong[name] = f"a second {kind}; a network file has one: export a graph for each"
    if wrong:
        return [], wrong
    stages: list[Stage] = []
    visited = {ends["Input"][0]}
    place = ends["Input"][0]
    while graph.kind(place) != "Output":
        onward: list[tuple[tuple[str, ...], str]] = []
        loops: list[tuple[str, ...]] = []
        for first in graph.after(place):
            linear, end = _follow(graph, first, visited, wrong)
            if end == place:
                loops.append(linear)
            elif end is not None:
                onward.append((linear, end))
        if loops and stages and graph.kind(place) in NEURONS:
            stages[-1] = Stage(stages[-1].linear, place, tuple(loops))
        if wrong:
            return stages, wrong
        if len(onward) != 1:
            leads = "leads nowhere" if not onward else f"feeds {len(onward)} nodes ({', '.join(e for _, e in onward)})"
            wrong[place] = f"{leads}; a network file is a chain of layers: export one branch, or train without skips"
            return stages, wrong
        linear, end = onward[0]
        if len(stages) >= MAX_LAYERS:
            wrong[place] = f"is layer {len(stages)}; a network file has at most {MAX_LAYERS} layers"
            return stages, wrong
        if end in visited:
            wrong[end] = "is fed by a later layer; a layer can only feed itself back: join the two into one layer"
            return stages, wrong
        if graph.kind(end) == "Output":
            if linear:
                stages.append(Stage(linear, None))
        else:
            stages.append(Stage(linear, end))
        visited.add(end)
        place = end
    reached = visited | {name for stage in stages for part in (stage.linear, *stage.loops) for name in part}
    for name in graph.nodes:
        if name not in reached:
            wrong[name] = "is not on the way from the input to the output; remove it"
    _check_fan_in(graph, stages, wrong)
    if not stages:
        wrong[place] = "the graph holds no neuron and no weights"
    return stages, wrong


def _follow(graph: Graph, name: str, visited: set[str], wrong: dict[str, str]) -> tuple[tuple[str, ...], str | None]:
    """Linear nodes from ``name`` to the next neuron or output, and that; None if the way ends or circles."""
    linear: list[str] = []
    while graph.kind(name) in LINEAR:
        if name in linear:
            wrong[name] = f"lies on a circle without a neuron ({' → '.join([*linear, name])}); a loop needs a neuron"
            return tuple(linear), None
        linear.append(name)
        after = graph.after(name)
        if len(after) != 1:
            wrong[name] = (
                f"feeds {len(after)} nodes; a network file is a chain of layers: export one branch, or train without "
                "skips"
                if after
                else "leads nowhere; connect it to a neuron or the output"
            )
            return tuple(linear), None
        name = after[0]
    return tuple(linear), name


def _check_fan_in(graph: Graph, stages: list[Stage], wrong: dict[str, str]) -> None:
    loops = {stage.neuron: len(stage.loops) for stage in stages}
    for name in graph.nodes:
        expected = 1 + loops.get(name, 0) if graph.kind(name) != "Input" else 0
        found = len(graph.before(name))
        if name not in wrong and found > expected:
            wrong[name] = f"is fed by {found} nodes; a layer is fed by the one before it, and by itself"
