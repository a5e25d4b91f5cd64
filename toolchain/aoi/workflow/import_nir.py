"""NIR files in and out: ``aoi.import_nir``, ``aoi.export_nir``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from aoi.engine import Engine
from aoi.errors import DataError, NetXError
from aoi.files import atomic_path, claimed
from aoi.netx import Metadata, NetworkDescription, overflow_warnings, read_network, write_network
from aoi.netx.read import check_metadata
from aoi.nir.convert import Conversion, Scale, convert
from aoi.nir.numerics import DEFAULT_DT, Discretisation, Numerics, Reset
from aoi.nir.read import Graph, read_graph
from aoi.nir.verdict import NodeVerdict
from aoi.nir.write import write_nir
from aoi.workflow.network import Network, load
from aoi.workflow.progress import Progress, log
from aoi.workflow.recordings import Recordings, Selection, open_selection
from aoi.workflow.result import Result

_TOGETHER = 4  # recordings that the reference runs at a time: its arrays are large
_WAIVED = ("no_bias", "bias_without_delay", "threshold_exact", "weight_even", "weight_exact", "loaded_by_lava")


class UnsupportedNodes(NetXError):
    """A NIR graph holds nodes that the chip cannot execute; ``verdicts`` lists all nodes."""

    def __init__(self, message: str, verdicts: Sequence[NodeVerdict]) -> None:
        super().__init__(message)
        self.verdicts = tuple(verdicts)


@dataclass(frozen=True)
class Parting:
    """Where the integers part from the floating-point graph in one layer."""

    layer: str
    node: str
    """NIR's name of its neurons."""
    float_spikes: float
    """Mean number of spikes of a recording in the reference."""
    spikes: float
    """The same of the integers."""
    differing: float
    """Share of the recordings in which the number of spikes of some step differs."""
    first_step: float | None
    """Median of the first such step, from 1; None if there is none."""


@dataclass(frozen=True)
class FloatComparison:
    """The imported integers next to the graph in floating point, on the same recordings."""

    recordings: int
    steps: int
    split: str
    reset: Reset
    agreement: float
    """Share of the recordings on which both decide the same at T."""
    float_accuracy: float
    accuracy: float
    layers: list[Parting]


@dataclass(frozen=True, repr=False)
class Imported(Result):
    """The result of an import."""

    source: str
    out: str | None
    """The network file; None if none was asked for."""
    verdicts: list[NodeVerdict]
    notes: list[str]
    """What was assumed, and what may overflow."""
    comparison: FloatComparison | None
    network: Network
    """The network as it was written."""

    def to_dict(self) -> dict[str, Any]:
        verdicts = {state: sum(each.verdict == state for each in self.verdicts) for state in ("exact", "approximate")}
        return {
            "source": self.source,
            "network": self.out,
            "nodes": [asdict(each) for each in self.verdicts],
            **verdicts,
            "unsupported": 0,
            "notes": self.notes,
            "comparison": asdict(self.comparison) if self.comparison else None,
        }

    def rows(self) -> Sequence[tuple[str, str]]:
        counts = self.to_dict()
        rows = [
            (self.source, f"{len(self.verdicts)} nodes: {counts['exact']} exact, {counts['approximate']} approximate"),
            *((each.node, f"{each.verdict}: {each.text}") for each in self.verdicts if each.verdict != "exact"),
            *(("note", note) for note in self.notes),
        ]
        if self.comparison:
            found = self.comparison
            rows.append(
                (
                    f"{found.recordings} recordings",
                    f"decisions agree in {found.agreement:.1%}; accuracy {found.float_accuracy:.4f} in floating point, "
                    f"{found.accuracy:.4f} in integers",
                )
            )
        return [*rows, ("network", self.out or "not written")]


