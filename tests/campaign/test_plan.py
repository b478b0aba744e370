import math
from dataclasses import replace
from pathlib import Path

from bench.campaign.job import Job
from bench.campaign.plan import Estimate, State, groups, plan_runs
from bench.experiments.spec import TrainingSpec
from bench.files import write_bytes
from bench.store.folders import Runs, Store
from bench.store.records import FailedRun
from tests.support.results import result, write
from tests.support.tiny import TINY, TINY_MEASUREMENT

SHORT = replace(TINY, epochs=1)


def _jobs(specs: list[TrainingSpec]) -> list[Job]:
    return [Job(spec.name, spec, (TINY_MEASUREMENT,)) for spec in specs]


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


def test_what_is_to_be_tried_again_stays_failed_until_it_has_been(tmp_path: Path) -> None:
    store = Store(tmp_path)
    job = Job(result(SHORT).run_id, SHORT, (TINY_MEASUREMENT,))
    store.write_failure(FailedRun(job.run_id, SHORT, "no memory", "Traceback ..."))
    estimate = Estimate([], "cpu")
    for retry, state in ((True, State.TO_TRAIN), (False, State.FAILED)):
        (planned,) = plan_runs([job], store.read(), store, estimate, retry=retry)
        assert planned.state is state


def test_a_run_that_is_forced_does_not_begin_at_the_end_of_a_shorter_one(tmp_path: Path) -> None:
    store, longer = Store(tmp_path), replace(SHORT, epochs=2)
    short = result(SHORT)
    write(store, short)
    write_bytes(store.checkpoint(short.run_id), b"")
    write_bytes(store.history(short.run_id), b'{"step": 2, "epoch": 1, "loss": 1}\n')
    job = Job(result(longer).run_id, longer, (TINY_MEASUREMENT,))
    for since, state in ((0.0, State.STARTED), (math.inf, State.TO_TRAIN)):
        (planned,) = plan_runs([job], Runs(tmp_path), store, Estimate([], "cpu"), since=since)
        assert planned.state is state


def test_a_method_in_closed_form_shortens_no_other_methods_estimate(tmp_path: Path) -> None:
    store = Store(tmp_path)
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
