import math
from dataclasses import replace

import pytest

from bench.campaign.job import Job
from bench.campaign.plan import LACKS_WEIGHTS, Estimate, PlannedRun, State, groups, plan_runs
from bench.campaign.runs import identity_of
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.files import write_bytes
from bench.store import identity
from bench.store.folders import Runs, Store
from bench.store.identity import run_id
from bench.store.records import FailedRun
from tests.support.results import result, write
from tests.support.tiny import TINY, TINY_MEASUREMENT

SHORT = replace(TINY, epochs=1)
RESULT = result()
RUN_ID = RESULT.run_id


def _job(spec: TrainingSpec = TINY, measurement: MeasurementSpec = TINY_MEASUREMENT) -> Job:
    return Job(identity_of(spec), spec, (measurement,))


def _jobs(specs: list[TrainingSpec]) -> list[Job]:
    return list(map(_job, specs))


def test_seeds_are_trained_in_turns_so_that_every_cell_has_one_first() -> None:
    for name, values in (("depth", (2, 4)), ("latent_dim", (8, 16)), ("epochs", (1, 2))):
        changes = [{name: value, "seed": seed} for value in values for seed in (0, 1)]
        specs = [replace(SHORT, **change) for change in changes]  # type: ignore[arg-type]
        order = [job.training for (job,) in groups(_jobs(specs), "cpu")]
        assert [spec.seed for spec in order] == [0, 0, 1, 1]


def test_groups_are_of_runs_that_share_shapes_and_data() -> None:
    depths = [replace(SHORT, depth=depth) for depth in (2, 4, 12)]
    autoencoder = replace(SHORT, method="ae", depth=0)
    wide, long = replace(SHORT, latent_dim=16), replace(SHORT, epochs=9)
    specs = [*depths, wide, autoencoder, long]
    on_gpu = groups(_jobs(specs), "cuda")
    assert on_gpu == [_jobs([long]), _jobs([*depths, autoencoder]), _jobs([wide])]
    alone = groups(_jobs(specs), "cpu")
    assert alone == [[job] for group in on_gpu for job in group]
    many = _jobs(depths * 7)
    assert [len(group) for group in groups(many, "cuda:1")] == [16, 5]
    assert [len(group) for group in groups(_jobs(depths), "cuda", together=2)] == [2, 1]
    faces = replace(SHORT, dataset="shape-64")
    narrow = replace(faces, width=1 / 32)
    assert [len(group) for group in groups(_jobs([faces] * 2), "cuda")] == [1, 1]
    assert [len(group) for group in groups(_jobs([narrow] * 2), "cuda")] == [2]


def test_what_is_to_be_tried_again_stays_failed_until_it_has_been(store: Store) -> None:
    job = _job(SHORT)
    store.write_failure(FailedRun(job.run_id, SHORT, "no memory", "Traceback ..."))
    estimate = Estimate([], "cpu")
    for retry, state in ((True, State.TO_TRAIN), (False, State.FAILED)):
        (planned,) = plan_runs([job], store.read(), store, estimate, retry=retry)
        assert planned.state is state


def test_a_run_that_is_forced_does_not_begin_at_the_end_of_a_shorter_one(store: Store) -> None:
    longer = replace(SHORT, epochs=2)
    short = result(SHORT)
    write(store, short)
    write_bytes(store.checkpoint(short.run_id), b"")
    write_bytes(store.history(short.run_id), b'{"step": 2, "epoch": 1, "loss": 1}\n')
    job = _job(longer)
    for since, state in ((0.0, State.STARTED), (math.inf, State.TO_TRAIN)):
        (planned,) = plan_runs([job], Runs(store.root), store, Estimate([], "cpu"), since=since)
        assert planned.state is state


def test_a_method_in_closed_form_shortens_no_other_methods_estimate(store: Store) -> None:
    rates = {"ae": 100.0, "vae": 90.0, "pca": 1e6}
    for method, rate in rates.items():
        found = result(replace(SHORT, method=method, depth=0))
        timing = {"seconds": 1.0, "images_per_second": rate, "finished": 1}
        store.write_trained(replace(found.trained, timing=timing))
    jobs = _jobs([replace(SHORT, method=name, depth=0, seed=1) for name in (*rates, "rae")])
    runs = store.read()
    plan = plan_runs(jobs, runs, store, Estimate(runs.values(), "cpu"))
    images = SHORT.steps * SHORT.batch_size
    assert [images / planned.training_seconds for planned in plan] == [100, 90, 1e6, 100]


