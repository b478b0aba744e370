"""Numbers of the measuring protocol that what measures and what prints must agree on."""

from __future__ import annotations

# A direction of the latent space counts towards the rank if its variance is above this share of
# the largest.
RANK_THRESHOLD = 1e-3

# A run that has not learned: its test error is not below this share of the mean image's.
LEARNED_SHARE = 0.9

# Walks go this many standard deviations to either side of the mean code.
WALK_DEVIATIONS = 3.0
