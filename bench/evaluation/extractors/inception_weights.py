"""Where Inception's weights are, without importing anything heavy."""

import os
from pathlib import Path

from bench.errors import BenchError
from bench.files import require_sha256

# The file that pytorch-fid publishes; its name carries the first digits of its SHA-256, and
# torch-fidelity's registry has the whole.
NAME = "pt_inception-2015-12-05-6726825d.pth"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"


def hub_path() -> Path | None:
    """The file's place in PyTorch's hub cache, which pytorch-fid uses too; None without a home."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        home = Path(os.environ.get("TORCH_HOME") or Path(cache) / "torch").expanduser()
    except RuntimeError:
        return None
    return home / "hub" / "checkpoints" / NAME


def at_hand(given: Path | None) -> Path | None:
    """The weights file at hand: the given one, or the hub cache's; None where there is none.

    Raises:
        BenchError: a file was given that does not exist.
    """
    if given is not None:
        if not given.is_file():
            raise BenchError(f"--fid-weights {given}: no such file")
        return given
    path = hub_path()
    return path if path and path.is_file() else None


def fetch() -> Path:
    """Download the weights into the hub cache.

    Raises:
        BenchError: their host cannot be reached within seconds, or sends something else.
    """
    from pytorch_fid.inception import FID_WEIGHTS_URL

    from bench.data import download

    target = hub_path()
    if target is None:
        raise BenchError("this user has no home to keep them in; set HOME or TORCH_HOME")
    download.fetch(FID_WEIGHTS_URL, target, SHA256)
    return target


def verify(path: Path, sha256: str = SHA256) -> None:
    """Raise BenchError, which names the file, unless it is the one that pytorch-fid publishes."""
    require_sha256(path, sha256, f"fetch pytorch-fid's {NAME} again")
