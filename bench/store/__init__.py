"""Runs on disk: identity, records, folders, housekeeping."""
