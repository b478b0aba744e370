"""The runs folder: one folder a run, whose records count only if they are whole.

runs/<name>-<hash>/  spec.json         what is trained, for whoever looks into the folder
                     history.jsonl     the training loss, a line every hundred steps
                     progress.jsonl    the same of a run in training
                     spectra.npz       singular values of the test codes' covariance by epoch
                     weights.pt        the final weights: kept, and not committed
                     training.json     the training record; its presence means trained
                     measured-<hash>.json  what was measured of these weights, once for each way
                     measured-<hash>.npz   images that were decoded on that occasion
                     failure.json      why training or measuring failed
                     checkpoint.pt     what training goes on from, with more epochs too: kept, and
                                       not committed
                     tsne-<hash>.npz   once drawn
runs/.cache/         what extractors see of real images, prepared pictures, locks
"""

from __future__ import annotations

import contextlib
import glob
import io
import json
import logging
import os
import time
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.experiments.spec import TrainingSpec
from bench.files import atomic, write_bytes
from bench.hashing import canonical_json, sha256
from bench.store.records import FailedRun, MeasurementRecord, Result, TrainingRecord

if TYPE_CHECKING:
    import numpy as np

SCHEMA = 4
_HISTORY, _PROGRESS, _SPECTRA = "history.jsonl", "progress.jsonl", "spectra.npz"
_HASH = "[0-9a-f]" * 8


@dataclass(frozen=True)
class RunFolder:
    """What a run's folder held when it was read.

    Attributes:
        path: where it is, or would be.
        trained: the training record; None where there is none that counts.
        measured: measurements of the weights that the training record names.
        damage: files that cannot be trusted, or that are of another protocol, and why.
    """

    run_id: str
    path: Path
    trained: TrainingRecord | None = None
    measured: tuple[MeasurementRecord, ...] = ()
    failure: FailedRun | None = None
    has_weights: bool = False
    has_checkpoint: bool = False
    damage: Mapping[Path, str] = field(default_factory=dict)

    @property
    def complaint(self) -> str:
        """One line on the first damage; empty where there is none."""
        return next((f"{path}: {why}" for path, why in self.damage.items()), "")


class Runs(dict[str, RunFolder]):
    """The runs folder as it was read, by run; a run that is not there has an empty folder."""

    def __init__(self, root: Path) -> None:
        """Of no run yet."""
        super().__init__()
        self._root = root

    def __missing__(self, run_id: str) -> RunFolder:
        """The empty folder."""
        return RunFolder(run_id, self._root / run_id)


