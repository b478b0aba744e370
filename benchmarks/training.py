"""Training MNIST's network (l = 8, batch 32) against the usual loop, on all CPU cores.

The baseline is how the network is mostly trained: a DataLoader with a worker for each core, PIL
transforms, PyTorch's threads on every core, one model. The suite trains as many models at once as
there are cores, a thread each, as ``run_all.py`` does. Either side trains on as many images.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import joblib
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from bench.data import dataset
from bench.data.idx import parse, read_bytes
from bench.experiments import MNIST_IRMAE
from bench.hardware import core_count, keep_memory
from bench.models.networks import build
from bench.training.loop import LOG_STEPS, train
from bench.training.trainee import Trainee, place
from benchmarks.report import compare, write_json

SAMPLE = dataset("mnist-sample")


class Digits(TorchDataset):  # type: ignore[type-arg]
    """Digits of 28x28, as users of torchvision read them."""

    def __init__(self) -> None:
        """Read the embedded digits."""
        path = Path(SAMPLE.folder) / "train-images-idx3-ubyte.gz"
        self.images = parse(read_bytes(path), str(path))
        self.transform = transforms.Compose([transforms.Resize(32), transforms.ToTensor()])

    def __len__(self) -> int:
        """Number of digits."""
        return len(self.images)

    def __getitem__(self, index: int) -> object:
        """A prepared digit, float (1, 32, 32)."""
        return self.transform(Image.fromarray(self.images[index]))


def usual_loop(steps: int, cores: int) -> None:
    """Train one model on all cores."""
    torch.set_num_threads(cores)
    settings = MNIST_IRMAE
    model = build("mnist", latent_dim=settings.latent_dim, depth=settings.depth)
    model.to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    loader = DataLoader(
        Digits(),
        settings.batch_size,
        shuffle=True,
        num_workers=cores,
        persistent_workers=True,
    )
    done, total = 0, 0.0
    while done < steps:
        for images in loader:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(images), images)
            loss.backward()
            optimizer.step()
            total += loss.item()
            done += 1
            if done == steps:
                break


def suites_loop(steps: int, seed: int, precision: str) -> None:
    """Train one model on one core; runs in a worker."""
    torch.set_num_threads(1)
    keep_memory()
    data = SAMPLE.load(Path("data"))
    device = torch.device("cpu")
    per_epoch = SAMPLE.train // MNIST_IRMAE.batch_size
    spec = replace(
        MNIST_IRMAE,
        dataset=SAMPLE.name,
        train_images=SAMPLE.train,
        epochs=-(-steps // per_epoch),
        precision=precision,
        seed=seed,
    )
    trainee = Trainee(spec, device)
    trainee.step = spec.steps - steps
    failures = train(
        [trainee],
        place(data.train.images, device),
        log=lambda *_: None,
        checkpoint=lambda _: None,
        checkpoint_steps=100 * LOG_STEPS,
    )
    assert not failures  # noqa: S101 - it trained


def main() -> None:
    """Print the ratios, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="of each of the suite's models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    arguments = parser.parse_args()
    cores, steps = core_count(), arguments.steps
    results = []
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=cores, batch_size=1)

        def suite(precision: str, steps: int = steps) -> None:
            pool(joblib.delayed(suites_loop)(steps, seed, precision) for seed in range(cores))

        # Workers are started, and modules imported, once a command and not once a run.
        suite("fp32", 1)
        for precision in ("fp32", "bf16"):
            result = compare(
                f"{precision}, {cores} models on {cores} cores",
                "images/s",
                work=steps * cores * MNIST_IRMAE.batch_size,
                baseline=lambda: usual_loop(steps * cores, cores),
                suite=lambda precision=precision: suite(precision),  # type: ignore[misc]
                rounds=arguments.rounds,
            )
            print(result.line(), flush=True)
            results.append(result)
    write_json(arguments.out, results, cores)


if __name__ == "__main__":
    main()
