"""The engine's own promises; that it computes what Lava does is in test_equals_lava."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from toolchain.engine import Engine, engine
from toolchain.errors import DataError, NetXError
from toolchain.netx import Cuba, Dense, NetworkDescription


@pytest.fixture
def description(networks) -> NetworkDescription:
    first = networks.conv((2, 9, 7), 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2)
    size = int(np.prod(first.shape))
    middle = networks.dense(size, 12, delay=networks.rng.integers(0, 5, (12, 1), dtype=np.int32))
    return NetworkDescription((2, 9, 7), (first, middle, networks.dense(12, 5, weight_rec=networks.weight(5, 5))))


@pytest.fixture
def spikes() -> np.ndarray:
    return (np.random.default_rng(1).random((11, 2, 9, 7, 20)) < 0.3).astype(np.uint8)


def test_scores_accumulate_spikes(description, spikes):
    run = Engine(description).run(spikes, keep=True)
    assert run.scores.shape == (11, 5, 20)
    assert run.scores.dtype == np.int64
    np.testing.assert_array_equal(run.scores, run.traces[-1].s.cumsum(axis=-1))
    assert run.scores.any()
    assert [trace.s.shape for trace in run.traces] == [(11, *layer.shape, 20) for layer in description.layers]
    assert [trace.u.dtype for trace in run.traces] == [np.int32] * 3
    np.testing.assert_array_equal(run.spikes, np.stack([t.s.reshape(11, -1).sum(axis=1) for t in run.traces], axis=1))
    voltages = Engine(description).run(spikes, readout="voltage")
    np.testing.assert_array_equal(voltages.scores, run.traces[-1].v)
    assert not voltages.traces


@pytest.mark.parametrize("readout", ["spikes", "voltage"])
def test_no_sample_and_no_step_sees_another(readout, description, spikes, monkeypatch):
    """Batches, chunks, order, threads and what comes later leave a sample's scores as they are."""
    net = Engine(description)
    whole = net.run(spikes, readout=readout, keep=True)
    for steps in (1, 7):
        np.testing.assert_array_equal(net.run(spikes[..., :steps], readout=readout).scores, whole.scores[..., :steps])
    single = np.concatenate([net.run(spikes[[i]], readout=readout).scores for i in range(11)])
    np.testing.assert_array_equal(single, whole.scores)
    monkeypatch.setattr(engine, "_CHUNK_VALUES", 1 << 13)
    chunked = net.run(spikes, readout=readout, keep=True)
    for name in ("scores", "spikes", "operations"):
        np.testing.assert_array_equal(getattr(chunked, name), getattr(whole, name))
    for ours, theirs in zip(chunked.traces, whole.traces, strict=True):
        assert ours.name == theirs.name
        for name in "uvs":
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: net.run(spikes[[i]], readout=readout).scores, range(11)))
    np.testing.assert_array_equal(np.concatenate(parts), whole.scores)


def test_run_scores(description, spikes):
    net, done = Engine(description), []
    scores = net.run_scores(11, lambda indices: spikes[indices], chunk=4, progress=done.append)
    np.testing.assert_array_equal(scores, net.run(spikes).scores)
    assert done == [4, 8, 11]
    assert net.run_scores(0, lambda indices: spikes[indices]).shape == (0, 5, 0)
    assert net.run(spikes[:0]).scores.shape == (0, 5, 20)


def test_operations_by_brute_force(description, spikes):
    """A layer whose weights are 1 where they were not 0 receives as many units as synapses were at work."""
    run = Engine(description).run(spikes, keep=True)
    fed = [spikes, *(trace.s for trace in run.traces)]
    for index, layer in enumerate(description.layers):
        ones = replace(layer, weight=(layer.weight != 0).astype(np.int32), neuron=Cuba(1 << 17, 4096, 4096))
        if isinstance(ones, Dense):
            ones = replace(ones, delay=None, weight_rec=None)
        alone = Engine(NetworkDescription(fed[index].shape[1:-1], (ones,))).run(fed[index], keep=True)
        expected = alone.traces[0].u.reshape(11, -1).sum(axis=1) >> 6
        if isinstance(layer, Dense) and layer.weight_rec is not None:
            reached = np.count_nonzero(layer.weight_rec, axis=0)
            expected = expected + np.einsum("nct,c->n", fed[index + 1][..., :-1], reached)
        np.testing.assert_array_equal(run.operations[:, index], expected)


def test_other_types_of_spikes(description, spikes):
    net = Engine(description)
    expected = net.run(spikes).scores
    for other in (spikes.astype(bool), spikes.astype(np.float32), spikes * np.int64(3), np.asfortranarray(spikes)):
        np.testing.assert_array_equal(net.run(other).scores, expected)


def test_refuses_what_does_not_fit(description, spikes):
    net = Engine(description)
    for wrong in (spikes[0], spikes[:, :1], spikes[..., :0], spikes.reshape(11, -1, 20)):
        with pytest.raises(DataError, match=r"takes \(N, 2, 9, 7, T\)"):
            net.run(wrong)
    with pytest.raises(NetXError, match="is fed"):
        Engine(replace(description, layers=description.layers[1:]))