def test_runs_of_other_images_are_never_trained_together() -> None:
    for other in (replace(SHORT, train_images=32), replace(SHORT, dataset="mnist")):
        assert len(groups(_jobs([SHORT, other]), "cuda")) == 2


def _plan(store: Store, *jobs: Job, insist: bool = False) -> list[PlannedRun]:
    runs = store.read()
    return plan_runs(jobs, runs, store, Estimate(runs.values(), "cpu"), insist=insist)


def test_a_failure_is_shown_until_a_record_replaces_it(store: Store) -> None:
    store.write_failure(FailedRun(RUN_ID, TINY, "loss became nan", "Traceback ..."))
    (planned,) = _plan(store, _job())
    assert (planned.state, planned.reason) == (State.FAILED, "loss became nan")
    write(store, RESULT)
    (planned,) = _plan(store, _job())
    assert planned.state is State.DONE
    assert store.read_folder(RUN_ID).failure is None


def test_what_cannot_be_measured_again_without_weights_is_no_failure(store: Store) -> None:
    """One extractor has seen a run, another one failed, and the weights are gone."""
    other = replace(TINY_MEASUREMENT, extractor="imagenet")
    write(store, RESULT)
    store.write_failure(FailedRun(RUN_ID, TINY, "no memory", "", other))
    job = Job(RUN_ID, TINY, (TINY_MEASUREMENT, other))
    (planned,) = _plan(store, job)
    assert (planned.state, planned.unmeasured) == (State.DONE, ("imagenet",))
    assert _plan(store, job, insist=True)[0].state is State.FAILED


def test_a_failure_of_measuring_is_of_that_measurement_alone(store: Store) -> None:
    store.write_trained(RESULT.trained)
    write_bytes(store.weights(RUN_ID), b"")
    store.write_failure(FailedRun(RUN_ID, TINY, "no memory", "", TINY_MEASUREMENT))
    other = _job(measurement=replace(TINY_MEASUREMENT, fid_samples=50))
    assert [_plan(store, job)[0].state for job in (_job(), other)] == [State.FAILED, State.TRAINED]
    # What is to be trained again says nothing of measuring.
    (store.folder(RUN_ID) / "training.json").unlink()
    assert _plan(store, _job())[0].state is State.TO_TRAIN


def test_plan_knows_each_state(store: Store) -> None:
    failed, started, fresh, trained = (replace(TINY, seed=seed) for seed in (1, 2, 3, 4))
    write(store, RESULT)
    store.write_failure(FailedRun(_job(failed).run_id, failed, "why", ""))
    write_bytes(store.checkpoint(_job(started).run_id), b"")
    write_bytes(store.history(_job(started).run_id), b'{"step": 7}\n')
    store.write_trained(result(trained).trained)
    write_bytes(store.weights(_job(trained).run_id), b"")
    jobs = [_job(spec) for spec in (TINY, failed, started, fresh, trained)]
    plan = _plan(store, *jobs)
    assert [p.state for p in plan] == ["done", "failed", "started", "to train", State.TRAINED]
    assert (plan[1].reason, plan[2].steps_done) == ("why", 7)
    assert plan[0].training_seconds == 0 < plan[2].training_seconds < plan[3].training_seconds
    # 12 steps of 16 images at the 640 images/s of the finished runs, which were measured in 0.5 s.
    assert plan[3].training_seconds == pytest.approx(12 * 16 / 640)
    assert [p.measuring_seconds for p in plan] == [0, 0, 0.5, 0.5, 0.5]
    assert plan[4].training_seconds == 0


def test_estimates_are_of_runs_of_the_same_precision(store: Store) -> None:
    fast = result(replace(TINY, precision="bf16", seed=5))
    timing = fast.trained.timing | {"images_per_second": 1e6}
    write(store, RESULT, replace(fast, trained=replace(fast.trained, timing=timing)))
    both = _plan(store, _job(replace(TINY, seed=9)), _job(replace(TINY, precision="bf16", seed=9)))
    assert [p.training_seconds for p in both] == pytest.approx([192 / 640, 192 / 1e6])


