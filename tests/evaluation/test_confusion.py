"""The confusion matrix against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from aoi.evaluation.confusion import confusion_matrix


@pytest.mark.parametrize("classes", [2, 7])
def test_equals_scikit_learn(classes: int) -> None:
    generator = np.random.default_rng(classes)
    labels, prediction = generator.integers(0, classes, (2, 500))
    found = confusion_matrix(labels, prediction, classes)
    assert (found == metrics.confusion_matrix(labels, prediction, labels=range(classes))).all()
    assert np.trace(found) / found.sum() == (labels == prediction).mean()


def test_classes_that_do_not_occur_and_outputs_beyond_the_classes() -> None:
    found = confusion_matrix(np.array([0, 0, 2]), np.array([0, 4, 2]), 3)
    assert found.tolist() == [[1, 0, 0, 0, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]]
