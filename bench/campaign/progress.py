"""Progress over all runs: a bar on a terminal, plain lines elsewhere."""

import sys
import threading
from collections.abc import Sequence
from typing import Self, TextIO

from tqdm import tqdm

from bench.campaign.plan import PlannedRun, State
from bench.campaign.runs import result_of
from bench.experiments.spec import HEADLINE_SAMPLER
from bench.machine import Stopwatch
from bench.report.display import Display
from bench.screen import discard
from bench.store.folders import RunFolder, Store

_POLL_SECONDS = 0.5
_LINE_SECONDS = 20


class ProgressBar:
    """Follows the histories that runs write, from whichever process or machine."""

    def __init__(
        self,
        plan: Sequence[PlannedRun],
        store: Store,
        display: Display,
        stream: TextIO | None = None,
    ) -> None:
        """Follow the runs of a plan; the stream is standard error where none is given."""
        self._stream, self._display = stream or sys.stderr, display
        self._store = store
        self._plan = {planned.run_id: planned for planned in plan}
        # All steps of a run that is only measured are behind it.
        self._steps = {
            p.run_id: p.job.training.steps if p.state is State.TRAINED else p.steps_done
            for p in plan
        }
        self._finished = 0
        self._terminal = self._stream.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._total = sum(self._images(p.run_id, p.job.training.steps) for p in plan)
        self._bar = tqdm(
            total=self._total,
            initial=self._done(),
            unit=" images",
            unit_scale=True,
            dynamic_ncols=True,
            file=self._stream,
            disable=not self._terminal,
        )
        # The clock of the rate starts with the first step, not with what precedes it, and stands
        # still in printed lines while the process is stopped.
        self._clock = Stopwatch()
        self._started: float | None = None
        self._initial = self._done()

    def __enter__(self) -> Self:
        """Start following."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop following, and leave the terminal on a new line."""
        self._stop.set()
        self._thread.join()
        self._bar.close()

    def line(self, message: str) -> None:
        """Print a line above the bar."""
        try:
            tqdm.write(message, file=self._stream)
            self._stream.flush()
        except OSError:
            # A terminal that was closed is no reason to stop workers.
            discard(self._stream)

    def finished(self, folder: RunFolder) -> None:
        """Print what became of a run."""
        self._finished += 1
        job = self._plan[folder.run_id].job
        self._steps[folder.run_id] = job.training.steps
        line = f"[{self._finished}/{len(self._plan)}] {job.training.name}"
        result = result_of(job, folder)
        if folder.failure or result is None:
            reason = folder.failure.reason if folder.failure else "no record"
            self.line(f"{line} FAILED: {reason}")
            return
        training = result.trained.timing
        fids = ", ".join(
            f"FID {seen[HEADLINE_SAMPLER]:.3g} ({HEADLINE_SAMPLER}, {name})"
            for name in result.extractors
            if (seen := result.seen(name, "fid"))
        )
        measuring = sum(record.timing["seconds"] for record in result.measurements)
        self.line(
            f"{line}: rank {self._display.rank(result)}, "
            f"test MSE {result.metrics['test_mse']:.5f}, {fids}, "
            f"{training['seconds']:.0f} s training at "
            f"{training['images_per_second']:,.0f} images/s, {measuring:.0f} s measuring"
        )

    def _images(self, run_id: str, steps: int) -> int:
        spec = self._plan[run_id].job.training
        return round(spec.train_images * steps / spec.steps_per_epoch)

    def _done(self) -> int:
        return sum(self._images(run_id, steps) for run_id, steps in self._steps.items())

    def _follow(self) -> None:
        with self._clock.running():
            next_line = self._clock.seconds() + _LINE_SECONDS
            while not self._stop.wait(_POLL_SECONDS):
                for run_id, planned in self._plan.items():
                    left = self._steps[run_id] < planned.job.training.steps
                    # A run that is trained again has the curve of its earlier training until then.
                    if left and self._store.progress(run_id).exists():
                        self._steps[run_id] = self._store.steps_done(run_id)
                if self._started is None and self._done() > self._initial:
                    self._started, self._initial = self._clock.seconds(), self._done()
                if self._terminal:
                    self._bar.update(self._done() - self._bar.n)
                elif self._clock.seconds() > next_line:
                    next_line += _LINE_SECONDS
                    self.line(self._summary())

    def _summary(self) -> str:
        done, total = self._done(), self._total
        text = f"{done / total:4.0%} of {total:,} images"
        if done == self._initial or self._started is None:
            return text
        rate = (done - self._initial) / (self._clock.seconds() - self._started)
        left = tqdm.format_interval((total - done) / rate)
        return f"{text}, {rate:,.0f} images/s, {left} left"
