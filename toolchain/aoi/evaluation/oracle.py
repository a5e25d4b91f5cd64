"""What no rule can know: when a run could have stopped, seen by someone who knows the label."""

from __future__ import annotations

import numpy as np

from aoi.evaluation.anytime import correct_at


def optimal_cutoff(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Optimal cutoff timestep (OCT) of each sample: the earliest step from which the answer stays right until T.

    ``scores`` (samples, classes, T), ``labels`` (samples,) → int64 (samples,), 1..T. A sample that is wrong at T has
    the OCT T, since no cutoff keeps an answer that full inference does not have; so the accuracy at the OCT is that at
    T, and the mean OCT is the fewest steps that a rule needs which never stops where the answer would still turn.
    This is what the authors' toolbox SNNCutoff computes, with the label, not with the answer at T, as the reference
    (Wu et al., arXiv 2301.09522 and 2405.00699).
    """
    lost = ~correct_at(scores, labels)
    steps = lost.shape[1]
    last_wrong = np.where(lost.any(axis=1), steps - lost[:, ::-1].argmax(axis=1), 0)  # as a step, 0: never wrong
    return np.minimum(last_wrong + 1, steps)


def earliest_correct(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first step with the right answer, whether it stays or not; T where there is none.

    ``scores`` (samples, classes, T), ``labels`` (samples,) → int64 (samples,), 1..T. Its mean, the average earliest
    time, bounds every rule's mean decision step at this accuracy from below: some of these answers are lucky.
    """
    right = correct_at(scores, labels)
    return np.where(right.any(axis=1), right.argmax(axis=1) + 1, right.shape[1])
