"""When a run could have stopped: by hand, and against a plain loop."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aoi.evaluation.oracle import earliest_correct, optimal_cutoff
from tests.evaluation.streams import streams


def one_hot(answers: list[list[int]]) -> np.ndarray:
    """Predictions (samples, T) → scores (samples, 3, T)."""
    return np.moveaxis(np.eye(3, dtype=np.int64)[np.array(answers)], -1, 1)


def test_by_hand() -> None:
    scores = one_hot([[1, 1, 1, 1], [0, 1, 0, 1], [1, 0, 0, 0], [0, 2, 1, 1], [1, 1, 1, 0], [2, 0, 2, 2]])
    labels = np.ones(6, dtype=np.int64)
    assert optimal_cutoff(scores, labels).tolist() == [1, 4, 4, 3, 4, 4]
    assert earliest_correct(scores, labels).tolist() == [1, 2, 1, 3, 1, 4]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_definitions_as_loops(seed: int, steps: int) -> None:
    generator = np.random.default_rng(seed)
    answers = generator.integers(0, 3, (20, steps))
    labels = generator.integers(0, 3, 20)
    scores = one_hot(answers.tolist())
    for answer, label, best, first in zip(
        answers, labels, optimal_cutoff(scores, labels), earliest_correct(scores, labels), strict=True
    ):
        stays = [t for t in range(1, steps + 1) if (answer[t - 1 :] == label).all()]
        hits = [t for t in range(1, steps + 1) if answer[t - 1] == label]
        assert best == (stays[0] if stays else steps)
        assert first == (hits[0] if hits else steps)


def test_stopping_at_the_optimal_cutoff_costs_nothing_and_a_step_before_it_does() -> None:
    scores, labels = streams()
    best = optimal_cutoff(scores, labels)
    rows = np.arange(len(labels))
    answers = scores.argmax(axis=1)
    right = answers[rows, best - 1] == labels
    assert (right == (answers[:, -1] == labels)).all()
    earlier = best[right] > 1
    assert earlier.sum() > 20
    before = answers[rows[right][earlier], best[right][earlier] - 2]
    assert (before != labels[right][earlier]).all()
    assert earliest_correct(scores, labels).mean() < best.mean() < scores.shape[-1]
