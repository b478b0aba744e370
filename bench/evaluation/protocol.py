"""Numbers and names on which measurements, plans, tables and figures must agree."""

# A direction of the latent space counts towards the rank if its variance is above this share of
# the largest.
RANK_THRESHOLD = 1e-3

# Each sampler's number of mixture components.
COMPONENTS = {"gmm10": 10, "gmm4": 4, "mvg": 1}


def components(sampler: str, codes: int) -> int:
    """Number of components of a sampler's mixture: at most half the number of codes."""
    return min(COMPONENTS[sampler], codes // 2)


# Walks go this many standard deviations to either side of the mean code.
WALK_DEVIATIONS = 3.0
