"""Fetching a file within a time limit."""

from __future__ import annotations

import http.client
import threading
import urllib.request
from typing import Any

from bench.errors import BenchError

# A host that has not answered by then is taken as unreachable; a transfer that stalls is given up.
ANSWER_SECONDS = 8
STALL_SECONDS = 20


def reach(url: str) -> http.client.HTTPResponse:
    """Open a URL.

    Raises:
        BenchError: its host does not answer within seconds, or refuses.
    """
    answers: list[Any] = []

    def connect() -> None:
        try:
            answers.append(urllib.request.urlopen(url, timeout=STALL_SECONDS))
        except (OSError, http.client.HTTPException) as error:
            answers.append(error)

    # A look-up of the host's name knows no time limit of its own; a thread can be left behind.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(ANSWER_SECONDS)
    answer = answers[0] if answers else TimeoutError(f"no answer within {ANSWER_SECONDS} s")
    if isinstance(answer, Exception):
        raise BenchError(f"{url}: {getattr(answer, 'reason', answer)}") from answer
    return answer


def download(url: str) -> bytes:
    """Content of a URL, which the caller verifies.

    Raises:
        BenchError: the host does not answer within seconds, or the transfer stalls or breaks off.
    """
    answer = reach(url)
    try:
        with answer:
            return answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise BenchError(f"{url}: broke off ({error})") from error
