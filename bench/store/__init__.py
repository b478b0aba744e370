"""Runs on disk: identity, records, housekeeping, event files."""
