"""The engine's own promises; that it computes what Lava does is in test_equals_lava."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from aoi.cutoff.rule import decide
from aoi.cutoff.rules import ConfidenceRule, FixedRule, PatienceRule
from aoi.engine import Engine, engine, plan
from aoi.errors import DataError, NetXError
from aoi.netx import Cuba, Dense, NetworkDescription


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
    run = Engine(description).run(spikes, return_traces=True)
    assert run.scores.shape == (11, 5, 20)
    assert run.scores.dtype == np.int64
    np.testing.assert_array_equal(run.scores, run.traces[-1].s.cumsum(axis=-1))
    assert run.scores.any()
    assert [trace.s.shape for trace in run.traces] == [(11, *layer.shape, 20) for layer in description.layers]
    assert [trace.u.dtype for trace in run.traces] == [np.int32] * 3
    sent = np.stack([t.s.reshape(11, -1, 20).sum(axis=1) for t in run.traces], axis=1)
    np.testing.assert_array_equal(run.spikes, sent)
    voltages = Engine(description).run(spikes, readout="voltage")
    np.testing.assert_array_equal(voltages.scores, run.traces[-1].v)
    assert not voltages.traces


@pytest.mark.parametrize("readout", ["spikes", "voltage"])
def test_no_sample_and_no_step_sees_another(readout, description, spikes, monkeypatch):
    """Batches, chunks, order, threads and what comes later leave a sample's scores as they are."""
    net = Engine(description)
    whole = net.run(spikes, readout=readout, return_traces=True)
    for steps in (1, 7):
        np.testing.assert_array_equal(net.run(spikes[..., :steps], readout=readout).scores, whole.scores[..., :steps])
    single = np.concatenate([net.run(spikes[[i]], readout=readout).scores for i in range(11)])
    np.testing.assert_array_equal(single, whole.scores)
    monkeypatch.setattr(engine, "_BUFFER_EVENTS", 1 << 12)
    monkeypatch.setattr(engine, "_STRETCH_STEPS", 3)
    monkeypatch.setattr(plan, "_BLOCK_SUMS", 64)
    for threads in (1, 3):
        small = Engine(description, threads=threads)
        for return_traces in (False, True):
            cut = small.run(spikes, readout=readout, return_traces=return_traces)
            for name in ("scores", "spikes", "operations"):
                np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name))
    for ours, theirs in zip(cut.traces, whole.traces, strict=True):
        assert ours.name == theirs.name
        for name in "uvs":
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda i: net.run(spikes[[i]], readout=readout).scores, range(11)))
    np.testing.assert_array_equal(np.concatenate(parts), whole.scores)


def test_stream(description, spikes):
    net, done = Engine(description), []
    run = net.run_stream(11, lambda indices: spikes[indices], chunk=4, progress=done.append)
    whole = net.run(spikes)
    for name in ("scores", "spikes", "operations"):
        np.testing.assert_array_equal(getattr(run, name), getattr(whole, name))
    assert done == [4, 8, 11]
    assert not net.run_stream(0, lambda indices: spikes[indices]).scores.size
    assert net.run(spikes[:0]).scores.shape == (0, 5, 20)


@pytest.mark.parametrize(
    ("readout", "rule"),
    [
        ("spikes", ConfidenceRule(0.3, 0.2)),
        ("voltage", ConfidenceRule(0.4, 2e-4)),
        ("spikes", PatienceRule(3)),
        ("voltage", PatienceRule(3)),
        ("spikes", FixedRule(1)),
        ("spikes", ConfidenceRule(1.0, 0.3)),  # never stops
    ],
)
def test_stopping_in_the_batch_decides_as_looking_back_does(rule, readout, description, spikes):
    """Also counts what was spent until then, and no more."""
    net, done = Engine(description, threads=2), []
    whole = net.run(spikes, readout=readout)
    expected = decide(rule, whole.scores)
    if rule.threshold not in (FixedRule(1).threshold, 1.0):
        assert len(set(expected.step.tolist())) > 2, expected.step  # the question is a real one
    found = net.run_until(11, lambda indices: spikes[indices], rule, readout=readout, chunk=7, progress=done.append)
    assert done == [7, 11]
    np.testing.assert_array_equal(found.step, expected.step)
    np.testing.assert_array_equal(found.prediction, expected.prediction)
    for n, step in enumerate(expected.step):
        np.testing.assert_array_equal(found.scores[n], whole.scores[n, :, step - 1])
        np.testing.assert_array_equal(found.spikes[n], whole.spikes[n, :, :step].sum(axis=-1))
        np.testing.assert_array_equal(found.operations[n], whole.operations[n, :, :step].sum(axis=-1))