def import_nir(
    source: str | PathLike[str],
    out: str | PathLike[str] | None = None,
    *,
    dt: float | None = None,
    discretisation: Discretisation = "euler",
    weight_bits: int = 8,
    scale: Scale = "layer",
    values: bool = False,
    data: str | PathLike[str] | None = None,
    split: str = "test",
    samples: int | None = 100,
    window_us: int | None = None,
    bins: int | None = None,
    reset: Reset = "value",
    progress: Progress | None = None,
) -> Imported:
    """Translates a NIR file into a network file, with a verdict for each node.

    Args:
        source: the NIR file.
        out: the network file to write; None: none.
        dt: time step in s, which the file does not say; None: 1e-4.
        discretisation: "euler" or "exponential", see :class:`aoi.nir.Numerics`.
        weight_bits: bits of the weights, sign included, 2 to 8.
        scale: "layer" or "channel": what shares one scale of the integers.
        values: an input that feeds neurons directly gives them values instead of spikes.
        data: recordings on which the graph in floating point and the integers are compared; their encoding and classes
            go into the network file.
        split, samples, window_us, bins: as for :func:`aoi.open_data`.
        reset: of the reference, "value" as NIR says or "subtract".
        progress: called with (label, done, total).

    Raises:
        UnsupportedNodes: the chip cannot execute a node; the message names the first one, ``verdicts`` lists all.
        NetXError: the file is missing or damaged, or ``out`` cannot be written.
        DataError: an argument is out of range, or the recordings do not fit.

    Example:
        >>> found = aoi.import_nir("cnn_sinabs.nir", "cnn.net")
        >>> [each.node for each in found.verdicts if each.verdict == "approximate"]
        ['0', '2', '5', '9', '11']
    """
    if not 2 <= weight_bits <= 8:
        raise DataError(f"weight_bits {weight_bits}: has to lie between 2 and 8")
    if scale not in ("layer", "channel"):
        raise DataError(f"scale {scale!r}: has to be layer or channel")
    numerics = Numerics(DEFAULT_DT if dt is None else dt, discretisation, reset)
    refuse_own_source(source, out)
    graph = read_graph(source)
    found = convert(graph, numerics, weight_bits=weight_bits, scale=scale, values=values)
    if found.description is None:
        first = found.unsupported[0]
        more = f" (and {len(found.unsupported) - 1} more)" if len(found.unsupported) > 1 else ""
        raise UnsupportedNodes(f"{source}: node {first.node[:80]!r} ({first.type}): {first.text}{more}", found.verdicts)
    network = Network(Path(source), found.description, _metadata_of(graph, found))
    recordings, comparison = None, None
    if data is not None:
        from aoi.choices import parse_split

        selection = Selection(str(data), parse_split(split), samples, window_us, bins, spread=True)
        recordings = open_selection(network, selection, progress)
        comparison = compare_with_float(graph, found, recordings, numerics, progress)
    if out is not None:
        network = _written(Path(out), found.description, _metadata(network, source, recordings, numerics))
    notes = [*found.notes, *overflow_warnings(found.description)]
    return Imported(str(source), None if out is None else str(out), list(found.verdicts), notes, comparison, network)


def import_netx(
    source: str | PathLike[str], out: str | PathLike[str], *, recurrent: bool = False, strict: bool = False
) -> Network:
    """Rewrites a network file of others so that stock Lava executes what it means, and returns it as it was written.

    Clamped delays are written as Lava clamps them; with ``recurrent``, layers of that type become ``dense_rec``.

    Raises:
        NetXError: the file is damaged or not supported, or ``out`` cannot be written.

    Example:
        >>> aoi.import_netx("br_th1.net", "braille.net", recurrent=True)
        Network('braille.net': 1x1x48 spikes per step → 28 outputs, 478 neurons, readout spikes, rule none)
    """
    refuse_own_source(source, out)
    network = load(source, recurrent=recurrent, strict=strict)
    metadata = network.metadata or Metadata(readout=network.readout, provenance={"imported from": Path(source).name})
    return _written(Path(out), network.description, metadata)


def compare_with_float(
    graph: Graph, conversion: Conversion, recordings: Recordings, numerics: Numerics, progress: Progress | None = None
) -> FloatComparison:
    """Runs the graph in floating point and the integers on the same recordings.

    Decisions are those of the accumulated readout at T. Raises NetXError if the graph's shapes do not match.
    """
    from aoi.nir.reference import run_reference

    description = conversion.description
    assert description is not None
    engine, stages = Engine(description), list(conversion.stages)
    decided: list[tuple[np.ndarray, np.ndarray]] = []
    counted: list[tuple[np.ndarray, np.ndarray]] = []
    for begin in range(0, len(recordings), _TOGETHER):
        spikes = recordings.batch(range(begin, min(begin + _TOGETHER, len(recordings))))
        try:
            reference = run_reference(graph, stages, spikes, numerics)
        except ValueError as error:
            raise NetXError(f"{graph.path}: the graph cannot be executed: {error}") from None
        run = engine.run(spikes, readout=description.readout)
        decided.append((reference.scores[..., -1].argmax(axis=1), run.scores[..., -1].argmax(axis=1)))
        counted.append((reference.spikes, run.spikes))
        if progress is not None:
            progress("comparing with floating point", min(begin + _TOGETHER, len(recordings)), len(recordings))
    ours, theirs = (np.concatenate([pair[i] for pair in decided]) for i in (1, 0))
    counts = [np.concatenate([pair[i] for pair in counted]) for i in (0, 1)]
    layers = []
    for index, stage in enumerate(stages):
        if not description.layers[index].neuron.fires:
            continue
        differs = counts[0][:, index] != counts[1][:, index]
        some = differs.any(axis=1)
        first = np.median(differs[some].argmax(axis=1) + 1) if some.any() else None
        layers.append(
            Parting(
                description.layers[index].name,
                stage.neuron or "",
                float(counts[0][:, index].sum(axis=1).mean()),
                float(counts[1][:, index].sum(axis=1).mean()),
                float(some.mean()),
                None if first is None else float(first),
            )
        )
    return FloatComparison(
        recordings=len(recordings),
        steps=recordings.steps,
        split=recordings.split,
        reset=numerics.reset,
        agreement=float((ours == theirs).mean()),
        float_accuracy=float((theirs == recordings.labels).mean()),
        accuracy=float((ours == recordings.labels).mean()),
        layers=layers,
    )


