"""Output to the user, also on screens that lack some characters or are closed before the end."""

import codecs
import io
import os
import sys
from pathlib import Path
from typing import TextIO

from bench.errors import refused

# What tables print in place of a character that the screen's encoding lacks.
_PLAIN = {"\N{PLUS-MINUS SIGN}": "+-", "\N{MINUS SIGN}": "-", "\N{DAGGER}": "(!)"}


def show(text: str) -> None:
    """Print a result on standard output."""
    _print(text, sys.stdout)


def say(text: str) -> None:
    """Tell the user something that is not a result: on standard error, at once."""
    _print(text, sys.stderr)


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 run``, ``1,200 runs``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _print(text: str, stream: TextIO) -> None:
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        # Python would write it once more as the program ends.
        discard(stream)
        if stream is sys.stdout and not isinstance(error, BrokenPipeError):
            raise refused("cannot write the output", error) from error


def discard(stream: TextIO) -> None:
    """Send everything that is written to a closed stream from now on to the null device."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def make_streams_safe() -> None:
    """Replace characters that the screen's encoding lacks, and streams that are closed."""
    codecs.register_error("plain", _plain)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # ``2>&-``: whoever prints there finds the null device.
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - until the end
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="plain")


def _plain(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    shown = (_PLAIN.get(each, each.encode("ascii", "backslashreplace").decode()) for each in text)
    return "".join(shown), error.end
