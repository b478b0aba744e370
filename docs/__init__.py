"""The documents, and what writes their tables."""
