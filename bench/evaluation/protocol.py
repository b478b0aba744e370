"""Numbers of the measuring protocol that what measures and what prints must agree on."""

from __future__ import annotations

# A direction of the latent space counts towards the rank if its variance is above this share of
# the largest.
RANK_THRESHOLD = 1e-3

# Of the two numbers for how samples lie among test images, see bench.evaluation.overlap.
NEIGHBOURS = 10
FOLDS = 5

# Walks go this many standard deviations to either side of the mean code.
WALK_DEVIATIONS = 3.0
