"""What a command says of runs while they are trained, and of each that ends."""

import io
import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import pytest

from bench.campaign import progress
from bench.campaign.job import Job
from bench.campaign.plan import PlannedRun, State
from bench.campaign.progress import ProgressBar
from bench.files import write_bytes
from bench.report.display import Display
from bench.store.folders import Store
from bench.store.records import FailedRun
from tests.support.results import result, write
from tests.support.tiny import TINY, TINY_MEASUREMENT

RESULT = result(rank=3, fid=12.345, test_mse=0.01)


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def _planned(seed: int = 0, state: State = State.TO_TRAIN, steps_done: int = 0) -> PlannedRun:
    spec = replace(TINY, seed=seed)
    job = Job(result(spec).run_id, spec, (TINY_MEASUREMENT,))
    return PlannedRun(job, state, steps_done=steps_done)


def _bar(plan: Sequence[PlannedRun], store: Store, stream: TextIO) -> ProgressBar:
    return ProgressBar(plan, store, Display(), stream)


def test_a_run_that_ends_is_told_with_its_numbers(tmp_path: Path) -> None:
    store, stream = Store(tmp_path), io.StringIO()
    write(store, RESULT)
    with _bar([_planned(), _planned(seed=1)], store, stream) as bar:
        bar.finished(store.read_folder(RESULT.run_id))
    assert stream.getvalue().splitlines() == [
        (
            f"[1/2] {TINY.name}: rank 3, test MSE 0.01000, FID 12.3 (gmm10, classifier), "
            "2 s training at 640 images/s, 0 s measuring"
        )
    ]


def test_a_run_is_told_by_the_extractors_whose_fid_counts(tmp_path: Path) -> None:
    store, stream = Store(tmp_path), io.StringIO()
    seen = result(fid=12.345, extractors=["classifier", "imagenet"])
    first, second = seen.measurements
    former = replace(second, versions={**second.versions, "fid": 1})
    write(store, replace(seen, measurements=(first, former)))
    with _bar([_planned()], store, stream) as bar:
        bar.finished(store.read_folder(seen.run_id))
    assert "FID 12.3 (gmm10, classifier), 2 s training" in stream.getvalue()


def test_a_run_that_failed_is_told_with_the_reason(tmp_path: Path) -> None:
    store, stream = Store(tmp_path), io.StringIO()
    plan = [_planned(), _planned(seed=1)]
    store.write_failure(FailedRun(plan[0].run_id, TINY, "loss became nan", "trace"))
    with _bar(plan, store, stream) as bar:
        for planned in plan:
            bar.finished(store.read_folder(planned.run_id))
    first, second = stream.getvalue().splitlines()
    assert first == f"[1/2] {TINY.name} FAILED: loss became nan"
    assert second.endswith("FAILED: no record")


def _wait_for(stream: io.StringIO, words: str) -> None:
    until = time.monotonic() + 20
    while words not in stream.getvalue():
        assert time.monotonic() < until, stream.getvalue()
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_histories_are_followed_on_a_terminal_and_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[io.StringIO]
) -> None:
    """Of 3 epochs of 64 images in steps of 16, half are behind after six steps."""
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.02)
    store, stream, planned = Store(tmp_path), kind(), _planned()
    with _bar([planned], store, stream):
        for step, words in ((3, "25%"), (6, "50%")):
            write_bytes(store.progress(planned.run_id), b'{"step": %d}' % step)
            _wait_for(stream, words)
    assert ("| 96.0/192" in stream.getvalue()) == (kind is Terminal)
    lines = re.findall(r" 50% of 192 images, ([\d,]+) images/s, 00:0\d left", stream.getvalue())
    assert bool(lines) == (kind is io.StringIO)


@pytest.mark.parametrize(
    ("state", "steps", "share"), [(State.TRAINED, 0, "100%"), (State.STARTED, 3, " 25%")]
)
def test_what_is_behind_a_run_before_it_starts_counts_as_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: State, steps: int, share: str
) -> None:
    monkeypatch.setattr(progress, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.02)
    planned, stream, store = _planned(state=state, steps_done=steps), io.StringIO(), Store(tmp_path)
    write_bytes(store.history(planned.run_id), b'{"step": 3}')
    with _bar([planned], store, stream):
        _wait_for(stream, f"{share} of 192 images")


def test_a_closed_stream_stops_no_run(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, _bar([_planned()], Store(tmp_path), stream) as bar:
        bar.line("nobody reads this")
        bar.line("nor this")
