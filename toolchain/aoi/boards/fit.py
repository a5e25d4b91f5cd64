"""Does a network fit on a board? Places its layers on cores and checks the placement by a list of small rules.

Placement and formulas for Loihi 2 reproduce the tables that lava-loihi's compiler prints in lava-dl's notebooks
(``tutorials/lava/lib/dl/netx/pilotnet_{snn,sdnn}/benchmark.ipynb``); the compiler itself is not public. Those for
Loihi 1 are nengo-loihi's (``block.py``), which has no convolution with shared kernels as in NetX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import ceil, prod
from typing import Literal

import numpy as np

from aoi.boards.board import Board, Chip
from aoi.netx.description import Conv, Cuba, Dense, Input, Layer, NetworkDescription

Verdict = Literal["fits", "does not fit", "unknown"]

WORD_BITS = 64
HEADER_BITS = 10  # of each list of synapses: nengo-loihi's synapse_idx_bits + n_synapses_bits
LOIHI2_DENSE_BITS = 12  # per synapse of a dense layer besides its weight: derived from the tables
LOIHI1_BLOCK = 64  # synapses in a list: nengo-loihi's n_synapses + 1


@dataclass(frozen=True)
class Load:
    """The use of a resource by a layer: on the fullest core (``most``) and on all cores (``total``)."""

    most: int
    total: int


@dataclass(frozen=True)
class Placement:
    """How a layer is placed on cores."""

    layer: str
    kind: str
    cores: int
    axons_in: int  # per core
    neuron_groups: int  # per core
    neurons: Load
    synapse_words: Load  # of 64 bits
    axon_map: Load
    weight_bits: int
    tile: tuple[int, ...] | None = None
    """(width, height, channels) of the part of a feature map on one core; the width is a power of two."""

    def row(self) -> tuple[int, int, int, int, int, int]:
        """AxonIn, NeuronGr, Neurons, Synapses, AxonMap, Cores as the compiler prints them: rounded-down means."""
        loads = (each.total // self.cores for each in (self.neurons, self.synapse_words, self.axon_map))
        return (self.axons_in, self.neuron_groups, *loads, self.cores)  # type: ignore[return-value]


@dataclass(frozen=True)
class FitFinding:
    """Why a network does not fit, or why that is unknown, and what to change."""

    verdict: Verdict
    layer: str | None
    limit: str
    needed: int | None
    available: int | None
    remedy: str
    source: str = ""
    stated: bool = False

    def __str__(self) -> str:
        where = f"layer {self.layer}: " if self.layer else ""
        if self.needed is None or self.available is None:
            return f"{where}{self.limit}; {self.remedy}"
        return f"{where}{self.needed:,} {self.limit}, at most {self.available:,}; {self.remedy}"


@dataclass(frozen=True)
class Fit:
    """Whether a network fits on a board."""

    board: str
    verdict: Verdict
    cores: int
    available: int  # cores
    placements: tuple[Placement, ...]
    findings: tuple[FitFinding, ...]

    def __str__(self) -> str:
        cores = f"{self.cores:,} of {self.available:,} cores"
        return f"{self.verdict}, {cores}" if self.verdict != "does not fit" else self.verdict


def assess(description: NetworkDescription, board: Board) -> Fit:
    """Applies all rules. If the lower limits of earlier compilers decide, the verdict is "unknown"."""
    fit = _assess(description, board, board.chip)
    words = board.chip.limits.synapse_words
    if fit.verdict != "fits" or words.earlier is None:
        return fit
    limits = board.chip.limits.model_copy(update={"synapse_words": words.model_copy(update={"value": words.earlier})})
    before = _assess(description, board, board.chip.model_copy(update={"limits": limits}))
    if before.verdict == "fits":
        return fit
    first = before.findings[0]
    doubt = replace(first, verdict="unknown", limit=f"{first.limit} (compilers of 2022)")
    return replace(fit, verdict="unknown", findings=(doubt,))


def place(description: NetworkDescription, chip: Chip) -> tuple[Placement, ...]:
    """The placement of each layer, first to last."""
    following: list[Layer | None] = [*description.layers[1:], None]
    return tuple(_place(layer, after, chip) for layer, after in zip(description.layers, following, strict=True))


def weight_bits(layer: Layer) -> int:
    """Bits of a signed number that holds every weight / 2: the chip stores even weights without the last bit."""
    if isinstance(layer, Input):
        return 0
    weights = [layer.weight] + ([layer.weight_rec] if isinstance(layer, Dense) and layer.weight_rec is not None else [])
    low, high = min(int(w.min()) for w in weights) // 2, max(-(-int(w.max()) // 2) for w in weights)
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)


def powers_of_two(number: int) -> list[int]:
    """The powers of two whose sum is ``number``, largest first: 48 → [32, 16]."""
    return [1 << bit for bit in reversed(range(number.bit_length())) if number >> bit & 1]


# -- placement --------------------------------------------------------------------------------------------------------


def dense_words(inputs: int, neurons: int, bits: int, chip: Chip) -> int:
    """64-bit words of synapse memory for ``neurons`` of a dense layer: one list of synapses per input."""
    if chip.format == "loihi1":
        blocks = [LOIHI1_BLOCK] * (neurons // LOIHI1_BLOCK) + (
            [neurons % LOIHI1_BLOCK] if neurons % LOIHI1_BLOCK else []
        )
        return inputs * sum(ceil((n * bits + HEADER_BITS) / WORD_BITS) for n in blocks)
    return inputs * ceil((neurons * (bits + LOIHI2_DENSE_BITS) + HEADER_BITS) / WORD_BITS)


def conv_words(layer: Conv, bits: int) -> int:
    """64-bit words of a kernel on each core: one list of synapses per input channel, offset and power of two."""
    channels, inputs, *kernel = layer.weight.shape
    return inputs * prod(kernel) * sum(ceil((n * bits + HEADER_BITS) / WORD_BITS) for n in powers_of_two(channels))


def _place(layer: Layer, after: Layer | None, chip: Chip) -> Placement:
    if len(layer.shape) == 3:
        return _place_maps(layer, after, chip)
    return _place_flat(layer, chip)


def _place_flat(layer: Layer, chip: Chip) -> Placement:
    """As in the compiler: multiplies the cores by the largest excess, rounded up, until nothing exceeds a limit."""
    neurons, bits = prod(layer.shape), weight_bits(layer)
    inputs = 0
    if isinstance(layer, Dense):
        inputs = layer.weight.shape[1] + (neurons if layer.weight_rec is not None else 0)
    limits, cores = chip.limits, 1
    while True:
        share = ceil(neurons / cores)
        words = dense_words(inputs, share, bits, chip) if inputs else 0
        excess = max(share / limits.neurons.value, words / limits.synapse_words.value)
        if excess <= 1 or share == 1:
            break
        cores *= ceil(excess)
    cores = ceil(neurons / share)
    rest = neurons - (cores - 1) * share
    total = (cores - 1) * words + (dense_words(inputs, rest, bits, chip) if inputs else 0)
    return Placement(
        layer=layer.name,
        kind=layer.kind,
        cores=cores,
        axons_in=inputs or 1,
        neuron_groups=_neuron_groups(layer),
        neurons=Load(share, neurons),
        synapse_words=Load(words, total),
        axon_map=Load(share, neurons),
        weight_bits=bits,
    )


def _place_maps(layer: Layer, after: Layer | None, chip: Chip) -> Placement:
    """Divides feature maps along their width into tiles of a power of two, the widest that fit on a core."""
    channels, height, width = layer.shape
    tile = 1 << (width - 1).bit_length()
    while tile > 1 and tile * height * channels > chip.limits.neurons.value:
        tile //= 2
    cores = ceil(width / tile)
    lists = len(powers_of_two(channels)) if isinstance(layer, Conv) else 1
    known = chip.format == "loihi2"
    words = conv_words(layer, weight_bits(layer)) if isinstance(layer, Conv) and known else 0
    each = lists if isinstance(after, Conv) else channels  # axons per pixel
    neurons = tile * height * channels
    return Placement(
        layer=layer.name,
        kind=layer.kind,
        cores=cores,
        axons_in=lists,
        neuron_groups=_neuron_groups(layer),
        neurons=Load(neurons, neurons * cores),
        synapse_words=Load(words, words * cores),
        axon_map=Load(min(tile, width) * height * each, width * height * each),
        weight_bits=weight_bits(layer),
        tile=(tile, height, channels),
    )


def _neuron_groups(layer: Layer) -> int:
    """Number of different sets of neuron parameters: channels that differ need one each."""
    if not isinstance(layer.neuron, Cuba):
        return 1
    neuron = layer.neuron
    rows = np.broadcast_arrays(
        *(np.atleast_1d(x) for x in (neuron.threshold, neuron.current_decay, neuron.voltage_decay))
    )
    return len(np.unique(np.stack(rows, axis=-1), axis=0))


# -- rules ------------------------------------------------------------------------------------------------------------


Rule = Callable[[Layer, Placement, Chip], FitFinding | None]


def neurons_per_core(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    """A column of a feature map must fit on one core: published tables divide maps along their width only."""
    limit = chip.limits.neurons
    if placed.neurons.most <= limit.value:
        return None
    _, height, channels = placed.tile or (1, 1, 1)
    return FitFinding(
        "does not fit", layer.name, "neurons in one column of the map", height * channels, limit.value,
        f"give it at most {limit.value // height} channels, or a stride before it", limit.source, limit.stated,
    )  # fmt: skip


def neuron_groups(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    limit = chip.limits.neuron_groups
    if limit is None or placed.neuron_groups <= limit.value:
        return None
    return FitFinding(
        "unknown", layer.name, "sets of neuron parameters on a core", placed.neuron_groups, limit.value,
        "let channels share threshold and decays", limit.source, limit.stated,
    )  # fmt: skip


def axons_in(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    """Each core of a dense layer receives every input; splitting the layer does not help."""
    limit = chip.limits.axons_in
    if placed.axons_in <= limit.value:
        return None
    return FitFinding(
        "does not fit", layer.name, "axons into a core", placed.axons_in, limit.value,
        "reduce its inputs: a stride or fewer channels before it, or two layers with half of the inputs each",
        limit.source, limit.stated,
    )  # fmt: skip


def axon_map(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    limit = chip.limits.axon_map
    if placed.axon_map.most <= limit.value:
        return None
    return FitFinding(
        "does not fit", layer.name, "axon map entries on a core", placed.axon_map.most, limit.value,
        "reduce the height of its map or its channels", limit.source, limit.stated,
    )  # fmt: skip


def synapse_memory(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    """Every core stores the whole kernel; a dense layer is divided down to one neuron per core at most."""
    limit = chip.limits.synapse_words
    if placed.synapse_words.most <= limit.value or isinstance(layer, Input):
        return None
    remedy = "reduce its inputs"
    if isinstance(layer, Conv):
        bits = next((b for b in range(placed.weight_bits - 1, 0, -1) if conv_words(layer, b) <= limit.value), None)
        remedy = "split it into two layers of half its channels, give it fewer channels"
        remedy += f", or weights of at most {bits} bits ({placed.weight_bits} now)" if bits else " or a smaller kernel"
    return FitFinding(
        "does not fit", layer.name, "words of synapse memory on a core", placed.synapse_words.most, limit.value, remedy,
        limit.source, limit.stated,
    )  # fmt: skip


def graded_spikes(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    """Sigma-delta neurons send values; a spike of Loihi 1 carries none."""
    if chip.format != "loihi1" or not layer.neuron.graded:
        return None
    return FitFinding(
        "does not fit", layer.name, f"{type(layer.neuron).__name__} neurons send graded spikes, which Loihi 1 lacks",
        None, None, "use a board with Loihi 2", "Intel, Loihi 2 technology brief 2021: graded spikes are new", True,
    )  # fmt: skip


def known_format(layer: Layer, placed: Placement, chip: Chip) -> FitFinding | None:
    """Published tables do not cover these layers."""
    what, remedy = None, "it is counted as if it had none of that"
    if isinstance(layer, Conv):
        if chip.format == "loihi1":
            what = "no published rule gives the synapse memory of a convolution on Loihi 1"
            remedy = "it is left out"
        elif layer.kind == "pool" or layer.groups != 1 or layer.dilation != (1, 1):
            what = (
                f"no published table has a {'pooling layer' if layer.kind == 'pool' else 'grouped or dilated kernel'}"
            )
    elif isinstance(layer, Dense):
        if layer.delay is not None and np.any(layer.delay):
            what = "no published table has delays"
        elif layer.weight_rec is not None:
            what = "no published table has a recurrent layer"
    if what is None:
        return None
    return FitFinding("unknown", layer.name, what, None, None, remedy)


RULES: tuple[Rule, ...] = (
    graded_spikes,
    neurons_per_core,
    neuron_groups,
    axons_in,
    axon_map,
    synapse_memory,
    known_format,
)


def _assess(description: NetworkDescription, board: Board, chip: Chip) -> Fit:
    placements = place(description, chip)
    findings = [
        found
        for layer, placed in zip(description.layers, placements, strict=True)
        for rule in RULES
        if (found := rule(layer, placed, chip)) is not None
    ]
    findings += _all_cores(placements, board)
    order: tuple[Verdict, ...] = ("does not fit", "unknown")
    findings.sort(key=lambda found: order.index(found.verdict))
    return Fit(
        board=board.name,
        verdict=findings[0].verdict if findings else "fits",
        cores=sum(placed.cores for placed in placements),
        available=board.cores,
        placements=placements,
        findings=tuple(findings),
    )


def _all_cores(placements: tuple[Placement, ...], board: Board) -> Iterator[FitFinding]:
    needed = sum(placed.cores for placed in placements)
    if needed > board.cores:
        largest = max(placements, key=lambda placed: placed.cores)
        yield FitFinding(
            "does not fit", None, "cores", needed, board.cores,
            f"layer {largest.layer} takes {largest.cores}: give it fewer channels or neurons, or fewer weight bits, "
            "or choose a board with more chips", board.chip.limits.cores.source, board.chip.limits.cores.stated,
        )  # fmt: skip
