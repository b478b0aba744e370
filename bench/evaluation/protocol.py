"""Numbers of the measuring protocol that what measures and what prints must agree on."""

from __future__ import annotations

# A direction of the latent space counts towards the rank if its variance is above this share of
# the largest.
RANK_THRESHOLD = 1e-3

# Walks go this many standard deviations to either side of the mean code.
WALK_DEVIATIONS = 3.0
