import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.data import download
from bench.errors import BenchError

CONTENT = bytes(range(256)) * 400


class _Host(BaseHTTPRequestHandler):
    """Sends a file whole, stalls in its middle, or breaks off."""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[:1_000])
        self.wfile.flush()
        if self.path == "/stalls":
            time.sleep(2)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing on the tests' screen."""


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(download, "SECONDS", 0.3)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_arrives_whole_and_verified(tmp_path: Path, host: str) -> None:
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    download.fetch(f"{host}/whole", tmp_path / "new" / "file", sha256)
    assert (tmp_path / "new" / "file").read_bytes() == CONTENT
    assert socket.getdefaulttimeout() is None


@pytest.mark.parametrize("path", ["missing", "stalls", "breaks-off"])
def test_what_does_not_arrive_leaves_nothing(tmp_path: Path, host: str, path: str) -> None:
    with pytest.raises(BenchError, match=f"{host}/{path}: "):
        download.fetch(f"{host}/{path}", tmp_path / "file", hashlib.sha256(CONTENT).hexdigest())
    assert list(tmp_path.iterdir()) == []
    assert socket.getdefaulttimeout() is None
