"""Output to the user, also on screens that lack some characters or are closed before the end."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

# What tables print in place of a character that the screen's encoding lacks.
_PLAIN = {"\N{PLUS-MINUS SIGN}": "+-", "\N{MINUS SIGN}": "-", "\N{DAGGER}": "(!)"}


def show(text: str) -> None:
    """Print a result on standard output."""
    _print(text, sys.stdout)


def say(text: str) -> None:
    """Tell the user something that is not a result: on standard error, at once."""
    _print(text, sys.stderr)


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except BrokenPipeError:
        discard(stream)


def discard(stream: TextIO) -> None:
    """Send everything that is written to a closed stream from now on to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def escape_unknown_characters() -> None:
    """Replace characters that the screen's encoding lacks, instead of failing on them."""
    codecs.register_error("plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = (_PLAIN.get(each, each.encode("ascii", "backslashreplace").decode()) for each in text)
    return "".join(shown), error.end
