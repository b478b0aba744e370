"""TensorBoard's view of a run: an event file that says what its history and its record say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.errors import BenchError
from bench.experiments.spec import TrainingSpec
from bench.store.folders import Store, read_history
from bench.store.records import BY_EXTRACTOR, Result

# So that a run can be watched; TensorBoard itself looks every 30 seconds.
_FLUSH_SECONDS = 10
_FILES = "events.out.tfevents.*"


def require_tensorboard() -> None:
    """Fail before anything is trained.

    Raises:
        BenchError: TensorBoard is not installed.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise BenchError(
            "--tensorboard needs a package that is missing: pip install tensorboard"
        ) from error


class Events:
    """Writes a run's event file from the first line of its history on, after a resumption too."""

    def __init__(
        self, folder: Path, spec: TrainingSpec, history: Sequence[Mapping[str, float]]
    ) -> None:
        """Replace what a run's folder has of them.

        Args:
            folder: the run's.
            spec: what is run.
            history: its lines so far.
        """
        from torch.utils.tensorboard import SummaryWriter

        for old in folder.glob(_FILES):
            old.unlink()
        # purge_step has a running TensorBoard drop what it read from the old file.
        self._writer = SummaryWriter(str(folder), purge_step=0, flush_secs=_FLUSH_SECONDS)
        self._batch_size = spec.batch_size
        self._last = (0.0, 0.0)
        lines = "\n".join(f"| {name} | {value} |" for name, value in asdict(spec).items())
        self._writer.add_text("spec", f"| field | value |\n| --- | --- |\n{lines}")
        for row in history:
            self.line(row)

    def line(self, row: Mapping[str, float]) -> None:
        """Add a line of the run's history, see :class:`bench.training.loop.HistoryLine`."""
        step, (last_step, last_seconds) = int(row["step"]), self._last
        self._writer.add_scalar("training/loss", row["loss"], step)
        if row["seconds"] > last_seconds:
            images = (step - last_step) * self._batch_size
            rate = images / (row["seconds"] - last_seconds)
            self._writer.add_scalar("training/images_per_second", rate, step)
        self._last = (step, row["seconds"])

    def finish(self, result: Result, store: Store) -> None:
        """Add what was measured of a finished run: its numbers, spectrum and samples."""
        steps = result.spec.steps
        for record in result.measurements:
            for name, value in record.numbers():
                through = f"{record.spec.features}/" if _is_seen(name) else ""
                self._writer.add_scalar(f"measured/{through}{name}", value, steps)
        for index, value in enumerate(result.metrics["spectrum"], start=1):
            # Its horizontal axis is not time but the index.
            self._writer.add_scalar("spectrum", value, index)
        samples = store.images(result, "samples").get("samples")
        if samples is not None:
            self._writer.add_images("samples", samples[:64], steps)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


def _is_seen(name: str) -> bool:
    """Whether a number is another one through each extractor."""
    return name.partition("_")[0] in BY_EXTRACTOR


def write_missing(results: Sequence[Result], store: Store) -> None:
    """Give every finished run that has no event file one."""
    for result in results:
        folder = store.folder(result.run_id)
        if not any(folder.glob(_FILES)):
            events = Events(folder, result.spec, read_history(store.history(result.run_id)))
            events.finish(result, store)
            events.close()
