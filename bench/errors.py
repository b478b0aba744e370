"""Errors that a user can act on; the command line prints them as one line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Something outside the code is wrong: a file, the network, the machine. Exit status 1."""

    status = 1


class UsageError(BenchError):
    """The request itself is wrong. Exit status 2."""

    status = 2


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for an unknown name, which names the nearest known ones.

    Args:
        what: kind of thing that was named, for the message (``"method"``).
        name: the name that is not known.
        known: every name that would have been accepted.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {what} {name!r}: {hint}")
