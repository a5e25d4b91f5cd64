"""Training steps against the same steps on SLAYER's own blocks, and the cost of STR."""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import torch

from aoi.errors import CheckFailed
from aoi.experiment.config import config_folder, load_config
from aoi.experiment.network import DenseSpec, NeuronSpec
from aoi.experiment.regulariser import RegulariserConfig
from aoi_benchmarks.report import Report, Row
from aoi_models.blocks import dense_block
from aoi_models.losses import readout_loss
from aoi_models.network import AnytimeNetwork
from aoi_models.regularisers.base import build
from aoi_models.regularisers.hidden import Hidden
from aoi_models.training.augment import augment

_RATE = 0.05  # input spike rate; the time of SLAYER's blocks does not depend on it
_SENSORS = {"dense": ("digits", (2, 16, 16)), "conv": ("nmnist", (2, 34, 34))}


def bench(*, quick: bool = False) -> Report:
    """Measures complete steps (forward, TET, backward, Adam), each implementation with its best number of threads.

    ``training/dense`` and ``training/conv``: networks of ``configs/digits.yaml`` and ``configs/nmnist.yaml``, seconds
    per sample. ``training/str-…``: our step with augmentation and STR against the same without STR, in processor time
    of one thread; the ratio is the relative throughput. ``dense/slayer``: one layer of 512 neurons.
    """
    rows = [_layer(quick)]
    for kind in _SENSORS:
        rows += _network(kind, quick)
    return Report(tuple(rows))


def _network(kind: str, quick: bool) -> list[Row]:
    name, shape = _SENSORS[kind]
    config = load_config(config_folder() / f"{name}.yaml")
    torch.manual_seed(0)
    network = AnytimeNetwork.from_spec(config.network, shape, 10)
    samples = 2 if quick else 32 if kind == "dense" else 16
    steps = 6 if quick else config.encoding.bins
    spikes = (torch.rand(samples, *shape, steps) < _RATE).float()
    labels = torch.randint(0, 10, (samples,))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-6)
    penalty = build(RegulariserConfig(name="str"))
    assert penalty is not None
    _check(network, spikes, kind)

    def descend(loss: torch.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def plain() -> None:
        descend(readout_loss(network(spikes).scores, labels, config.training.loss))

    def augmented() -> torch.Tensor:
        return augment(spikes, config.training.augment, torch.Generator().manual_seed(0))

    def unregularised() -> None:
        scores = network(augmented()).scores
        correct_at(scores)
        descend(readout_loss(scores, labels, config.training.loss))

    def correct_at(scores: torch.Tensor) -> torch.Tensor:
        """Computed with and without STR, because training always logs the accuracy."""
        return scores.argmax(1) == labels[:, None]

    def regularised() -> None:
        response = network(augmented(), sums=True)
        correct = correct_at(response.scores)
        hidden = [Hidden(a, block.threshold) for a, block in zip(response.layers, network.blocks, strict=True)][:-1]
        descend(readout_loss(response.scores, labels, config.training.loss) + penalty(hidden, correct, 1))

    def stock() -> None:
        last, fires = network.stock(spikes)[-1], network.blocks[-1].fires
        descend(readout_loss(last.cumsum(-1) if fires else last, labels, config.training.loss))

    repeats = 1 if quick else 40 if kind == "dense" else 5
    (ours,) = _side_by_side((plain,), repeats)
    # Processor time of one thread, because other load on the machine changes the wall time by more than STR does.
    str_repeats = 1 if quick else 4 * repeats
    without, with_str = _side_by_side((unregularised, regularised), str_repeats, time.process_time, most=1)
    (theirs,) = _side_by_side((stock,), 1 if quick else 2)
    about = {"samples": samples, "steps": steps}
    return [
        Row(
            f"training/{kind}",
            ours[0] / samples,
            theirs[0] / samples,
            "s/sample",
            {**about, "threads": ours[1], "peer_threads": theirs[1]},
        ),
        Row(
            f"training/str-{kind}",
            with_str[0] / samples,
            without[0] / samples,
            "CPU s/sample",
            {**about, "overhead": with_str[0] / without[0] - 1},
        ),
    ]


def _check(network: AnytimeNetwork, spikes: torch.Tensor, kind: str) -> None:
    """Compares the spikes of all layers, and the readout's voltage, with SLAYER; each of its blocks adds a step."""
    late = len(network.blocks)
    with torch.no_grad():
        theirs = network.stock(torch.nn.functional.pad(spikes, (0, late)))
        for index, (layer, found) in enumerate(zip(network(spikes).layers, theirs, strict=True)):
            fires = network.blocks[index].fires
            first = index + 1 if fires else index
            ours = layer.sent if fires else layer.voltage
            if not torch.equal(ours, found[..., first : first + spikes.shape[-1]]):
                raise CheckFailed(f"{kind}: layer {index} differs from SLAYER")


def _layer(quick: bool) -> Row:
    """A CUBA layer of 512 neurons, 32 samples, 24 steps."""
    torch.manual_seed(0)
    block = dense_block(DenseSpec(neurons=512, weight_scale=2), 512, NeuronSpec())
    spikes = (torch.rand(32, 512, 24) < 0.1).float()

    def ours() -> torch.Tensor:
        return block(spikes).spikes

    def peer() -> torch.Tensor:
        block.block.neuron.shape = None
        return block.block(spikes)

    if not torch.equal(ours()[..., :-1], peer()[..., 1:]):  # SLAYER's come one step later
        raise CheckFailed("dense: the spikes of our dynamics differ from SLAYER's")
    works = (lambda: ours().sum().backward(), lambda: peer().sum().backward())
    (mine, _), (theirs, _) = _side_by_side(works, 1 if quick else 7)
    return Row("dense/slayer", mine, theirs, "s")


def _side_by_side(
    works: tuple[Callable[[], None], ...],
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
    most: int = numba.config.NUMBA_NUM_THREADS,
) -> list[tuple[float, int]]:
    """Best seconds of each work, and its number of threads. They run in turn, so that other load affects all."""
    before = torch.get_num_threads(), numba.get_num_threads()
    best = [(float("inf"), 0)] * len(works)
    try:
        for threads in range(1, most + 1):
            torch.set_num_threads(threads)
            numba.set_num_threads(threads)
            for work in works:
                work()
            for _ in range(repeats):
                for index, work in enumerate(works):
                    begin = clock()
                    work()
                    best[index] = min(best[index], (clock() - begin, threads))
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])
    return best
