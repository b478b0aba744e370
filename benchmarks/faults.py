"""Faults on purpose: whether runs that are killed, raced and damaged end as without any.

Each round starts one or two runners on an empty runs folder, injects faults at random moments
(signals to a runner or to all of its processes, at once or when a run is trained and not yet
measured; bytes changed in a random file or in weights, files cut off), and then gives the same
command until it succeeds. Weights and what was measured of them must be, to the last bit, what
they were without faults: the baseline of the same call.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.machine import core_count
from bench.store.folders import Store
from benchmarks.report import options, write_json

ROOT = Path(__file__).parent.parent
# Two runs with a checkpoint in their middle.
COMMAND = [
    *("--table", "4", "--profile", "smoke", "--only", "*-l[24]-*", "--device", "cpu"),
    *("--set", "latent_dim=8", "--set", "batch_size=2", "--set", "train_images=128"),
    *("--set", "epochs=10", "--set", "test_images=32", "--set", "fid_samples=40"),
]
RUNS = 2
FAULTS = 3
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Within one round, a command that fails this often fails for good.
ATTEMPTS = 4
SECONDS = 300


@dataclass
class Campaign:
    """What was done, and what came of it.

    Attributes:
        expected: weights and metrics of the runs without faults, by their identity.
        rounds: rounds so far.
        faults: how often each kind of fault was injected.
        lost: runs without a record at the end of their round.
        differing: records whose metrics are not the expected ones.
        tracebacks: commands that ended in one.
    """

    expected: dict[str, Any]
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    differing: int = 0
    tracebacks: int = 0

    def line(self) -> str:
        """The sum of it."""
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()))
        return (
            f"{self.rounds} rounds of {RUNS} runs, {sum(self.faults.values())} faults ({faults}): "
            f"{self.lost} runs lost, {self.differing} records differ, "
            f"{self.tracebacks} tracebacks"
        )


def _prepare(cores: set[int]) -> None:
    # Shells have their background jobs ignore it, and children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def own_cores() -> list[int]:
    """The cores that this process may use; outside Linux all that there are."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def start(
    arguments: Sequence[str], cores: set[int], environment: dict[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the suite on these cores, in a session of its own.

    A core means a thread for each run, whatever the number of jobs: other numbers of threads round
    otherwise, which is no fault. Threads that outnumber the cores spin.
    """
    return subprocess.Popen(
        [sys.executable, "run_all.py", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=partial(_prepare, cores),  # noqa: PLW1509 - no threads here
        env=environment,
    )


def _start(runs_dir: Path, jobs: int, core: int) -> subprocess.Popen[str]:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(runs_dir.parent / "tables")]
    return start([*COMMAND, *folders, "--jobs", str(jobs)], {core})


def _metrics(runs_dir: Path) -> dict[str, Any]:
    return {
        folder.run_id: (folder.trained.weights_sha256, [m.metrics for m in folder.measured])
        for folder in Store(runs_dir).read().values()
        if folder.trained is not None and folder.measured
    }


def _damage(runs_dir: Path, chance: random.Random) -> str | None:
    """Change a byte of a file, or cut it off; None where there is no file yet."""
    files = [p for p in runs_dir.rglob("*") if p.is_file() and p.suffix not in (".lock", ".tmp")]
    if not files:
        return None
    weights = sorted(path for path in files if path.name == "weights.pt")
    path = chance.choice(weights if weights and chance.random() < 0.3 else sorted(files))
    try:
        content = bytearray(path.read_bytes())
        if not content:
            return None
        place = chance.randrange(len(content))
        kind = chance.choice(("byte changed", "file cut off"))
        if kind == "byte changed":
            content[place] ^= 1 << chance.randrange(8)
        path.write_bytes(content if kind == "byte changed" else content[:place])
    except FileNotFoundError:
        # It was renamed or removed in this moment.
        return None
    return kind


def _hit(process: subprocess.Popen[str], chance: random.Random) -> str | None:
    """Send a signal to a runner, or to it and its workers; None where it has ended."""
    number = chance.choice(SIGNALS)
    if process.poll() is not None:
        return None
    try:
        if chance.random() < 0.5:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:
        return None
    return number.name


def _wait_for_weights(runs_dir: Path) -> None:
    """Wait until a run is trained and not measured, or for six seconds."""
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        trained = {path.parent for path in runs_dir.glob("*/weights.pt")}
        if trained - {path.parent for path in runs_dir.glob("*/measured-*.json")}:
            return
        time.sleep(0.005)


def play(campaign: Campaign, cache: Path, folder: Path, chance: random.Random) -> None:
    """One round.

    Args:
        campaign: takes what comes of it.
        cache: of a runs folder, with what an extractor has seen of real images.
        folder: empty.
        chance: decides.
    """
    runs_dir = folder / "runs"
    shutil.copytree(cache, runs_dir / ".cache")
    cores = own_cores()
    runners = [
        _start(runs_dir, chance.choice((1, 2)), cores[i % len(cores)])
        for i in range(chance.choice((1, 1, 2)))
    ]
    for _ in range(FAULTS):
        if chance.random() < 0.25:
            _wait_for_weights(runs_dir)
        else:
            time.sleep(chance.uniform(0.5, 6))
        runner = chance.choice(runners)
        kind = _damage(runs_dir, chance) if chance.random() < 0.5 else _hit(runner, chance)
        if kind is not None:
            campaign.faults[kind] += 1
    for runner in runners:
        # A runner that was killed may leave workers, which stop by themselves.
        if chance.random() < 0.5 and runner.poll() is None:
            runner.terminate()
        _, err = runner.communicate(timeout=SECONDS)
        campaign.tracebacks += "Traceback" in err
    for _ in range(ATTEMPTS):
        last = _start(runs_dir, 2, cores[0])
        _, err = last.communicate(timeout=SECONDS)
        campaign.tracebacks += "Traceback" in err
        if last.returncode == 0:
            break
        print(f"status {last.returncode}: {err.splitlines()[-1] if err else ''}", flush=True)
    found = _metrics(runs_dir)
    campaign.rounds += 1
    campaign.lost += len(campaign.expected.keys() - found.keys())
    campaign.differing += sum(found[k] != campaign.expected.get(k) for k in found)


def run_campaign(rounds: int, seed: int, folder: Path) -> Campaign:
    """Run without faults, then play rounds.

    Args:
        rounds: how many.
        seed: of what happens, as far as it does not depend on time.
        folder: empty; what is left of the last round with a lost or differing run stays in it.
    """
    runs_dir = folder / "without" / "runs"
    process = _start(runs_dir, 2, own_cores()[0])
    _, err = process.communicate(timeout=SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"the runs fail without any fault: {err}")
    campaign = Campaign(_metrics(runs_dir))
    for number in range(rounds):
        chance = random.Random(f"{seed} {number}")  # noqa: S311
        here = folder / f"round-{number}"
        here.mkdir()
        bad = campaign.lost + campaign.differing
        play(campaign, runs_dir / ".cache", here, chance)
        if campaign.lost + campaign.differing == bad:
            shutil.rmtree(here)
        if (number + 1) % 5 == 0:
            print(campaign.line(), flush=True)
    return campaign


def main() -> None:
    """Print what came of it, and write it; status 1 where a run was lost or differs."""
    arguments = options(__doc__, "faults", rounds=20, seed=0)
    campaign = run_campaign(arguments.rounds, arguments.seed, Path(tempfile.mkdtemp()))
    print(campaign.line())
    found = {name: value for name, value in vars(campaign).items() if name != "expected"}
    write_json(arguments.out, core_count(), **found)
    sys.exit(1 if campaign.lost or campaign.differing or campaign.tracebacks else 0)


if __name__ == "__main__":
    main()