def test_step_by_step(description, spikes, tmp_path):
    """The same as whole runs, also after the state was saved in between and restored elsewhere."""
    biased = replace(description.layers[0], bias=np.array([3, -2, 40, 7], np.int32))
    description = replace(description, layers=(biased, *description.layers[1:]))
    net = Engine(description)
    whole = net.run(spikes, return_traces=True).traces[-1]
    state, other = net.start(11), Engine(description).start(11)
    for t in range(20):
        if t == 9:
            state.save(tmp_path / "state.npz")
            copy = state.copy()
            net.step(state, spikes[..., t])  # the copy stays behind
            other.restore(tmp_path / "state.npz")
            state = copy
        sent = net.step(state, spikes[..., t])
        np.testing.assert_array_equal(sent, whole.s[..., t])
        if t >= 9:
            np.testing.assert_array_equal(net.step(other, spikes[..., t], readout="voltage"), whole.v[..., t])


def test_refuses_a_state_of_another_network(description, tmp_path):
    net = Engine(description)
    net.start(2).save(tmp_path / "two.npz")
    with pytest.raises(DataError, match=r"layer 0: u is int32 \(2, .*this network's is int32 \(3, "):
        net.start(3).restore(tmp_path / "two.npz")
    whole = (tmp_path / "two.npz").read_bytes()
    for wrong in (b"no state", whole[: len(whole) // 2], whole[:300] + b"x" * 100 + whole[400:]):
        (tmp_path / "wrong.npz").write_bytes(wrong)
        with pytest.raises(DataError, match="is not the state of this network"):
            net.start(2).restore(tmp_path / "wrong.npz")
    with pytest.raises(DataError, match="no such file"):
        net.start(2).restore(tmp_path / "none.npz")
    with pytest.raises(DataError, match="spikes of 3 samples; the state holds 2"):
        net.step(net.start(2), np.zeros((3, 2, 9, 7)))


@pytest.mark.parametrize("rate", [0.0, 0.02, 0.45, 0.55, 0.98, 1.0])
@pytest.mark.parametrize("outputs", [1, 11, 31, 32, 45, 64])
@pytest.mark.parametrize("largest", [14, 62, 126, 254])
def test_dense_sums_at_any_activity(rate, outputs, largest, networks):
    """Rows summed by fours in 8 bits where they are small enough; silent ones subtracted where most spike."""
    rng = networks.rng
    size = rng.integers(1, largest // 2 + 1, 90) * 2  # of each row's weights
    weight = (rng.integers(-1, 2, (outputs, 90)) * size).astype(np.int32)
    weight[0, 0] = -256 if largest == 254 else largest
    layer = Dense("d", weight, Cuba(1 << 17, 4096, 4096))
    spikes = (rng.random((3, 90, 8)) < rate).astype(np.uint8)
    trace = Engine(NetworkDescription((90,), (layer,))).run(spikes, return_traces=True).traces[0]
    np.testing.assert_array_equal(trace.u, np.einsum("oi,nit->not", weight, spikes.astype(np.int64)) << 6)


@pytest.mark.parametrize(("inputs", "largest"), [(700, 256), (2600, 60)])
def test_dense_sums_of_more_rows_than_16_bits_hold(inputs, largest, networks):
    """In a network wider than a panel; the first columns go as far as they can."""
    weight = (networks.rng.integers(-largest // 2, largest // 2, (130, inputs)) * 2).astype(np.int32)
    weight[0], weight[1] = -largest, largest - 2
    layer = Dense("d", weight, Cuba(1 << 17, 4096, 4096))
    spikes = (networks.rng.random((2, inputs, 8)) < 0.45).astype(np.uint8)
    trace = Engine(NetworkDescription((inputs,), (layer,))).run(spikes, return_traces=True).traces[0]
    np.testing.assert_array_equal(trace.u, np.einsum("oi,nit->not", weight, spikes.astype(np.int64)) << 6)


def test_average_sums_groups_of_outputs(networks):
    layer = networks.dense(20, 12)
    spikes = (networks.rng.random((4, 20, 15)) < 0.4).astype(np.uint8)
    plain = Engine(NetworkDescription((20,), (layer,))).run(spikes)
    grouped = Engine(NetworkDescription((20,), (layer,), average=3)).run(spikes)
    assert plain.scores.any()
    np.testing.assert_array_equal(grouped.scores, plain.scores.reshape(4, 3, 4, 15).sum(axis=2))


def test_parameters_a_channel(networks):
    """As the same channels, each in a network of its own."""
    layer = networks.conv((2, 6, 5), 3, (3, 3), padding=(1, 1))
    cuba = Cuba(np.array([40, 90, 10], np.int32), np.array([0, 500, 4096], np.int32), np.array([4096, 30, 0], np.int32))
    spikes = (networks.rng.random((2, 2, 6, 5, 12)) < 0.3).astype(np.uint8)
    whole = (
        Engine(NetworkDescription((2, 6, 5), (replace(layer, neuron=cuba),))).run(spikes, return_traces=True).traces[0]
    )
    assert whole.s.any()
    for channel in range(3):
        one = Cuba(*(int(each[channel]) for each in (cuba.threshold, cuba.current_decay, cuba.voltage_decay)))
        single = replace(layer, weight=layer.weight[[channel]], neuron=one)
        alone = Engine(NetworkDescription((2, 6, 5), (single,))).run(spikes, return_traces=True).traces[0]
        for name in "uvs":
            np.testing.assert_array_equal(getattr(whole, name)[:, channel], getattr(alone, name)[:, 0])


def test_operations_by_brute_force(description, spikes):
    """A layer whose weights are 1 where they were not 0 receives as many units as synapses were at work."""
    run = Engine(description).run(spikes, return_traces=True)
    fed = [spikes, *(trace.s for trace in run.traces)]
    for index, layer in enumerate(description.layers):
        ones = replace(layer, weight=(layer.weight != 0).astype(np.int32), neuron=Cuba(1 << 17, 4096, 4096))
        if isinstance(ones, Dense):
            ones = replace(ones, delay=None, weight_rec=None)
        alone = Engine(NetworkDescription(fed[index].shape[1:-1], (ones,))).run(fed[index], return_traces=True)
        expected = alone.traces[0].u.reshape(11, -1).sum(axis=1) >> 6
        if isinstance(layer, Dense) and layer.weight_rec is not None:
            reached = np.count_nonzero(layer.weight_rec, axis=0)
            expected = expected + np.einsum("nct,c->n", fed[index + 1][..., :-1], reached)
        np.testing.assert_array_equal(run.operations[:, index].sum(axis=-1), expected)


def test_a_long_stream_holds_no_traces(networks):
    """What is not kept takes no memory, however many samples are to come."""
    wide = networks.conv((2, 128, 128), 16, (3, 3), padding=(1, 1))
    net = Engine(NetworkDescription((2, 128, 128), (wide, networks.dense(16 * 128 * 128, 3))))

    def batch(indices):
        raise InterruptedError  # nothing was asked for before: all that is kept is there

    with pytest.raises(InterruptedError):
        net.run_stream(10**9, batch)
    run = net._empty_run(10**5, 32, return_traces=False)
    assert run.scores.nbytes + run.spikes.nbytes + run.operations.nbytes < 200e6
    assert not run.traces


def test_refuses_batches_that_change(description, spikes):
    net, rule = Engine(description), FixedRule(30)

    def fewer(indices):
        return spikes[indices][:-1]

    def shorter(indices):
        return spikes[indices][..., : 20 - 5 * (indices[0] > 0)]

    for wrong, words in (
        (fewer, r"samples 0 to 3: the batch has shape \(3, .*not \(4, "),
        (shorter, r"\(4, 2, 9, 7, 15\), not"),
    ):
        with pytest.raises(DataError, match=words):
            net.run_stream(11, wrong, chunk=4)
        with pytest.raises(DataError, match=words):
            net.run_until(11, wrong, rule, chunk=4)
    with pytest.raises(DataError, match="threads = -1"):
        Engine(description, threads=-1)


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
