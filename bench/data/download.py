"""Fetching a file within a time limit."""

import http.client
import socket
import sys
from pathlib import Path

from bench.errors import BenchError

# A host that has not answered by then is taken as unreachable, and a transfer that stalls for as
# long is given up.
SECONDS = 15


def fetch(url: str, target: Path, sha256: str | None = None) -> None:
    """Download a file, which appears under its name only once it is complete.

    Without a SHA-256 (of its bytes, in hex), the caller verifies it.

    Raises:
        BenchError: the host does not answer within seconds, the transfer stalls or breaks off, or
            the file is another.
    """
    import torch

    before = socket.getdefaulttimeout()
    # PyTorch's download knows no other time limit.
    socket.setdefaulttimeout(SECONDS)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(target), sha256, progress=sys.stderr.isatty())
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise BenchError(f"{url}: cannot be fetched ({error})") from error
    finally:
        socket.setdefaulttimeout(before)
