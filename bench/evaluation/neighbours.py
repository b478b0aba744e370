"""What nearest neighbours in features tell of samples: realism, lost modes, copies.

Distances are Euclidean, in float64; only candidates for the nearest are sought in float32.
"""

from collections.abc import Iterator

import torch

from bench.data.images import spread

# This many rows of a matrix of distances are in memory at once, or fewer where they are long.
_ROWS, _NUMBERS = 1_000, 2**25
# Float32 finds so many candidates, float64 the nearest of them. Products in float32 are off by less
# than this share of the lengths of their factors, times the root of the number of features.
_CANDIDATES, _ROUNDING = 8, 8 * torch.finfo(torch.float32).eps
# Naeem et al. choose five.
_COVERED_BY = 5


def nearest_neighbours(real: torch.Tensor, samples: torch.Tensor) -> dict[str, float]:
    """Leave-one-out accuracy of a one-nearest-neighbour classifier, for each of the two sets.

    Where both sets come from one distribution, both shares are near 0.5. Their mean would hide
    blurred samples: these lie near everything, so that real images and samples both have samples as
    neighbours, and the mean is 0.5 again. Copies of the real images bring both shares to 0, unless
    real images repeat each other, since ties go to the real image. One image that is repeated
    brings both to 1. (Xu et al., "An empirical study on evaluation metrics of generative
    adversarial networks", 2018.)

    The larger set of features is thinned evenly: by its size alone it would have more neighbours.

    Returns:
        ``real``, the share of real images whose nearest other image is real, and ``samples``, the
        share of samples whose nearest other image is a sample; in [0, 1].
    """
    count = min(len(real), len(samples))
    real, samples = (each[spread(len(each), count).to(each.device)] for each in (real, samples))
    itself = torch.arange(count, device=real.device)
    is_real = _nearest(real, real, 1, itself) <= _nearest(real, samples, 1)
    is_sample = _nearest(samples, samples, 1, itself) < _nearest(samples, real, 1)
    return {"real": is_real.double().mean().item(), "samples": is_sample.double().mean().item()}


def radii(real: torch.Tensor) -> torch.Tensor:
    """Squared distance (n,) of each real image from its fifth nearest other, or the farthest."""
    k = min(_COVERED_BY, len(real) - 1)
    itself = torch.arange(len(real), device=real.device)
    return torch.cat([part.kthvalue(k, dim=1).values for part in _squares(real, real, itself)])


def coverage(real: torch.Tensor, real_radii: torch.Tensor, samples: torch.Tensor) -> float:
    """Share of real images that have a sample within their five nearest other real images.

    Features are (n, dimensions) of real images and (m, dimensions) of samples; ``real_radii`` (n,)
    are the squared distances of :func:`radii`.

    It falls where modes are lost, and counts no mode twice. As many samples of the real images' own
    distribution cover 1 - 1/2^5 = 0.97 of them. (Naeem et al., "Reliable fidelity and diversity
    metrics for generative models", 2020, equation 8.)
    """
    nearest = torch.cat([part.amin(dim=1) for part in _squares(real, samples)])
    return (nearest < real_radii).double().mean().item()


def nearest_ratio(images: torch.Tensor, training: torch.Tensor) -> torch.Tensor:
    """Distance (n,) of each image from its nearest training image over that from the second.

    Near 1 for a new image, whether it lies among many or few; 0 for a copy. There are at
    least two training images.
    """
    first, second = _nearest(images, training, 2).T
    # Two that are equally near, copies of each other too, single out neither.
    return torch.where(second > 0, first / second, 1.0)


def _nearest(
    rows: torch.Tensor, others: torch.Tensor, count: int, itself: torch.Tensor | None = None
) -> torch.Tensor:
    """Distances (n, count) of each row from the nearest of others, rising; float64.

    A row's own place among the others is left out.
    """
    points, offset = _centred(others)
    norms = points.square().sum(dim=1)
    points = points.float()
    farthest = norms.max().sqrt()
    among = min(_CANDIDATES, len(others) - (itself is not None))
    found = []
    for start in range(0, len(rows), _rows_at_once(others)):
        part = rows[start : start + _rows_at_once(others)]
        own = None if itself is None else itself[start : start + len(part)]
        centred = (part.double() - offset).float()
        squares = torch.addmm(norms.float()[None], centred, points.T, alpha=-2)
        if own is not None:
            squares.scatter_(1, own[:, None], torch.inf)
        values, places = squares.topk(among, dim=1, largest=False)
        distances = _distances(part, others[places], count)
        # Where rounding could hide a nearer one, all are looked at in float64.
        norm = centred.double().norm(dim=1)
        rounding = _ROUNDING * points.shape[1] ** 0.5 * farthest * (farthest + norm)
        unsure = ~(values[:, -1] + norm.square() - rounding > distances[:, -1].square())
        if among == _CANDIDATES and unsure.any():
            exact = _squares(part[unsure], others, None if own is None else own[unsure])
            places = torch.cat([each.topk(among, dim=1, largest=False).indices for each in exact])
            distances[unsure] = _distances(part[unsure], others[places], count)
        found.append(distances)
    return torch.cat(found)


def _distances(rows: torch.Tensor, candidates: torch.Tensor, count: int) -> torch.Tensor:
    """The smallest distances of rows (n, d) from candidates (n, k, d), rising."""
    # The differences themselves: products lose what a copy's distance differs from zero by.
    apart = (candidates.double() - rows[:, None].double()).norm(dim=2)
    return apart.sort(dim=1).values[:, :count]


def _centred(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Points minus their mean, in float64, and the mean.

    Centring changes no distance, and loses fewer digits in the products.
    """
    offset = points.double().mean(dim=0)
    return points.double() - offset, offset


def _rows_at_once(others: torch.Tensor) -> int:
    return max(1, min(_ROWS, _NUMBERS // len(others)))


def _squares(
    rows: torch.Tensor, others: torch.Tensor, itself: torch.Tensor | None = None
) -> Iterator[torch.Tensor]:
    """Squared distances of some rows at a time from all others, but for a row's own place."""
    points, offset = _centred(others)
    norms = points.square().sum(dim=1)
    for start in range(0, len(rows), _rows_at_once(others)):
        part = rows[start : start + _rows_at_once(others)].double() - offset
        squares = part.square().sum(dim=1)[:, None] + norms[None] - 2 * part @ points.T
        if itself is not None:
            squares.scatter_(1, itself[start : start + len(part), None], torch.inf)
        yield squares
