"""Training: one loop for every method, and what it needs to stop and go on."""
