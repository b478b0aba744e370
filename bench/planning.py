"""What a request asks for and what of it is missing; nothing here runs anything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from bench.data import dataset
from bench.spec import RunSpec
from bench.store import Record, State, Store

# Images per second of one worker where no finished run tells: one CPU thread (AMD EPYC, AVX-512),
# and eager training on one H100. Evaluation counts each image encoded, decoded or drawn.
_TRAINING = {("mnist", "cpu"): 700.0, ("shape", "cpu"): 900.0, ("celeba", "cpu"): 9.0}
_TRAINING |= {("mnist", "cuda"): 7_900.0, ("shape", "cuda"): 7_900.0, ("celeba", "cuda"): 1_880.0}
# How the rate grows as networks are narrowed: less than the work falls, which is its square.
_NARROWING = 1.45
_EVALUATION = {"cpu": 2_500.0, "cuda": 30_000.0}
# Runs that a GPU trains as one, and up to which width CelebA's network leaves room for others.
_STACK = 16
_NARROW = 1 / 8


# Name and width.
_Network = tuple[str, float]


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan.

    Attributes:
        run_id: identity of the run.
        spec: what it is.
        state: what the store knows of it.
        reason: why it failed, where it did.
        steps_done: steps of an unfinished run that are behind it.
        seconds: estimated time of what is left, on one worker.
    """

    run_id: str
    spec: RunSpec
    state: State
    reason: str
    steps_done: int
    seconds: float


def plan_runs(specs: Iterable[RunSpec], store: Store, device: str) -> list[PlannedRun]:
    """Plan each different run once, in the order in which they are first asked for.

    Args:
        specs: the runs of every requested cell; tables share some.
        store: what is done already.
        device: ``cpu``, ``cuda`` or ``cuda:N``, for the estimate.
    """
    rates = _rates(store.records(), device)
    plan = {}
    for spec in specs:
        run_id = run_id_of(spec)
        if run_id in plan:
            continue
        state = store.state(run_id)
        failure = store.failure(run_id) if state is State.FAILED else None
        done = store.steps_done(run_id) if state is State.STARTED else 0
        plan[run_id] = PlannedRun(
            run_id,
            spec,
            state,
            failure.reason if failure else "",
            done,
            0.0 if state is State.DONE else _estimate(spec, done, rates, device),
        )
    return list(plan.values())


def run_id_of(spec: RunSpec) -> str:
    """The run's identity on its data set as it is declared."""
    return spec.run_id(dataset(spec.dataset).fingerprint)


def groups(
    specs: Sequence[RunSpec], device: str, stack: int | None = None, jobs: int = 1
) -> list[list[RunSpec]]:
    """Runs that are trained together, the longest first.

    Args:
        specs: the runs.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        stack: the most runs in a group. None: those that leave a GPU idle in sixteens, and each
            alone on a CPU, where stacks are slower than a run on each core.
        jobs: groups that are trained at a time; no group takes more than its share.
    """
    alike: dict[RunSpec, list[RunSpec]] = {}
    for spec in sorted(specs, key=lambda spec: (-spec.steps, spec.method, spec.depth)):
        # Depth, scale and seed change no shape but of layers that come in any number; methods that
        # cannot be stacked take turns with those that can.
        shared = replace(spec, method="", parameters=(), depth=0, init_scale=1.0, seed=0)
        alike.setdefault(shared, []).append(spec)
    result = []
    for shared, members in alike.items():
        most = stack or (_STACK if device != "cpu" and _leaves_idle(shared) else 1)
        size = min(most, -(-len(members) // jobs))
        result += [members[i : i + size] for i in range(0, len(members), size)]
    return result


def _leaves_idle(spec: RunSpec) -> bool:
    """Whether a step is too small to fill a GPU; one of CelebA's printed network does."""
    return dataset(spec.dataset).network != "celeba" or spec.width <= _NARROW


def _rates(records: Iterable[Record], device: str) -> dict[_Network, float]:
    """Training rate by network and width, from the runs that were measured on such a device."""
    kind = device.partition(":")[0]
    measured: dict[_Network, list[float]] = {}
    for record in records:
        if (record.provenance["device"] == "cpu") == (kind == "cpu"):
            network = (record.data.network, record.spec.width)
            measured.setdefault(network, []).append(record.timing["images_per_second"])
    return {network: sum(rates) / len(rates) for network, rates in measured.items()}


def _estimate(spec: RunSpec, steps_done: int, rates: dict[_Network, float], device: str) -> float:
    kind, network = device.partition(":")[0], dataset(spec.dataset).network
    guess = _TRAINING[network, kind] / spec.width**_NARROWING
    rate = rates.get((network, spec.width), guess)
    training = (spec.steps - steps_done) * spec.batch_size / rate
    evaluated = spec.train_images + 2 * spec.test_images + 3 * spec.fid_samples
    return training + evaluated / _EVALUATION[device.partition(":")[0]]


def seeds(spec: RunSpec, count: int) -> list[RunSpec]:
    """The run with seeds 0 to count - 1."""
    return [replace(spec, seed=seed) for seed in range(count)]
