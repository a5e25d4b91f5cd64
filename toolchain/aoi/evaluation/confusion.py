"""Confusion matrix."""

from __future__ import annotations

import numpy as np


def confusion_matrix(labels: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Number of samples of class ``row`` predicted as class ``column``, int64 (classes, columns).

    ``labels`` and ``prediction``: int (samples,). There are as many columns as classes, or more if a network has more
    outputs than classes and predicted one of those.
    """
    columns = max(classes, int(prediction.max(initial=-1)) + 1)
    return np.bincount(labels * columns + prediction, minlength=classes * columns).reshape(classes, columns)
