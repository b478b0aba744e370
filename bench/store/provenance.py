"""Where a record comes from: commit, versions, hardware."""

import functools
import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

_PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "pytorch-fid")


def provenance(device: str, threads: int) -> dict[str, str | int]:
    """What a record says of its making on a device, by its name, with so many CPU threads."""
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    return {
        "commit": commit(),
        "python": platform.python_version(),
        **versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count() or 0,
        "device": device,
        "threads": threads,
    }


# The code that runs is that of when it was imported, whatever is edited or committed since.
@functools.cache
def commit() -> str:
    """The checkout's commit, with ``+changes`` where code differs from it; else ``unknown``."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # An installed copy may lie inside some other project's checkout.
        if not (Path(git("rev-parse", "--show-toplevel")) / "run_all.py").is_file():
            return "unknown"
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ":/*.py")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
