"""How far two clouds of points overlap, in numbers and in the plane (t-SNE)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

NEIGHBOURS = 10
FOLDS = 5
PERPLEXITY = 30.0
_SEED = 0
_Z = 1.96


@dataclass(frozen=True)
class Share:
    """A share of points with its 95 % interval (Wilson 1927)."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """In percent."""
        return f"{self.value:.0%} [{self.low:.0%}, {self.high:.0%}]"


@dataclass(frozen=True)
class Overlap:
    """Two clouds seen together.

    Attributes:
        plane: (n_a + n_b, 2) t-SNE embedding, the first cloud's points first.
        accuracy: of a classifier that tells the clouds apart on points it was not trained on
            (Lopez-Paz and Oquab, ICLR 2017): 50 % where they cannot be told apart.
        mixing: of the :data:`NEIGHBOURS` nearest points of each, those of the other cloud: 50 %
            where two equally large clouds are one.
    """

    plane: np.ndarray
    accuracy: Share
    mixing: Share


def overlap(a: np.ndarray, b: np.ndarray) -> Overlap:
    """Compare two equally large clouds.

    Args:
        a: (n, d) float.
        b: (n, d) float.
    """
    from sklearn.manifold import TSNE

    together = np.concatenate([a, b]).astype(np.float32)
    sides = np.repeat([0, 1], [len(a), len(b)])
    perplexity = min(PERPLEXITY, (len(together) - 1) / 3)
    plane = TSNE(
        perplexity=perplexity, init="pca", learning_rate="auto", random_state=_SEED
    ).fit_transform(together)
    return Overlap(plane, _accuracy(together, sides), _mixing(together, sides))


def _accuracy(points: np.ndarray, sides: np.ndarray) -> Share:
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.neighbors import KNeighborsClassifier

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=_SEED)
    # An odd number of neighbours has no ties.
    classifier = KNeighborsClassifier(NEIGHBOURS + 1)
    predicted = cross_val_predict(classifier, points, sides, cv=folds)
    return wilson(int((predicted == sides).sum()), len(sides))


def _mixing(points: np.ndarray, sides: np.ndarray) -> Share:
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(points).kneighbors(return_distance=False)
    other = sides[nearest] != sides[:, None]
    # Neighbours of one point are not independent of each other: points are what is counted.
    return wilson(float(other.mean() * len(points)), len(points))


def wilson(count: float, n: int) -> Share:
    """Share of ``count`` in ``n`` with its 95 % score interval (Wilson 1927)."""
    share = count / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Share(share, centre - half, centre + half)
