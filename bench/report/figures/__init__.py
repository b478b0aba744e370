"""Figures of cached runs."""
