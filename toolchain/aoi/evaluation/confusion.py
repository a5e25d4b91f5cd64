"""Which classes are taken for which."""

from __future__ import annotations

import numpy as np


def confusion_matrix(labels: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """int64 (classes, columns): how many samples of class row were taken for class column.

    ``labels`` and ``prediction`` int (samples,). There are as many columns as classes, or more where a network has
    outputs beyond them and answered with one.
    """
    columns = max(classes, int(prediction.max(initial=-1)) + 1)
    return np.bincount(labels * columns + prediction, minlength=classes * columns).reshape(classes, columns)
