"""The runs folder: one folder a run, whose record counts only if it is whole.

runs/<name>-<hash>/  spec.json  record.json  history.jsonl  spectrum.npz  arrays.npz  samples.png
                     failure.json (instead of a record)  checkpoint.pt (while unfinished)
                     tsne.npz (once drawn)  events.out.tfevents.* (with --tensorboard)
runs/.cache/         extractors and reference statistics, shared by runs
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.data import Dataset
from bench.errors import BenchError
from bench.files import set_aside, write_bytes
from bench.spec import RunSpec, canonical_json, sha256

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 3
# The spectrum lies apart from images, which are not committed: figures of committed runs need it.
ARRAYS = ("spectrum.npz", "arrays.npz")
_BESIDE_RECORD = ("spec.json", "history.jsonl", *ARRAYS, "samples.png")


class State(StrEnum):
    """What the store knows of a run."""

    DONE = "done"
    FAILED = "failed"
    STARTED = "started"
    TO_DO = "to do"


@dataclass(frozen=True)
class Record:
    """What a finished run measured.

    Attributes:
        run_id: the run's identity and the name of its folder.
        spec: what was run.
        data: the data set as it was declared, without its place on the disk.
        metrics: see :class:`bench.evaluation.evaluate.Evaluation`.
        extractor: ``name``, ``dimensions`` and weights ``checksum`` behind the FIDs.
        timing: seconds and images per second; the only part that differs between equal runs on
            one machine, ``provenance`` aside.
        provenance: commit, versions, hardware, data.
    """

    run_id: str
    spec: RunSpec
    data: Dataset
    metrics: dict[str, Any]
    extractor: dict[str, Any]
    timing: dict[str, float]
    provenance: dict[str, Any]

    def flat_metrics(self) -> Iterator[tuple[str, float]]:
        """Every number that was measured by a name of its own, such as ``fid_gmm10``."""
        for name, value in self.metrics.items():
            if isinstance(value, dict):
                prefix = {"ranks": "rank"}.get(name, name)
                yield from ((f"{prefix}_{part}", number) for part, number in value.items())
            else:
                yield name, value


@dataclass(frozen=True)
class Failure:
    """Why a run failed: one line, and the traceback."""

    reason: str
    traceback: str


@dataclass(frozen=True)
class FailedRun:
    """A run and why it failed."""

    run_id: str
    spec: RunSpec
    failure: Failure


class Store:
    """Reads and writes the folders of runs below one root."""

    def __init__(self, root: Path) -> None:
        """Open a runs folder, which need not exist yet."""
        self.root = root

    @property
    def cache(self) -> Path:
        """Folder of what runs share."""
        return self.root / ".cache"

    def folder(self, run_id: str) -> Path:
        """A run's folder."""
        return self.root / run_id

    def state(self, run_id: str) -> State:
        """What is known of a run; a record that cannot be trusted counts as none."""
        try:
            if self.record(run_id) is not None:
                return State.DONE
        except BenchError:
            return State.TO_DO
        if self.failure(run_id) is not None:
            return State.FAILED
        return State.STARTED if self.checkpoint(run_id).is_file() else State.TO_DO

    def record(self, run_id: str) -> Record | None:
        """A run's record, or None where there is none.

        Raises:
            BenchError: the record is truncated, altered, of another run or of another schema.
        """
        path = self.folder(run_id) / "record.json"
        value = _read_checked(path)
        if value is None:
            return None
        try:
            data = Dataset(**value["data"] | {"classes": tuple(value["data"]["classes"])})
            record = Record(**value | {"spec": RunSpec.from_json(value["spec"]), "data": data})
        except (BenchError, KeyError, TypeError) as error:
            raise BenchError(f"{path}: not a run's record ({error})") from error
        if record.run_id != run_id or record.spec.run_id(data.fingerprint) != run_id:
            raise BenchError(f"{path}: the record of another run or protocol")
        return record

    def records(self) -> Iterator[Record]:
        """Every record that can be trusted and that this version of the protocol would make."""
        for path in sorted(self.root.glob("*/record.json")):
            try:
                record = self.record(path.parent.name)
            except BenchError:
                continue
            if record is not None:
                yield record

    def write_spec(self, run_id: str, spec: RunSpec) -> None:
        """Note what a run is, for whoever looks into its folder."""
        text = json.dumps(asdict(spec), indent=1)
        write_bytes(self.folder(run_id) / "spec.json", f"{text}\n".encode())

    def write_record(self, record: Record) -> None:
        """Write a run's record, which makes it done, and clear an earlier failure."""
        _write_checked(self.folder(record.run_id) / "record.json", asdict(record))
        (self.folder(record.run_id) / "failure.json").unlink(missing_ok=True)

    def failure(self, run_id: str) -> Failure | None:
        """Why a run failed, or None where it did not."""
        failed = self._failed_run(run_id)
        return None if failed is None else failed.failure

    def failed(self) -> Iterator[FailedRun]:
        """Every run that failed and has no record by now."""
        for path in sorted(self.root.glob("*/failure.json")):
            failed = self._failed_run(path.parent.name)
            if failed is not None and self.state(failed.run_id) is State.FAILED:
                yield failed

    def _failed_run(self, run_id: str) -> FailedRun | None:
        try:
            value = _read_checked(self.folder(run_id) / "failure.json")
            if value is None:
                return None
            spec = RunSpec.from_json(value["spec"])
            return FailedRun(run_id, spec, Failure(value["reason"], value["traceback"]))
        except (BenchError, KeyError, TypeError):
            return None

    def write_failure(self, failed: FailedRun) -> None:
        """Note that a run failed; it is shown, and repeated only on demand."""
        content = asdict(failed.failure) | {"spec": asdict(failed.spec)}
        _write_checked(self.folder(failed.run_id) / "failure.json", content)

    def forget(self, run_id: str) -> None:
        """Remove what would keep a run from starting over."""
        for name in ("record.json", "failure.json", "checkpoint.pt", "history.jsonl"):
            (self.folder(run_id) / name).unlink(missing_ok=True)

    def files(self, run_id: str) -> dict[str, bytes]:
        """What else a finished run's folder holds that tables, figures and reports need."""
        paths = (self.folder(run_id) / name for name in _BESIDE_RECORD)
        return {path.name: path.read_bytes() for path in paths if path.is_file()}

    def adopt(self, record: Record, files: Mapping[str, bytes]) -> None:
        """Write a run that was finished by a process with another store."""
        for name in _BESIDE_RECORD:
            if name in files:
                write_bytes(self.folder(record.run_id) / name, files[name])
        # Last: its presence means that the run is done.
        self.write_record(record)

    def set_damaged_aside(self, run_id: str) -> None:
        """Take a record that cannot be trusted out of the way of the one that replaces it."""
        try:
            self.record(run_id)
        except BenchError as error:
            set_aside(self.folder(run_id) / "record.json", str(error).partition(": ")[2])

    def lock_path(self, run_id: str) -> Path:
        """The lock that whoever trains a run holds."""
        return self.cache / "locks" / f"{run_id}.lock"

    def checkpoint(self, run_id: str) -> Path:
        """Where a run's training state is kept while it is unfinished."""
        return self.folder(run_id) / "checkpoint.pt"

    def history(self, run_id: str) -> Path:
        """Where a run's training curve is kept: a JSON object a line."""
        return self.folder(run_id) / "history.jsonl"

    def arrays(
        self, run_id: str, *names: str, files: Sequence[str] = ARRAYS
    ) -> dict[str, np.ndarray]:
        """A finished run's arrays, see :class:`bench.evaluation.evaluate.Evaluation`.

        Args:
            run_id: the run.
            names: those that are wanted, since reading all takes a while; none for all.
            files: in the run's folder.

        Returns:
            Those that are there: none of a file that is missing or damaged.
        """
        import numpy as np

        found: dict[str, np.ndarray] = {}
        for file in files:
            wanted = set(names) - set(found)
            if names and not wanted:
                break
            try:
                with np.load(self.folder(run_id) / file) as arrays:
                    found |= {name: arrays[name] for name in wanted or arrays if name in arrays}
            except PermissionError:
                raise
            except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
                continue
        return found

    def steps_done(self, run_id: str) -> int:
        """Steps that an unfinished run's history tells of; 0 where it has none."""
        try:
            with self.history(run_id).open("rb") as file:
                file.seek(max(0, self.history(run_id).stat().st_size - 512))
                lines = file.read().decode().splitlines()
            # The last line may be half-written, the first one half-read.
            return int(json.loads(lines[-1])["step"])
        except (FileNotFoundError, ValueError, IndexError, KeyError, TypeError):
            return 0


def read_history(path: Path) -> list[dict[str, float]]:
    """Lines of a training curve; one that a stopped run left half-written is left out."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not isinstance(row, dict) or "step" not in row:
            break
        rows.append(row)
    return rows


def _write_checked(path: Path, value: dict[str, Any]) -> None:
    content = {"schema": SCHEMA, "checksum": sha256(canonical_json(value)), "content": value}
    write_bytes(path, f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())


def _read_checked(path: Path) -> Any | None:  # noqa: ANN401 - JSON
    try:
        value = json.loads(path.read_bytes())
        schema, checksum, content = value["schema"], value["checksum"], value["content"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{path}: truncated or not a record ({error})") from error
    if schema != SCHEMA:
        raise BenchError(f"{path}: written in schema {schema}, this version reads {SCHEMA}")
    if sha256(canonical_json(content)) != checksum:
        raise BenchError(f"{path}: altered since it was written")
    if not isinstance(content, dict):
        raise BenchError(f"{path}: not a record")
    return content
