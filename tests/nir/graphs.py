"""NIR graphs for the tests, and their files."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from aoi.nir import Graph, read_graph


def chain(*nodes: Any, shape: tuple[int, ...]) -> nir.NIRGraph:
    """A graph input → nodes "0", "1", … → output."""
    named = {"input": nir.Input(input_type={"input": np.array(shape)})}
    named |= {str(index): node for index, node in enumerate(nodes)}
    named["output"] = nir.Output(output_type={"output": np.array([1])})
    names = list(named)
    return nir.NIRGraph(named, list(pairwise(names)), type_check=False)


def stored(graph: nir.NIRGraph, folder: Path) -> Path:
    path = folder / "graph.nir"
    nir.write(path, graph)
    return path


def read(graph: nir.NIRGraph, folder: Path) -> Graph:
    return read_graph(stored(graph, folder))


def integrate_and_fire(*shape: int, threshold: float = 1.0, r: float = 1.0) -> nir.IF:
    return nir.IF(r=np.full(shape, r), v_threshold=np.full(shape, threshold))


def conv(
    weight: np.ndarray, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: Any = 0.0
) -> Any:
    return nir.Conv2d(
        input_shape=(9, 9),  # nir writes no file without one; the graph's own shapes count
        weight=weight,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=np.broadcast_to(np.asarray(bias, np.float64), (len(weight),)).copy(),
    )


def pool(kind: Any, kernel: int, stride: int | None = None, padding: int = 0) -> Any:
    return kind(
        kernel_size=np.array([kernel, kernel]),
        stride=np.array([stride or kernel] * 2),
        padding=np.array([padding, padding]),
    )
