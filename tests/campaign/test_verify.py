from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.campaign import verify, worker
from bench.campaign.choose import find_again
from bench.campaign.job import Job, WorkerSettings
from bench.campaign.request import Request
from bench.cli import main
from bench.errors import BenchError
from bench.files import lock
from bench.store.folders import RunFolder, Store, write_spectra
from bench.store.identity import run_id
from bench.store.records import Result
from tests.support.results import keep_images, result, results_in, write
from tests.support.tiny import TINY, TINY_ARGUMENTS, TINY_MEASUREMENT


def test_a_run_is_verified(
    runs_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = ["--runs-dir", str(runs_dir), "--tables-dir", str(tmp_path / "tables")]
    command = ["--table", "4", *TINY_ARGUMENTS, *folders, "--only", "*-l[24]-*", "--jobs", "1"]
    assert main(command) == 0
    store = Store(runs_dir)
    two, four = sorted(results_in(runs_dir), key=lambda each: each.spec.depth)
    before = {path: path.stat().st_mtime_ns for path in runs_dir.glob("mnist*/*")}
    capsys.readouterr()
    # Another process may be measuring it meanwhile.
    with lock(store.lock_path(two.run_id)):
        assert main(["--verify", two.run_id, *folders]) == 0
    assert capsys.readouterr().out == f"{two.run_id}: the same to the last bit, times apart\n"

    # A measurement and a history that no longer say what happened.
    error = four.metrics["test_mse"]
    four.measurements[0].metrics["test_mse"] = 2 * error
    store.write_measured(four.measurements[0])
    history = store.history(four.run_id)
    history.write_text(history.read_text().replace('"loss": 0.', '"loss": 1.'))
    before |= {path: path.stat().st_mtime_ns for path in store.folder(four.run_id).iterdir()}
    capsys.readouterr()
    assert main(["--verify", "*-l4-*", *folders]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{four.run_id}: test_mse (classifier): {2 * error!r} before, {error!r} now",
        f"{four.run_id}: losses of history.jsonl",
    ]
    # On a GPU, sums are taken in an order of its own: what rounding allows is no difference.
    made = four.trained.provenance
    on_gpu = replace(
        four.trained,
        provenance=made | {"side_by_side": 4, "device": "a GPU", "from_step": 1_500},
        earlier=[made | {"cpu": "of another make"}],
    )
    store.write_trained(on_gpu)
    four.measurements[0].metrics["test_mse"] = 1.001 * error
    store.write_measured(four.measurements[0])
    assert main(["--verify", "*-l4-*", *folders]) == 0
    four.measurements[0].metrics["test_mse"] = 2 * error
    store.write_measured(four.measurements[0])
    capsys.readouterr()
    assert main(["--verify", "*-l4-*", *folders]) == 1
    output = capsys.readouterr().out
    assert "(from step 0 on it was made with cpu of another make, now " in output
    assert "made on a GPU: relative differences up to" in output
    assert all(path.stat().st_mtime_ns == before[path] for path in runs_dir.glob("*-l2-*/*"))


def test_what_cannot_be_verified_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path)
    write(store, result())
    name, message = "mnist-sampel-irmae", "did you mean mnist-sample-irmae-d8-l2"
    assert main(["--verify", name, "--runs-dir", str(store.root)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_a_run_by_a_plugin_that_is_not_given_is_not_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = result(replace(TINY, method="mine"))
    run = run_id(made.spec, made.trained.data.fingerprint, "5e")
    trained = replace(made.trained, run_id=run, source="5e")
    measured = tuple(replace(record, run_id=run) for record in made.measurements)
    write(Store(tmp_path), Result(trained, measured, tmp_path / run))
    assert main(["--verify", run, "--runs-dir", str(tmp_path)]) == 2
    assert f"--verify {run}: its --plugin is not given, or was edited" in capsys.readouterr().err


def test_weights_spectra_and_images_that_differ_are_named(tmp_path: Path) -> None:
    before = result(runs_dir=tmp_path / "a")
    after = result(runs_dir=tmp_path / "b", rank=4)
    after = replace(after, trained=replace(after.trained, weights_sha256="22"))
    for made, grey in ((before, 0), (after, 9)):
        keep_images(made, {"samples": np.full((2, 1, 4, 4), grey, np.uint8)})
    found = list(verify._compare(before, after, verify._kept(before), 0.0))
    assert found == ["the spectrum", "the weights", "the images samples"]
    assert list(verify._compare(before, before, verify._kept(before), 0.0)) == []


def test_each_part_is_repeated_with_its_own_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training took one, the first measurement two, the second one again."""
    made = result(extractors=["imagenet", "classifier"])
    by = dict.fromkeys(verify._MADE_WITH, "")
    first, second = (
        replace(
            each,
            provenance=by | {"device": "cpu", "threads": threads},
            timing=each.timing | {"finished": i},
        )
        for i, (each, threads) in enumerate(zip(reversed(made.measurements), (2, 1), strict=True))
    )
    trained = replace(made.trained, provenance=by | {"device": "cpu", "threads": 1})
    before = replace(made, trained=trained, measurements=(second, first))
    write(Store(tmp_path / "runs"), before)
    parts: list[tuple[int, list[str]]] = []

    def execute(group: list[Job], settings: WorkerSettings) -> list[RunFolder]:
        parts.append((settings.threads, [spec.extractor for spec in group[0].measurements]))
        write(Store(settings.runs_dir), before)
        return [Store(settings.runs_dir).read_folder(before.run_id)]

    monkeypatch.setattr(worker, "execute", execute)
    monkeypatch.setattr(worker, "fetch", lambda *_: None)
    store = Store(tmp_path / "runs")
    assert list(verify.differences(before, store, WorkerSettings(threads=1))) == []
    assert parts == [(1, []), (2, ["classifier"]), (1, ["imagenet"])]
    other = replace(second, provenance=second.provenance | {"device": "a GPU"})
    after = replace(before, measurements=(other, first))
    assert verify._rounds(after)
    assert list(verify._circumstances(before, after)) == [
        "(through imagenet it was measured with device cpu, now a GPU)"
    ]


@pytest.mark.parametrize("places", [("earlier", ""), ("", "earlier"), ("", "last"), ("last", "")])
def test_rounding_is_no_difference_where_a_gpu_had_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, places: tuple[str, str]
) -> None:
    def made(place: str, error: float) -> Result:
        found = result(test_mse=error)
        here, gpu = found.trained.provenance, found.trained.provenance | {"device": "a GPU"}
        last, earlier = gpu if place == "last" else here, [gpu] if place == "earlier" else []
        return replace(found, trained=replace(found.trained, provenance=last, earlier=earlier))

    def execute(_: list[Job], settings: WorkerSettings) -> list[RunFolder]:
        again = made(places[1], 0.0101)
        write(Store(settings.runs_dir), again)
        return [Store(settings.runs_dir).read_folder(again.run_id)]

    monkeypatch.setattr(worker, "execute", execute)
    monkeypatch.setattr(worker, "fetch", lambda *_: None)
    before = made(places[0], 0.01)
    assert list(verify.differences(before, Store(tmp_path), WorkerSettings())) == []


def test_a_run_is_repeated_on_its_own_data_alone(tmp_path: Path) -> None:
    record, request = result().trained, Request((), worker=WorkerSettings(data_dir=tmp_path))
    assert find_again(request, record, tmp_path).fingerprint == record.data.fingerprint
    other = replace(record, data=replace(record.data, train=1_000))
    with pytest.raises(BenchError, match="is not the data that it was run on"):
        find_again(request, other, tmp_path)


def test_of_several_sizes_the_latest_is_taken(tmp_path: Path) -> None:
    for samples, finished in ((40, 3), (50, 1), (60, 2)):
        made = result(measurement=replace(TINY_MEASUREMENT, fid_samples=samples))
        (record,) = made.measurements
        record = replace(record, timing=record.timing | {"finished": finished})
        write(Store(tmp_path), replace(made, measurements=(record,)))
    found = results_in(tmp_path)
    assert [each.measurements[0].spec.fid_samples for each in found] == [50, 60, 40]
    assert verify.run_named(found, made.run_id) == found[-1]
    # A size is as late as the last that was measured of it.
    size = replace(found[0].measurements[0].spec, extractor="imagenet")
    (record,) = result(measurement=size).measurements
    Store(tmp_path).write_measured(replace(record, timing=record.timing | {"finished": 4}))
    sizes = [each.measurements[0].spec.fid_samples for each in results_in(tmp_path)]
    assert sizes == [60, 40, 50]


def test_spectra_by_epoch_and_numbers_in_lists_are_compared(tmp_path: Path) -> None:
    before, after = (result(runs_dir=tmp_path / name) for name in "ab")
    for made, value in ((before, 1.0), (after, 2.0)):
        write_spectra(made.folder, np.full((3, 8), value))
    (record,) = after.measurements
    changed = replace(record, metrics=record.metrics | {"real_images": {"fid": [99.0]}})
    found = list(
        verify._compare(before, replace(after, measurements=(changed,)), verify._kept(before), 0.0)
    )
    assert len(found) == 2, found
