"""Fréchet distance of Gaussians (Heusel et al., NeurIPS 2017), and how they are fitted."""

import math
from dataclasses import dataclass
from functools import cached_property

import scipy.linalg
import torch


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and unbiased covariance (d, d) of features, float64, on the features' device."""

    mean: torch.Tensor
    covariance: torch.Tensor

    @cached_property
    def root(self) -> torch.Tensor:
        """A matrix R (d, d) with R R^T = covariance."""
        try:
            values, vectors = torch.linalg.eigh(self.covariance)
        except RuntimeError:
            # LAPACK's fastest drivers fail on some matrices with hundreds of eigenvalues that are 0
            # except for rounding. Its slower drivers do not, here and below.
            found = scipy.linalg.eigh(self.covariance.cpu().numpy(), driver="evr")
            values, vectors = (torch.from_numpy(each).to(self.mean.device) for each in found)
        # Roots of what rounding has left would be far larger than itself.
        rounding = len(values) * torch.finfo(torch.float64).eps * values[-1].clamp(min=0)
        return vectors * values.where(values > rounding, 0.0).sqrt()


def fit(features: torch.Tensor) -> Gaussian:
    """Mean and covariance of features (n, d), n > 1, of any float type."""
    count = len(features)
    rows = features.double()
    offset = rows.mean(dim=0)
    centred = rows - offset
    # What rounding has left of the mean.
    rest = centred.sum(dim=0) / count
    covariance = (centred.T @ centred - torch.outer(rest, rest) * count) / (count - 1)
    return Gaussian(offset + rest, covariance)


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A^1/2 B A^1/2)^1/2), at least 0.

    The trace of the root is computed as the sum of the singular values of A^1/2 B^1/2. Unlike the
    square roots of a product's eigenvalues, it is exact to rounding for rank-deficient covariances
    (fewer samples than dimensions), too. Both Gaussians are on one device.

    Raises:
        ArithmeticError: it is not a number.
    """
    difference = a.mean - b.mean
    product = a.root.T @ b.root
    try:
        values = torch.linalg.svdvals(product)
    except RuntimeError:
        found = scipy.linalg.svd(product.cpu().numpy(), compute_uv=False, lapack_driver="gesvd")
        values = torch.from_numpy(found).to(product.device)
    traces = a.covariance.trace() + b.covariance.trace()
    distance = (difference @ difference + traces - 2 * values.sum()).item()
    if math.isnan(distance):
        raise ArithmeticError("the Fréchet distance is not a number")
    return max(0.0, distance)
