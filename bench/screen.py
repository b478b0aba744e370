"""What is shown to the user, on screens that lack characters or are closed before the end."""

from __future__ import annotations

import codecs
import io
import os
import sys
from typing import TextIO

# Of what tables print, where the screen's encoding has no such character.
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
        leave(stream)


def leave(stream: TextIO) -> None:
    """Have what is written from now on go nowhere: whoever read it has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def make_do() -> None:
    """Have the screen show what its encoding can, and the rest in other characters."""
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
