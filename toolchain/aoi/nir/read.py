"""Reads NIR files. Files are not trusted: sizes, links, types and values are checked before nir builds a node."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from aoi.errors import NetXError
from aoi.netx.fields import Budget, Fields
from aoi.netx.probe import read_guarded

if TYPE_CHECKING:
    from nir import NIRNode

MAX_VALUES = 1 << 25  # numbers of a file
METADATA = "aoi"  # its name in the graph's metadata
MAX_NODES = 4096
MAX_DEPTH = 16  # nested graphs
_LARGEST = 1e30  # no parameter of a network is larger
NEURONS = ("LIF", "CubaLIF", "IF", "I", "LI", "CubaLI", "Threshold")
LINEAR = ("Affine", "Linear", "Conv1d", "Conv2d", "Flatten", "Scale", "SumPool2d", "AvgPool2d", "Delay")
TYPES = (*NEURONS, *LINEAR, "Input", "Output", "NIRGraph")
_POSITIVE = ("tau", "tau_mem", "tau_syn", "kernel_size", "stride", "dilation", "groups")
_NOT_NEGATIVE = ("padding", "delay")
_WHOLE = {
    "shape": 8,
    "input_shape": 8,
    "input_type": 8,
    "kernel_size": 2,
    "stride": 2,
    "dilation": 2,
    "padding": 2,
    "groups": 1,
}
"""Fields of whole numbers, and how many they hold at most."""
_MOST_WHOLE = 1 << 31
MAX_EDGES = 1 << 14


@dataclass(frozen=True, eq=False)
class Graph:
    """A NIR graph without nested graphs: the nodes of those are named ``graph.node``."""

    path: Path
    nodes: dict[str, NIRNode]
    edges: tuple[tuple[str, str], ...]
    metadata: str | None = None  # what export_nir wrote about the network's use, as JSON; a hint, never needed

    def kind(self, name: str) -> str:
        """NIR's type of a node."""
        return type(self.nodes[name]).__name__

    @cached_property
    def _ways(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        onward: dict[str, list[str]] = {}
        back: dict[str, list[str]] = {}
        for a, b in self.edges:
            onward.setdefault(a, []).append(b)
            back.setdefault(b, []).append(a)
        return onward, back

    def after(self, name: str) -> list[str]:
        return self._ways[0].get(name, [])

    def before(self, name: str) -> list[str]:
        return self._ways[1].get(name, [])


def is_nir(path: str | PathLike[str]) -> bool:
    """Whether the file looks like NIR: HDF5 with a group ``node``. False for anything that cannot be read."""
    try:
        return bool(read_guarded(Path(path), lambda: _has_graph(Path(path)), "NIR file", ""))
    except Exception:
        return False


def _has_graph(path: Path) -> bool:
    with h5py.File(path, "r") as file:
        return "node" in Fields(file, str(path))


def read_graph(path: str | PathLike[str]) -> Graph:
    """Reads a NIR file.

    Raises:
        NetXError: the file is missing, damaged or holds no NIR graph; the message names node, field, value and limit.

    Example:
        >>> graph = read_graph("network.nir")
        >>> graph.kind("lif1"), graph.after("lif1")
        ('CubaLIF', ['fc2'])
    """
    path = Path(path)
    return read_guarded(path, lambda: _read(path), "NIR file", "nir.write writes them")


def _read(path: Path) -> Graph:
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    wires: list[str] = []
    with h5py.File(path, "r") as file:
        root = Fields(file, str(path), Budget(MAX_VALUES))
        if "node" not in root:
            raise root.fail("holds no NIR graph (the group 'node' is missing)")
        _collect(root.child("node"), "", 0, nodes, edges, wires)
        if not nodes:
            raise root.fail("the graph has no nodes")
        edges = _without(edges, wires, root)
        for name in wires:
            del nodes[name]
        metadata = _hint(root.child("node"))
    return Graph(path, nodes, tuple(dict.fromkeys(edges)), metadata)


def _collect(
    group: Fields, prefix: str, depth: int, nodes: dict[str, Any], edges: list[tuple[str, str]], wires: list[str]
) -> dict[str, list[str]]:
    """Adds the nodes and edges of a graph, and of the graphs in it; returns the names of its own inputs and outputs.

    ``wires``: inputs and outputs of nested graphs, which only pass on.
    """
    if depth > MAX_DEPTH:
        raise group.fail(f"graphs are nested more than {MAX_DEPTH} times; a group may contain itself")
    kind = group.text("type") if "type" in group else "NIRGraph"
    if kind != "NIRGraph":
        raise group.fail(f"the group node is a {kind[:20]!r}, not a NIRGraph; wrap the node into a graph")
    inner = group.child("nodes")
    ends: dict[str, tuple[str, str]] = {}  # of nested graphs: where edges to them lead to, and start from
    own: dict[str, list[str]] = {"Input": [], "Output": []}
    if len(nodes) + len(inner.group) > MAX_NODES:
        raise group.fail(f"more than {MAX_NODES} nodes")
    for name in inner.group:
        full = prefix + name
        if full in nodes or full in ends:
            raise group.fail(f"two nodes are called {full[:80]!r}; rename one")
        node = inner.child(name, f"{group.group.file.filename}: node {full[:80]!r}")
        kind = node.text("type")
        if kind not in TYPES:
            raise node.fail(f"type {kind[:20]!r} is not a node of NIR 1.0; known are {', '.join(TYPES)}")
        node = node.at(f"{node.place} ({kind})")
        if kind == "NIRGraph":
            found = _collect(node, f"{full}.", depth + 1, nodes, edges, wires)
            if any(len(each) != 1 for each in found.values()):
                raise node.fail("a nested graph needs one Input and one Output")
            ends[full] = (found["Input"][0], found["Output"][0])
            wires += ends[full]
        else:
            nodes[full] = _node(node, kind)
            if kind in own:
                own[kind].append(full)
    for a, b in _edges(group):
        a, b = prefix + a, prefix + b
        a, b = ends.get(a, ("", a))[1], ends.get(b, (b, ""))[0]
        for end in (a, b):
            if end not in nodes:
                raise group.fail(f"an edge names node {end[:80]!r}, which does not exist")
        edges.append((a, b))
    return own


def _edges(group: Fields) -> list[tuple[str, str]]:
    data = group.dataset("edges")
    if data.size == 0:
        return []
    if data.size > 2 * MAX_EDGES:
        raise group.fail(f"the graph has {data.size // 2} edges, at most {MAX_EDGES} are read")
    if h5py.check_string_dtype(data.dtype) is None or data.ndim != 2 or data.shape[1] != 2:
        raise group.fail(f"edges must be pairs of names, they have type {data.dtype} and shape {data.shape}")
    try:
        return [(a.decode(), b.decode()) for a, b in data[()]]
    except (UnicodeDecodeError, AttributeError):
        raise group.fail("edges: a name is not UTF-8 text") from None


def _node(group: Fields, kind: str) -> Any:
    import nir

    values: dict[str, Any] = {"type": kind}
    for key in group.group:
        if key in ("type", "metadata"):
            continue
        values[key] = _value(group, key)
        if isinstance(values[key], str) and key != "padding":
            raise group.fail(f"{key} must hold numbers, it is a text")
    if kind in ("Input", "Output") and "shape" not in values:
        raise group.fail("shape is missing")
    try:
        return nir.dict2NIRNode(values)
    except KeyError as error:
        raise group.fail(f"{error.args[0]} is missing") from None
    except Exception as error:  # nir asserts, and passes fields on as arguments
        reason = str(error).splitlines()[0].replace(f"{kind}.__init__() ", "") if str(error) else type(error).__name__
        raise group.fail(f"is not a {kind} of NIR 1.0: {reason[:200]}") from None


def _value(group: Fields, key: str) -> Any:
    """A field: text, or numbers that are finite and in range."""
    data = group.dataset(key)
    if h5py.check_string_dtype(data.dtype) is not None:
        return group.text(key)
    if data.dtype.kind not in "iufb":
        raise group.fail(f"{key} must hold numbers, it has type {data.dtype}")
    if not data.size:
        raise group.fail(f"{key} is empty (shape {data.shape})")
    values = np.asarray(data[()])
    with np.errstate(invalid="ignore", over="ignore"):
        wide = values.astype(np.float64)
        wrong = ~(np.abs(wide) <= _LARGEST)  # true for NaN
    if key in _POSITIVE:
        wrong |= ~(wide > 0)
    elif key in _NOT_NEGATIVE:
        wrong |= wide < 0
    if key in _WHOLE:
        wrong |= (wide != np.rint(wide)) | (np.abs(wide) > _MOST_WHOLE)
        if values.size > _WHOLE[key]:
            raise group.fail(f"{key} has {values.size} values, at most {_WHOLE[key]}")
    if wrong.any() and key in _WHOLE:
        first = values[np.unravel_index(int(wrong.argmax()), wrong.shape)]
        low = 1 if key in _POSITIVE else 0 if key in _NOT_NEGATIVE else "any"
        raise group.fail(f"{key}: {first}; it has to be a whole number of pixels or channels (from {low})")
    if wrong.any():
        limit = "positive and finite" if key in _POSITIVE else "finite and at least 0" if key in _NOT_NEGATIVE else ""
        first = values[np.unravel_index(int(wrong.argmax()), wrong.shape)]
        raise group.fail(f"{key}: {first}; it has to be {limit or f'finite, at most {_LARGEST:g}'}")
    return values[()] if values.ndim == 0 else values


def _hint(graph: Fields) -> str | None:
    """What :func:`~aoi.nir.write.write_nir` wrote about the network's use; None for anything else."""
    try:
        return graph.child("metadata").text(METADATA) if graph.holds_group("metadata") else None
    except NetXError:
        return None


def _without(edges: list[tuple[str, str]], wires: list[str], root: Fields) -> list[tuple[str, str]]:
    """The edges without nodes that only pass on: what led to such a node leads to where it led."""
    if not wires:
        return edges
    onward: dict[str, dict[str, None]] = {}
    for a, b in edges:
        onward.setdefault(a, {})[b] = None
    passed = set(wires)

    def ends(name: str, above: tuple[str, ...]) -> dict[str, None]:
        if name not in passed:
            return {name: None}
        if name in above or len(above) > 4 * MAX_DEPTH:
            raise root.fail(f"nested graphs lead in a circle at {name[:80]!r}, or through each other too often")
        found: dict[str, None] = {}
        for each in onward.get(name, {}):
            found |= ends(each, (*above, name))
        return found

    made = []
    for a, followers in onward.items():
        if a not in passed:
            for b in followers:
                made += [(a, end) for end in ends(b, ())]
                if len(made) > MAX_EDGES:
                    raise root.fail(f"nested graphs make more than {MAX_EDGES} edges")
    return made
