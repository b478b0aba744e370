"""How cost grows with the work, each as a ratio to the smallest of its kind, on one core."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import DeclaredExtractor
from bench.evaluation.frechet import fit
from bench.evaluation.samplers import fit_sampler
from bench.experiments.columns import MNIST_IRMAE
from bench.training.run_in_training import RunInTraining
from benchmarks.report import options, write_json

CPU = torch.device("cpu")
STEPS = 20
DIMENSIONS = 128


@dataclass(frozen=True)
class Growth:
    """Seconds of one kind of work by its size, a list of rounds each."""

    name: str
    seconds: dict[int, list[float]]

    def lines(self) -> list[str]:
        """A line for each size: its time over that of the smallest, and over its size."""
        smallest = min(self.seconds)
        base = statistics.median(self.seconds[smallest])
        result = [self.name]
        for size, times in self.seconds.items():
            ratios = [seconds / base for seconds in times]
            result.append(
                f"  {size:>7,}: {statistics.median(ratios):7.2f} times the smallest "
                f"({min(ratios):.2f} to {max(ratios):.2f}), size {size / smallest:.0f} times"
            )
        return result


def grow(
    name: str, sizes: Sequence[int], work: Callable[[int], Callable[[], object]], rounds: int
) -> Growth:
    """Do the same work at every size, round by round.

    Args:
        name: what is done.
        sizes: from small to large.
        work: makes ready for a size, and returns what is timed.
        rounds: how often.
    """
    calls = {size: work(size) for size in sizes}
    seconds: dict[int, list[float]] = {size: [] for size in sizes}
    for call in calls.values():
        # The first call of each finds caches cold and memory unmapped.
        call()
    for _ in range(rounds):
        for size, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[size].append(time.perf_counter() - start)
    return Growth(name, seconds)


def training(latent_dim: int) -> Callable[[], None]:
    """Steps of MNIST's network (l = 8) with a latent space of this size."""
    spec = replace(MNIST_IRMAE, latent_dim=latent_dim, train_images=1_024)
    run = RunInTraining(spec, CPU)
    images = torch.zeros(spec.train_images, 1, 32, 32, dtype=torch.uint8)

    def steps() -> None:
        for _ in range(STEPS):
            run.advance(images)

    return steps


def statistics_of(count: int) -> Callable[[], object]:
    """Mean and covariance of features of so many images, which are made on the way."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, DIMENSIONS))
    declared = DeclaredExtractor("linear", "", DIMENSIONS, "", lambda device: network, 500)
    extractor = Extractor.load(declared, CPU)
    images = torch.rand(250, 1, 32, 32)
    return lambda: fit(extractor.features(images for _ in range(count // len(images))))


def mixture(count: int) -> Callable[[], object]:
    """The headline sampler's fit to so many codes of rank 32."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(count, 32)) ** 3 @ rng.normal(size=(32, DIMENSIONS))
    return lambda: fit_sampler("gmm10", codes.astype(np.float32), 0)


def main() -> None:
    """Print the ratios, and write them."""
    arguments = options(__doc__, "scaling", rounds=3)
    torch.set_num_threads(1)
    images = (1_000, 4_000, 16_000, 60_000)
    results = []
    for name, sizes, work in (
        (f"{STEPS} steps at batch 32, by latent dimension", (32, 64, 128, 256, 512), training),
        ("statistics of features, by images", images, statistics_of),
        ("gmm10 fitted to codes of rank 32, by codes", images[:3], mixture),
    ):
        result = grow(name, sizes, work, arguments.rounds)
        print("\n".join(result.lines()), flush=True)
        results.append(asdict(result))
    write_json(arguments.out, threads=1, growth=results)


if __name__ == "__main__":
    main()