def test_estimates_are_of_runs_that_were_trained_on_one_kind_of_device(store: Store) -> None:
    fast = result(replace(TINY, seed=5))
    both_kinds = replace(
        fast.trained,
        timing=fast.trained.timing | {"images_per_second": 1e6},
        earlier=[fast.trained.provenance | {"device": "a GPU", "from_step": 0}],
    )
    write(store, RESULT, replace(fast, trained=both_kinds))
    (planned,) = _plan(store, _job(replace(TINY, seed=9)))
    assert planned.training_seconds == pytest.approx(192 / 640)


def test_a_run_without_its_weights_is_measured_anew_by_training_it_again(store: Store) -> None:
    write(store, RESULT)
    other = _job(measurement=replace(TINY_MEASUREMENT, fid_samples=50))
    (planned,) = _plan(store, other)
    assert (planned.state, planned.reason) == (State.TO_TRAIN, LACKS_WEIGHTS)
    write_bytes(store.weights(RUN_ID), b"")
    (planned,) = _plan(store, other)
    assert planned.state is State.TRAINED


def test_a_measurement_by_other_weights_of_the_extractor_does_not_count(store: Store) -> None:
    (record,) = RESULT.measurements
    other = replace(record, extractor=record.extractor | {"checksum": "ab" * 32})
    write(store, replace(RESULT, measurements=(other,)))
    assert [p.state for p in _plan(store, _job())] == [State.TO_TRAIN]
    write(store, RESULT)
    assert [p.state for p in _plan(store, _job())] == [State.DONE]


def test_a_run_is_measured_through_every_extractor_that_is_asked_for(store: Store) -> None:
    """Where its weights are gone, what others have seen will do, unless one insists."""
    write(store, RESULT)
    both = tuple(replace(TINY_MEASUREMENT, extractor=name) for name in ("classifier", "imagenet"))
    job = replace(_job(), measurements=both)
    (planned,) = _plan(store, job)
    assert (planned.state, planned.unmeasured) == (State.DONE, ("imagenet",))
    (planned,) = _plan(store, job, insist=True)
    assert (planned.state, planned.reason) == (State.TO_TRAIN, LACKS_WEIGHTS)
    write_bytes(store.weights(RUN_ID), b"")
    (planned,) = _plan(store, job)
    assert planned.state is State.TRAINED
    write(store, result(extractors=["imagenet"]))
    (planned,) = _plan(store, job, insist=True)
    assert (planned.state, planned.unmeasured) == (State.DONE, ())


def test_a_metric_that_comes_later_leaves_measurements_valid(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is measured where the weights are at hand; one whose code changes no longer counts."""
    write(store, RESULT)
    monkeypatch.setitem(identity.METRIC_VERSIONS, "sharpness", 3)
    folder = store.read_folder(RUN_ID)
    assert folder.measured == RESULT.measurements
    assert folder.measured[0].lacks == ["sharpness"]
    for insist in (False, True):
        assert [p.state for p in _plan(store, _job(), insist=insist)] == [State.DONE]
    write_bytes(store.weights(RUN_ID), b"")
    assert [p.state for p in _plan(store, _job())] == [State.TRAINED]
    assert identity.other_versions() == {"sharpness": 3}
    later = replace(
        RESULT.measurements[0],
        metrics=RESULT.measurements[0].metrics | {"sharpness": 0.1},
        versions={"sharpness": 3},
    )
    store.write_measured(later)
    assert [p.state for p in _plan(store, _job())] == [State.DONE]
    monkeypatch.setitem(identity.METRIC_VERSIONS, "fid", 3)
    (record,) = store.read_folder(RUN_ID).measured
    assert record.lacks == ["fid"]
    assert "fid" not in record.current
    # A VAE has a spectrum that others never have.
    monkeypatch.setitem(identity.METRIC_VERSIONS, "spectrum_sampled", 3)
    of_vae = replace(record, metrics=record.metrics | {"spectrum_sampled": [1.0]})
    assert (record.lacks, of_vae.lacks) == (["fid"], ["fid", "spectrum_sampled"])
    assert record.current["test_mse"] == RESULT.metrics["test_mse"]


def test_records_of_data_that_are_unknown_by_now_do_not_disturb_a_plan(store: Store) -> None:
    spec = replace(TINY, dataset="holiday-pictures")
    strange = replace(
        RESULT.trained, run_id=run_id(spec, RESULT.trained.data.fingerprint), spec=spec
    )
    store.write_trained(strange)
    assert [p.state for p in _plan(store, _job())] == [State.TO_TRAIN]