class Store:
    """Reads and writes the folders of runs below one root."""

    def __init__(self, root: Path) -> None:
        """Open a runs folder, which need not exist yet."""
        self.root = root
        self.cache = root / ".cache"

    def folder(self, run_id: str) -> Path:
        """A run's folder."""
        return self.root / run_id

    def read(self) -> Runs:
        """Every run's folder, in the order of the runs' identities."""
        if self.root.exists() and not os.access(self.root, os.R_OK | os.X_OK):
            raise BenchError(f"--runs-dir {self.root}: cannot be read; give yourself permission")
        runs = Runs(self.root)
        # Other folders are not the suite's, such as a disk's lost+found.
        for path in sorted(self.root.glob(f"*-{_HASH}")):
            if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
                runs[path.name] = self.read_folder(path.name)
            elif path.is_dir():
                logging.getLogger(__name__).warning("%s: cannot be read; passed over", path)
        return runs

    def read_folder(self, run_id: str) -> RunFolder:
        """One run's folder, as far as its files can be trusted."""
        path, damage = self.folder(run_id), dict[Path, str]()
        trained = self._read(run_id, "training.json", TrainingRecord, damage)
        failure = self._read(run_id, "failure.json", FailedRun, damage)
        if trained is not None and trained.run_id != run_id:
            damage[path / "training.json"] = "the record of another run"
            trained = None
        measured = []
        for file in sorted(path.glob(f"measured-{_HASH}.json")):
            record = self._read(run_id, file.name, MeasurementRecord, damage)
            if record is None or trained is None:
                continue
            if record.run_id != run_id or file.stem != f"measured-{record.identity}":
                damage[file] = "the measurement of another run"
            elif record.current and record.weights_sha256 == trained.weights_sha256:
                measured.append(record)
        return RunFolder(
            run_id=run_id,
            path=path,
            trained=trained,
            measured=tuple(measured),
            failure=failure,
            has_weights=self.weights(run_id).is_file(),
            has_checkpoint=self.checkpoint(run_id).is_file(),
            damage=damage,
        )

    def shorter(self, run_id: str, spec: TrainingSpec, since: float = 0.0) -> str | None:
        """The longest trained run that is the beginning of this one, and whose checkpoint is kept.

        Checkpoints from before ``since`` do not count: seconds since 1970.
        """
        paths = self.root.glob(f"{glob.escape(spec.name)}-*/checkpoint.pt")
        found = [
            (run.spec.epochs, run.run_id)
            for path in paths
            if path.exists()
            and _is_of_after(since, path)
            and (run := self.read_folder(path.parent.name).trained)
            and run.spec.epochs < spec.epochs
            and run.with_epochs(spec.epochs) == run_id
        ]
        return max(found)[1] if found else None

    def _read(self, run_id: str, name: str, kind: Any, damage: dict[Path, str]) -> Any:  # noqa: ANN401
        """A record of that kind; None, with a line on the damage, where it cannot be trusted."""
        path = self.folder(run_id) / name
        try:
            value = json.loads(path.read_bytes())
            if value["schema"] != SCHEMA:
                damage[path] = f"written in schema {value['schema']}, this version reads {SCHEMA}"
            elif sha256(canonical_json(value["content"])) != value["checksum"]:
                damage[path] = "altered since it was written"
            else:
                return kind.from_json(value["content"])
        except FileNotFoundError:
            pass
        except BenchError as error:
            damage[path] = str(error)
        except (ValueError, KeyError, TypeError, RecursionError, IsADirectoryError) as error:
            damage[path] = f"truncated or not a record ({error})"
        return None

    def write_spec(self, run_id: str, spec: TrainingSpec) -> None:
        """Note what a run is, for whoever looks into its folder."""
        text = json.dumps(asdict(spec), indent=1)
        write_bytes(self.folder(run_id) / "spec.json", f"{text}\n".encode())

    def write_trained(self, record: TrainingRecord) -> None:
        """Write a training record, last of its files, which makes the run trained."""
        _write_checked(self.folder(record.run_id) / "training.json", asdict(record))
        self.forget_failure(record.run_id)

    def write_measured(self, record: MeasurementRecord) -> None:
        """Write a measurement, and clear an earlier failure of it or of training."""
        path = self.folder(record.run_id) / f"measured-{record.identity}.json"
        _write_checked(path, asdict(record))
        failed = self._read(record.run_id, "failure.json", FailedRun, {})
        if failed is None or failed.measurement in (None, record.spec):
            self.forget_failure(record.run_id)

    def write_failure(self, failed: FailedRun) -> None:
        """Note that a run failed; it is shown, and repeated only on demand."""
        _write_checked(self.folder(failed.run_id) / "failure.json", asdict(failed))

    def forget(self, run_id: str, before: float) -> None:
        """Remove what would keep a run from starting over, unless any of it is of after a time."""
        folder = self.folder(run_id)
        ends = [folder / name for name in ("training.json", "failure.json", "checkpoint.pt")]
        if any(path.exists() and _is_of_after(before, path) for path in ends):
            return
        others = [folder / name for name in ("weights.pt", _HISTORY, _PROGRESS, _SPECTRA)]
        # What was set aside as damaged has other endings, and stays.
        for pattern in (f"measured-{_HASH}.json", f"measured-{_HASH}.npz", f"tsne-{_HASH}.npz"):
            others += folder.glob(pattern)
        for path in (*ends, *others):
            path.unlink(missing_ok=True)

    def forget_trained(self, run_id: str) -> None:
        """Remove a training record, with which measurements count, and what was drawn of them."""
        folder = self.folder(run_id)
        for path in (folder / "training.json", *folder.glob("tsne-*")):
            path.unlink(missing_ok=True)

    def forget_failure(self, run_id: str, before: float = inf) -> None:
        """Remove what would keep a failed run from being tried again, if it is of before a time."""
        path = self.folder(run_id) / "failure.json"
        if path.exists() and not _is_of_after(before, path):
            path.unlink(missing_ok=True)

    def lock_path(self, run_id: str) -> Path:
        """The lock that whoever works on a run holds."""
        return self.cache / "locks" / f"{run_id}.lock"

    def checkpoint(self, run_id: str) -> Path:
        """Where the state is kept that a run's training goes on from."""
        return self.folder(run_id) / "checkpoint.pt"

    def weights(self, run_id: str) -> Path:
        """Where a trained run's final weights are kept."""
        return self.folder(run_id) / "weights.pt"

    def history(self, run_id: str) -> Path:
        """Where a trained run's training curve is kept: a JSON object a line."""
        return self.folder(run_id) / _HISTORY

    def progress(self, run_id: str) -> Path:
        """The same of a run in training, which leaves that of an earlier training as it is."""
        return self.folder(run_id) / _PROGRESS

    def steps_done(self, run_id: str) -> int:
        """Steps that a run's curve tells of; 0 where it has none."""
        for path in (self.progress(run_id), self.history(run_id)):
            with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - 512))
                # The last line may be half-written, the first one half-read.
                for line in reversed(file.read().splitlines()):
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        return int(json.loads(line)["step"])
                return 0
        return 0


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file of arrays."""
    import numpy as np

    with atomic(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def read_arrays(path: Path, *wanted: str) -> dict[str, np.ndarray]:
    """Arrays of a file, those wanted alone if any are; none where it is missing or damaged."""
    import numpy as np

    try:
        with zipfile.ZipFile(path) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist()]
            # NumPy would stop where an array ends, which may be before its checksum is compared.
            content = {key: archive.read(f"{key}.npy") for key in wanted or there if key in there}
        return {key: np.load(io.BytesIO(array)) for key, array in content.items()}
    except (PermissionError, MemoryError):
        raise
    except Exception:  # noqa: BLE001 - a damaged file fails in many ways
        return {}


def kept_images(result: Result, *wanted: str, kind: str = "measured") -> dict[str, np.ndarray]:
    """Images that were kept with a run's measurements, see :func:`bench.evaluation.decoded`.

    They are the same whichever extractor looked at them, and kept once. Their files' names begin
    with the kind: ``tsne`` where they are drawn in the plane.
    """
    found = (
        read_arrays(result.folder / f"{kind}-{record.identity}.npz", *wanted)
        for record in result.measurements
    )
    return next((images for images in found if images), {})


def write_spectra(folder: Path, spectra: np.ndarray) -> None:
    """Keep the spectra of every epoch, (epochs, latent_dim), in a run's folder."""
    write_arrays(folder / _SPECTRA, {"spectra": spectra})


def read_spectra(folder: Path) -> np.ndarray | None:
    """Singular values of the test codes' covariance by epoch, float64 (epochs, latent_dim).

    The largest stand first. There is None where a run's folder has none, or they are damaged.
    """
    spectra = read_arrays(folder / _SPECTRA).get("spectra")
    return None if spectra is None or spectra.ndim != 2 else spectra


def read_history(folder: Path) -> list[dict[str, float]]:
    """Lines of the training curve in a run's folder, up to the first that is damaged."""
    rows = []
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        for line in (folder / _HISTORY).read_bytes().splitlines():
            row = json.loads(line)
            if not all(isinstance(row[name], int | float) for name in ("step", "epoch", "loss")):
                break
            rows.append(row)
    return rows


def _is_of_after(time_: float, path: Path) -> bool:
    """Whether a file was written after a time; False of one a minute ahead of the clock, or more.

    Any file is of after 0.
    """
    return not time_ or time_ <= path.stat().st_mtime <= time.time() + 60


def _write_checked(path: Path, value: dict[str, Any]) -> None:
    content = {"schema": SCHEMA, "checksum": sha256(canonical_json(value)), "content": value}
    write_bytes(path, f"{json.dumps(content, indent=1, allow_nan=False)}\n".encode())
