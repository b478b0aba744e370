"""Training by each method that reduces the rank, against the plain autoencoder, on one core.

MNIST's network at batch 32. A step by each method of ``--table rank-methods`` and steps by the
plain autoencoder take turns; the ratio is that of their seconds.
"""

import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from bench.data import dataset
from bench.experiments.columns import MNIST_AE
from bench.experiments.rank_methods import COMPARED
from bench.experiments.spec import TrainingSpec
from bench.machine import keep_memory
from bench.training.run_in_training import RunInTraining, to_device
from benchmarks.report import Comparison, compare, options, write_comparisons

CPU = torch.device("cpu")


def steps_of(spec: TrainingSpec, images: torch.Tensor, steps: int) -> Callable[[], None]:
    """Some steps of a run whose first one is taken already."""
    run = RunInTraining(spec, CPU)
    batches = torch.arange(len(images)).split(spec.batch_size)

    def take(count: int) -> None:
        for step in range(count):
            run.take_step(images, batches[step % len(batches)])

    take(1)
    return partial(take, steps)


def methods(steps: int, rounds: int) -> list[Comparison]:
    """Each method's rate of steps against the plain autoencoder's."""
    torch.set_num_threads(1)
    keep_memory()
    sample = dataset("mnist-sample")
    images = to_device(sample.load(Path("data")).train.images, CPU)

    def sized(spec: TrainingSpec) -> TrainingSpec:
        return replace(spec, dataset=sample.name, train_images=sample.train)

    return [
        compare(
            cell.label,
            "steps/s",
            work=steps,
            baseline=steps_of(sized(MNIST_AE), images, steps),
            suite=steps_of(sized(cell.training), images, steps),
            rounds=rounds,
        )
        for cell in COMPARED
        # It is fitted in closed form.
        if cell.training.method != "pca"
    ]


def main() -> None:
    """Print the ratios."""
    arguments = options(__doc__, "methods", steps=30, rounds=5)
    found = methods(arguments.steps, arguments.rounds)
    for each in found:
        times = [1 / ratio for ratio in each.ratios]
        print(
            f"{each.name}: {statistics.median(times):.2f} times the seconds of the AE "
            f"({min(times):.2f} to {max(times):.2f} in {len(times)} rounds)"
        )
    write_comparisons(arguments.out, found, threads=1)


if __name__ == "__main__":
    main()
