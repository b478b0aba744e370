"""Benchmark suite for the supplement of *Implicit Rank-Minimizing Autoencoder* (NeurIPS 2020)."""

__version__ = "0.3.0.dev0"
