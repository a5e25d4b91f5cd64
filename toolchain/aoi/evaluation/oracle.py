"""Bounds that no rule can know: when each run could have stopped, given its label."""

from __future__ import annotations

import numpy as np

from aoi.evaluation.anytime import correct_at


def optimal_cutoff(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Optimal cutoff timestep (OCT) of each sample: the earliest step from which it stays correct until T.

    ``scores`` (samples, classes, T), ``labels`` int (samples,) → int64 (samples,), 1..T. A sample that is wrong at T
    has the OCT T. So the accuracy at the OCT is that at T, and the mean OCT is the fewest steps of any rule that never
    stops before the last change of a prediction. As in the authors' toolbox SNNCutoff, the reference is the label, not
    the prediction at T (Wu et al., arXiv 2301.09522 and 2405.00699).
    """
    wrong = ~correct_at(scores, labels)
    steps = wrong.shape[1]
    last_wrong = np.where(wrong.any(axis=1), steps - wrong[:, ::-1].argmax(axis=1), 0)  # a step from 1; 0: never wrong
    return np.minimum(last_wrong + 1, steps)


def earliest_correct(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The first step with a correct prediction, whether it lasts or not; T if there is none.

    ``scores`` (samples, classes, T), ``labels`` int (samples,) → int64 (samples,), 1..T. Its mean, the average earliest
    time, is a lower bound of every rule's mean decision step at this accuracy; some of these predictions are luck.
    """
    correct = correct_at(scores, labels)
    return np.where(correct.any(axis=1), correct.argmax(axis=1) + 1, correct.shape[1])