def export_nir(
    network: Network | str | PathLike[str],
    out: str | PathLike[str],
    *,
    dt: float | None = None,
    discretisation: Discretisation = "euler",
    flat_input: bool = False,
) -> Path:
    """Writes a network as a NIR file that gives the same integers back when it is imported, and returns its path.

    Args:
        network: the network, or where to load it from.
        out: the NIR file.
        dt: time step in s for which decays become time constants; None: 1e-4.
        discretisation: "euler" or "exponential": how the reader will step.
        flat_input: declare the input of a first dense layer as one vector, for readers without ``Flatten`` (Rockpool).

    Raises:
        NetXError: NIR cannot say what a layer does (sigma-delta neurons, a delay of each synapse), or the file cannot
            be written.

    Example:
        >>> aoi.export_nir("zoo:digits", "digits.nir")
        PosixPath('digits.nir')
    """
    net = network if isinstance(network, Network) else load(network)
    refuse_own_source(net.path, out)
    numerics = Numerics(DEFAULT_DT if dt is None else dt, discretisation)
    about = net.metadata.model_dump_json() if net.metadata else ""
    write_nir(out, net.description, numerics, name=str(net.path), metadata=about, flat_input=flat_input)
    return Path(out)


def refuse_own_source(source: str | PathLike[str], out: str | PathLike[str] | None) -> None:
    """Raises DataError if a translation would replace what it was made from."""
    if out is not None and Path(out).resolve() == Path(source).resolve():
        raise DataError(f"{out}: is the source itself, which the translation would replace; choose another name")


def _metadata_of(graph: Graph, found: Conversion) -> Metadata | None:
    """What the file says about the network's use, if :func:`export_nir` wrote it and it fits.

    A calibrated rule is kept only if every node is exact.
    """
    assert found.description is not None
    if graph.metadata is None:
        return None
    try:
        metadata = Metadata.model_validate_json(graph.metadata)
        check_metadata(found.description, metadata, str(graph.path))
    except (ValueError, NetXError):
        log.warning("%s: its metadata are not those of this network, and are left out", graph.path)
        return None
    exact = all(each.verdict == "exact" for each in found.verdicts)
    return metadata if exact else metadata.model_copy(update={"policy": None})


def _metadata(
    network: Network, source: str | PathLike[str], recordings: Recordings | None, numerics: Numerics
) -> Metadata:
    """The group ``/aoi`` of the network file: what the NIR file says, and the recordings of the comparison."""
    known = network.metadata or Metadata(readout=network.description.readout)
    origin = {
        "imported from": Path(source).name,
        "time step": numerics.dt,
        "discretisation": numerics.discretisation,
    }
    found: dict[str, Any] = {"provenance": known.provenance | origin}
    if recordings is not None and network.metadata is None:
        found |= {"encoding": recordings.encoding, "data": recordings.config}
        if len(recordings.classes) == network.description.outputs:
            found["classes"] = recordings.classes
    return known.model_copy(update=found)


def _written(out: Path, description: NetworkDescription, metadata: Metadata) -> Network:
    """Writes the file and reads it back: what it says is what was meant."""
    with claimed(out, "aoi import"), atomic_path(out) as temporary:
        write_network(temporary, description, metadata, waive=_WAIVED)
        back = read_network(temporary, input_block=description.takes_values).description
        for meant, read in zip(description.layers, back.layers, strict=True):
            if not np.array_equal(getattr(meant, "weight", 0), getattr(read, "weight", 0)):
                raise NetXError(f"{out}: layer {meant.name}: Lava's synapses would change its weights; not written")
    return load(out, values=description.takes_values)
