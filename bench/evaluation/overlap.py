"""How far two clouds of points overlap: whether they can be told apart, and how they mix."""

from __future__ import annotations

from math import ceil

import numpy as np
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from bench.evaluation.protocol import FOLDS, NEIGHBOURS


def overlap(a: np.ndarray, b: np.ndarray) -> dict[str, float]:
    """Compare two equally large clouds.

    Args:
        a: (n, d) float, n at least 2.
        b: (n, d) float.

    Returns:
        ``accuracy`` of nearest neighbours that tell the clouds apart on points they were not
        fitted to (Lopez-Paz and Oquab, ICLR 2017), 0.5 where nothing does; ``mixing``, the share
        of the nearest points of each that are of the other cloud, 0.5 where the two are one;
        ``points``, the number 2 n behind both.
    """
    together = np.concatenate([a, b]).astype(np.float32)
    sides = np.repeat([0, 1], [len(a), len(b)])
    return {
        "accuracy": _accuracy(together, sides),
        "mixing": _mixing(together, sides),
        "points": len(together),
    }


def _accuracy(points: np.ndarray, sides: np.ndarray) -> float:
    each = len(points) // 2
    folds = min(FOLDS, each)
    fitted = 2 * (each - ceil(each / folds))
    # An odd number of neighbours has no ties.
    classifier = KNeighborsClassifier(min(NEIGHBOURS + 1, fitted - 1))
    split = StratifiedKFold(folds, shuffle=True, random_state=0)
    return float((cross_val_predict(classifier, points, sides, cv=split) == sides).mean())


def _mixing(points: np.ndarray, sides: np.ndarray) -> float:
    search = NearestNeighbors(n_neighbors=min(NEIGHBOURS, len(points) - 1)).fit(points)
    nearest = search.kneighbors(return_distance=False)
    return float((sides[nearest] != sides[:, None]).mean())
