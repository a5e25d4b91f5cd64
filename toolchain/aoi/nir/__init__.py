"""NIR, the exchange format of spiking simulators (neuromorphs/NIR): reading, execution in floating point, translation
into a NetworkDescription with a verdict for each node, and back."""

from aoi.nir.convert import Conversion, convert
from aoi.nir.numerics import Numerics
from aoi.nir.read import Graph, read_graph
from aoi.nir.verdict import NodeVerdict
from aoi.nir.write import to_nir, write_nir

__all__ = ["Conversion", "Graph", "NodeVerdict", "Numerics", "convert", "read_graph", "to_nir", "write_nir"]
