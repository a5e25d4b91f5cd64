"""The fit on boards: the compile tables printed in lava-dl's notebooks, row by row, and each limit exceeded by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aoi.boards.board import Board, board_names, load_board
from aoi.boards.fit import Fit, Placement, assess, place, powers_of_two, weight_bits
from aoi.errors import DataError
from aoi.netx import Conv, Cuba, Dense, Input, Layer, NetworkDescription, SigmaDelta, read_network
from aoi.workflow.cost import lava_dl_file

NEURON = Cuba(threshold=100, current_decay=4096, voltage_decay=128)


def by_compilers_of_2022(name: str = "oheogulch") -> Board:
    """The board with the synapse memory that the notebooks' compiler printed."""
    board = load_board(name)
    limits = board.chip.limits
    words = limits.synapse_words
    assert words.earlier == 12_000
    words = words.model_copy(update={"value": words.earlier, "earlier": None})
    chip = board.chip.model_copy(update={"limits": limits.model_copy(update={"synapse_words": words})})
    return board.model_copy(update={"chip": chip})


# AxonIn, NeuronGr, Neurons, Synapses, AxonMap, Cores, tile (width, height, channels); first layer first.
# lava-dl, tutorials/lava/lib/dl/netx/pilotnet_snn/benchmark.ipynb
PILOTNET_SNN = [
    (1, 1, 3168, 0, 1015, 13, (16, 66, 3)),
    (2, 1, 3072, 81, 253, 25, (4, 32, 24)),
    (2, 1, 2160, 864, 113, 13, (4, 15, 36)),
    (2, 1, 2688, 1620, 112, 3, (8, 7, 48)),
    (1, 1, 2048, 2160, 29, 3, (8, 4, 64)),
    (1, 1, 2048, 2880, 1280, 2, (16, 2, 64)),
    (2560, 1, 8, 7253, 8, 12, None),
    (100, 1, 50, 1300, 50, 1, None),
    (50, 1, 10, 150, 10, 1, None),
    (10, 1, 1, 10, 1, 1, None),
]
# lava-dl, tutorials/lava/lib/dl/netx/pilotnet_sdnn/benchmark.ipynb, whose table leaves out the input block
PILOTNET_SDNN = [
    (2, 1, 3072, 81, 253, 25, (4, 32, 24)),
    (2, 1, 2160, 864, 113, 13, (4, 15, 36)),
    (2, 1, 2688, 1620, 112, 3, (8, 7, 48)),
    (1, 1, 2048, 2592, 29, 3, (8, 4, 64)),
    (1, 1, 2048, 2880, 1280, 2, (16, 2, 64)),
    (2560, 1, 8, 7253, 8, 12, None),
    (100, 1, 50, 1500, 50, 1, None),
    (50, 1, 10, 150, 10, 1, None),
    (10, 1, 1, 10, 1, 1, None),
]
SDNN_BITS = (5, 4, 4, 5, 4, 4, 6, 5, 5)
"""The notebook's network is not public: one number of weight bits per layer reproduces its row."""


def rows(placements: tuple[Placement, ...]) -> list[tuple[object, ...]]:
    return [(*placed.row(), placed.tile) for placed in placements]


def test_pilotnet_snn_table() -> None:
    """All ten rows, with the weights that lava-dl ships."""
    network = read_network(lava_dl_file("gts/pilotnet_lif/network.net"), input_block=True)
    placements = place(network.description, by_compilers_of_2022().chip)
    assert rows(placements) == PILOTNET_SNN
    assert sum(placed.cores for placed in placements) == 74


def with_bits(layer: Layer, bits: int) -> Layer:
    """The layer with weights that need exactly so many bits."""
    assert not isinstance(layer, Input)
    weight = layer.weight.copy()
    weight.flat[:] = 0
    weight.flat[0] = -(2**bits)
    assert weight_bits(replace(layer, weight=weight)) == bits
    return replace(layer, weight=weight, neuron=SigmaDelta(threshold=8))


def test_pilotnet_sdnn_table() -> None:
    """All nine rows: layers of the same shapes, sigma-delta neurons, one fitted number per layer."""
    layers = read_network(lava_dl_file("gts/pilotnet_lif/network.net")).description.layers
    layers = tuple(with_bits(layer, bits) for layer, bits in zip(layers, SDNN_BITS, strict=True))
    placements = place(NetworkDescription((3, 66, 200), layers), by_compilers_of_2022().chip)
    assert rows(placements) == PILOTNET_SDNN
    assert sum(placed.cores for placed in placements) == 61


def test_layers_that_the_compiler_refused() -> None:
    """The notebooks' lines "Violation … allocation=": 61,440 and 66,560 words on one core, 12,800 on each of six."""
    from aoi.boards.fit import dense_words

    chip = load_board("oheogulch").chip
    assert [dense_words(2560, 100, bits, chip) for bits in (3, 4)] == [61_440, 66_560]
    assert [dense_words(2560, 17, bits, chip) for bits in (3, 4)] == [12_800, 12_800]


