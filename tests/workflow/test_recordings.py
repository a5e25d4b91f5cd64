"""aoi.open_data: names, folders and arrays, and recordings that do not fit a network."""

from __future__ import annotations

import numpy as np
import pytest

import aoi
from aoi.workflow.network import Network
from aoi.workflow.recordings import Recordings


@pytest.fixture(scope="module")
def net() -> Network:
    return aoi.load("zoo:digits")


@pytest.fixture(scope="module")
def data(net: Network) -> Recordings:
    return aoi.open_data("digits", net, samples=30)


def test_recordings_one_by_one_and_in_batches(data: Recordings) -> None:
    assert len(data) == 30 == len(list(data))
    assert data[0].shape == (2, 16, 16, 24)
    np.testing.assert_array_equal(data[-1], data.batch([29])[0])
    with pytest.raises(IndexError):
        data[30]
    assert "30 of digits, split test" in repr(data)
    assert len(data.subset([1, 2])) == 2


def test_arrays_give_the_same_as_names(net: Network, data: Recordings) -> None:
    """The same spikes as an array, also flattened, give the same numbers."""
    spikes = data.batch(range(30))
    wanted = aoi.evaluate(net, data).to_dict()
    for array in (spikes, spikes.astype(bool), spikes.reshape(30, -1, 24), spikes.astype(np.float32)):
        given = aoi.open_data(array, net, labels=data.labels)
        found = aoi.evaluate(net, given).to_dict()
        assert {key for key in wanted if wanted[key] != found[key]} == set()
    assert given.source is None
    assert len(aoi.open_data(spikes, net, labels=data.labels, samples=7)) == 7


def test_case_of_the_split_does_not_matter(net: Network) -> None:
    assert aoi.open_data("digits", net, split="Calibration", samples=3).split == "calibration"
    with pytest.raises(aoi.DataError, match=r"best.*train.*test"):
        aoi.open_data("digits", net, split="best")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[..., :-1], "23 timesteps; digits.net takes 24"),
        (lambda x: x[:, :, 1:], r"takes \(N, 2, 16, 16, 24\)"),
        (lambda x: 2 * x, "other than 0 and 1"),
        (lambda x: x[:0], r"takes \(N"),
        (lambda x: x.astype("U1"), "type"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(net: Network, data: Recordings, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(aoi.DataError, match=message):
        aoi.open_data(change(data.batch(range(4))), net, labels=[0, 1, 2, 3])


@pytest.mark.parametrize("labels", [None, [1, 2], [0, 1, 2, 10], [0, 1, -1, 3], [0.5, 1, 2, 3]])
def test_labels_that_do_not_fit_are_refused(net: Network, data: Recordings, labels) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(aoi.DataError, match="labels"):
        aoi.open_data(data.batch(range(4)), net, labels=labels)


def test_labels_belong_to_arrays(net: Network) -> None:
    with pytest.raises(aoi.DataError, match="labels: only for spikes in an array"):
        aoi.open_data("digits", net, labels=[1])
