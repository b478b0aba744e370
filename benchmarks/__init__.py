"""What is simulated or measured, speed by ratios in one run: ``python -m benchmarks.NAME``."""
