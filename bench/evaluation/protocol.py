"""Numbers of the measuring protocol that what measures and what prints must agree on."""

from __future__ import annotations

# A direction of the latent space counts towards the rank if its variance is above this share of
# the largest.
RANK_THRESHOLD = 1e-3

# Components of the mixtures that are fitted to codes, by sampler.
COMPONENTS = {"gmm10": 10, "gmm4": 4, "mvg": 1}


def components(sampler: str, codes: int) -> int:
    """Components of a mixture that is fitted to so many codes: no more than half of them."""
    return min(COMPONENTS[sampler], codes // 2)


# Walks go this many standard deviations to either side of the mean code.
WALK_DEVIATIONS = 3.0
