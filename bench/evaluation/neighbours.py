"""What nearest neighbours in features tell of samples: realism, lost modes, copies.

Distances are Euclidean, in float64; only candidates for the nearest are sought in float32.
"""

from collections.abc import Iterator

import torch

from bench.data.images import spread

# This many rows of a matrix of distances are in memory at once, or fewer where they are long.
_ROWS, _NUMBERS = 1_000, 2**25
# So many training images that are nearest in float32 are looked at in float64. Its products are
# off by less than so many times the root of their length.
_CANDIDATES, _ROUNDING = 8, 8 * torch.finfo(torch.float32).eps
# Naeem et al. choose five.
_COVERED_BY = 5


def nearest_neighbours(real: torch.Tensor, samples: torch.Tensor) -> dict[str, float]:
    """Leave-one-out accuracy of a one-nearest-neighbour classifier, for each of the two sets.

    Where both sets come from one distribution, both shares are near 0.5. Their mean would hide
    blurred samples: these lie near everything, so that real images and samples both have samples as
    neighbours, and the mean is 0.5 again. Copies of the real images bring both shares to 0,
    unless these repeat each other: of equal distances a real image's counts. One image that is
    repeated brings both to 1. (Xu et al., "An empirical study on evaluation metrics
    of generative adversarial networks", 2018.)

    Of the larger set of features a subset is used that is spread over it, since more points would
    lie nearer.

    Returns:
        ``real``, the share of real images whose nearest other image is real, and ``samples``, the
        share of samples whose nearest other image is a sample; in [0, 1].
    """
    count = min(len(real), len(samples))
    subsets = [each[spread(len(each), count).to(each.device)] for each in (real, samples)]
    together = torch.cat(subsets)
    nearest = torch.cat([part.argmin(dim=1) for part in _squares(together)])
    is_real = nearest < count
    return {
        "real": is_real[:count].double().mean().item(),
        "samples": (~is_real[count:]).double().mean().item(),
    }


def radii(real: torch.Tensor) -> torch.Tensor:
    """Squared distance (n,) of each real image from its fifth nearest other, or the farthest."""
    k = min(_COVERED_BY, len(real) - 1)
    return torch.cat([part.kthvalue(k, dim=1).values for part in _squares(real)])


def coverage(real: torch.Tensor, real_radii: torch.Tensor, samples: torch.Tensor) -> float:
    """Share of real images that have a sample within their five nearest other real images.

    It falls where modes are lost, and counts no mode twice. As many samples of the real images' own
    distribution cover 1 - 1/2^5 = 0.97 of them. (Naeem et al., "Reliable fidelity and diversity
    metrics for generative models", 2020, equation 8.)
    """
    nearest = torch.cat([part.amin(dim=1) for part in _squares(real, samples)])
    return (nearest < real_radii).double().mean().item()


def nearest_ratio(images: torch.Tensor, training: torch.Tensor) -> torch.Tensor:
    """Distance (n,) of each image from its nearest training image over that from the second.

    Near 1 for an image of its own, whether it lies among many or few; 0 for a copy.
    """
    offset = training.double().mean(dim=0)
    points = (training.double() - offset).float()
    norms = points.double().square().sum(dim=1)
    farthest = norms.max().sqrt()
    ratios = []
    for rows in images.split(_rows_at_once(training)):
        centred = (rows.double() - offset).float()
        squares = torch.addmm(norms.float()[None], centred, points.T, alpha=-2)
        found = squares.topk(min(_CANDIDATES, len(points)), dim=1, largest=False)
        two = _two_nearest(rows, training, found.indices)
        # Where rounding could hide a nearer one, all are looked at in float64.
        norm = centred.double().norm(dim=1)
        rounding = _ROUNDING * points.shape[1] ** 0.5 * farthest * (farthest + norm)
        unsure = found.values[:, -1] + norm.square() - rounding < two[:, 1].square()
        if unsure.any() and len(points) > _CANDIDATES:
            nearest = [
                part.topk(2, largest=False).indices for part in _squares(rows[unsure], training)
            ]
            two[unsure] = _two_nearest(rows[unsure], training, torch.cat(nearest))
        # Two that are equally near, copies of each other too, single out neither.
        ratios.append(torch.where(two[:, 1] > 0, two[:, 0] / two[:, 1], 1.0))
    return torch.cat(ratios)


def _two_nearest(
    rows: torch.Tensor, training: torch.Tensor, candidates: torch.Tensor
) -> torch.Tensor:
    """The two smallest distances (n, 2), rising, of rows from their candidates (n, k)."""
    # The differences themselves: products lose what a copy's distance differs from zero by.
    apart = training[candidates].double() - rows[:, None].double()
    return apart.norm(dim=2).sort(dim=1).values[:, :2]


def _rows_at_once(others: torch.Tensor) -> int:
    return max(1, min(_ROWS, _NUMBERS // len(others)))


def _squares(rows: torch.Tensor, others: torch.Tensor | None = None) -> Iterator[torch.Tensor]:
    """Squared distances of some rows at a time from all others; from all the rest if none are."""
    points = rows if others is None else others
    # Centring changes no distance, and loses fewer digits in the products.
    offset = points.double().mean(dim=0)
    points = points.double() - offset
    norms = points.square().sum(dim=1)
    count = _rows_at_once(points)
    for start in range(0, len(rows), count):
        part = rows[start : start + count].double() - offset
        squares = part.square().sum(dim=1)[:, None] + norms[None] - 2 * part @ points.T
        if others is None:
            squares[torch.arange(len(part)), torch.arange(start, start + len(part))] = torch.inf
        yield squares
