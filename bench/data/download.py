"""Fetching a file within a time limit."""

from __future__ import annotations

import http.client
import socket
import sys
import threading
import urllib.request
from pathlib import Path

from bench.errors import BenchError

# A host that has not answered by then is taken as unreachable; a transfer that stalls is given up.
ANSWER_SECONDS = 8
STALL_SECONDS = 20


def reach(url: str) -> None:
    """Make sure that a URL can be opened.

    Raises:
        BenchError: its host does not answer within seconds, or refuses.
    """
    failure: list[Exception] = [TimeoutError(f"no answer within {ANSWER_SECONDS} s")]

    def connect() -> None:
        try:
            urllib.request.urlopen(url, timeout=STALL_SECONDS).close()
            failure.clear()
        except (OSError, http.client.HTTPException) as error:
            failure[:] = [error]

    # A look-up of the host's name knows no time limit of its own; a thread can be left behind.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    for error in failure:
        raise BenchError(f"{url}: {getattr(error, 'reason', error)}") from error


def fetch(url: str, target: Path, sha256: str | None = None) -> None:
    """Download a file, which appears under its name only once it is complete.

    Without a SHA-256 (of its bytes, in hex), the caller verifies it.

    Raises:
        BenchError: the host does not answer within seconds, the transfer stalls or breaks off, or
            the file is another.
    """
    import torch

    reach(url)
    before = socket.getdefaulttimeout()
    # PyTorch's download knows no other time limit.
    socket.setdefaulttimeout(STALL_SECONDS)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), sha256, progress=sys.stderr.isatty())
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise BenchError(f"{url}: cannot be fetched ({error})") from error
    finally:
        socket.setdefaulttimeout(before)