def dense(inputs: int, outputs: int, weight: int = 2) -> Dense:
    return Dense("big", np.full((outputs, inputs), weight, np.int32), NEURON)


def conv(channels: int, height: int, width: int = 8, inputs: int = 2, weight: int = 2) -> NetworkDescription:
    kernel = np.full((channels, inputs, 1, 1), weight, np.int32)
    return NetworkDescription((inputs, height, width), (Conv("big", (inputs, height, width), kernel, NEURON),))


def on(description: NetworkDescription | Layer, board: str = "oheogulch") -> Fit:
    if not isinstance(description, NetworkDescription):
        description = NetworkDescription((description.weight.shape[1],), (description,))
    return assess(description, load_board(board))


@pytest.mark.parametrize(
    ("fits", "breaks", "limit", "needed", "way"),
    [
        (conv(315, 13), conv(316, 13), "neurons", 4108, "at most 315 channels"),
        (conv(4095, 1), conv(4096, 1), "neurons", 4096, "at most 4095 channels"),
        (dense(16_000, 1), dense(16_001, 1), "axons into a core", 16_001, "half of the inputs"),
        (conv(64, 2, inputs=1777, weight=254), conv(64, 2, inputs=1778, weight=254), "synapse", 16_002, "7 bits"),
    ],
    ids=["neurons", "neurons in one row", "axons", "kernel"],
)
def test_one_above_a_limit_names_the_limit(fits, breaks, limit: str, needed: int, way: str) -> None:
    """The last two are unknown below the limit: they take more than the 12,000 words of 2022."""
    assert on(fits).verdict == ("fits" if limit == "neurons" else "unknown")
    fit = on(breaks)
    assert fit.verdict == "does not fit"
    found = fit.findings[0]
    assert (found.layer, found.needed) == ("big", needed)
    assert limit in found.limit
    assert way in str(found)
    assert found.source


def test_too_many_cores_names_the_largest_layer() -> None:
    """128 cores of Oheo Gulch, 1,024 of Kapoho Point."""
    width = 129 * 4
    fit = on(conv(1000, 1, width))
    assert (fit.verdict, fit.cores) == ("does not fit", 129)
    assert "layer big takes 129" in str(fit.findings[0])
    assert "more chips" in str(fit.findings[0])
    assert on(conv(1000, 1, width - 4)).verdict == "fits"
    assert on(conv(1000, 1, width), "kapohopoint").verdict == "fits"


def test_limits_of_later_compilers_only_are_unknown() -> None:
    fit = on(conv(64, 2, inputs=1500, weight=254))
    assert fit.verdict == "unknown"
    assert "compilers of 2022" in str(fit.findings[0])
    assert fit.findings[0].available == 12_000


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (replace(dense(8, 4), delay=np.full((1, 8), 3, np.int32)), "delays"),
        (replace(dense(8, 4), weight_rec=np.eye(4, dtype=np.int32)), "recurrent"),
        (replace(dense(8, 16), neuron=replace(NEURON, threshold=np.arange(16))), "neuron parameters"),
    ],
)
def test_layers_in_no_published_table_are_unknown(layer: Dense, words: str) -> None:
    fit = on(layer)
    assert fit.verdict == "unknown"
    assert words in str(fit.findings[0])


def test_loihi_1() -> None:
    """1,024 neurons per core, 4,096 axons; a convolution's synapses are unknown there."""
    assert on(dense(4096, 2000), "nahuku").verdict == "fits"
    assert "axons" in on(dense(4097, 10), "nahuku").findings[0].limit
    assert on(conv(8, 4), "nahuku").verdict == "unknown"
    assert on(conv(1025, 1), "nahuku").findings[0].needed == 1025


def test_a_dense_layer_is_divided_until_it_fits() -> None:
    (placed,) = on(dense(1000, 500, 254)).placements
    assert placed.cores > 1
    assert placed.synapse_words.most <= 16_000
    assert placed.neurons.total == 500


@pytest.mark.parametrize(
    ("weights", "bits"), [((-2, 0), 1), ((0, 2), 2), ((-256, 254), 8), ((-6, 6), 3), ((-20, 18), 5)]
)
def test_weight_bits(weights: tuple[int, int], bits: int) -> None:
    assert weight_bits(Dense("d", np.array([weights], np.int32), NEURON)) == bits


def test_powers_of_two() -> None:
    assert [powers_of_two(n) for n in (1, 24, 36, 48, 64)] == [[1], [16, 8], [32, 4], [32, 16], [64]]


def test_every_board_has_sources() -> None:
    assert board_names() == ["kapohopoint", "nahuku", "oheogulch"]
    for name in board_names():
        board = load_board(name)
        for limit in (board.chips, *(each for _, each in board.chip.limits if each is not None)):
            assert len(limit.source) > 10
            assert limit.value > 0
    with pytest.raises(DataError, match="oheogulch"):
        load_board("loihi3")
