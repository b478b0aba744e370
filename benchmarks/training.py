"""Training MNIST's network (l = 8, batch 32) against the usual loop, on all CPU cores or one GPU.

The baseline is how the network is mostly trained: a DataLoader with a worker for each core, PIL
transforms, PyTorch's threads on every core, one model. On CPUs the suite trains as many models at
once as there are cores, a thread each; on a GPU as many as are asked for, side by side: as
``run_all.py`` does. What is compared is images a second, all models together; 32 of them are a
step. Where pythae is installed (Chadebec et al., NeurIPS 2022), its trainer is a second baseline.
"""

import argparse
import importlib.util
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import joblib
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import transforms

from bench.data import dataset, idx
from bench.experiments.columns import MNIST_IRMAE
from bench.experiments.spec import TrainingSpec
from bench.machine import core_count, keep_memory
from bench.models.networks import initial_model
from bench.training.loop import LOG_STEPS, train
from bench.training.run_in_training import RunInTraining, to_device
from benchmarks.report import compare, write_comparisons

SAMPLE = dataset("mnist-sample")


class Digits(TorchDataset):  # type: ignore[type-arg]
    """Digits of 28x28, as users of torchvision read them."""

    def __init__(self) -> None:
        """Read the embedded digits."""
        path = Path(SAMPLE.folder) / "train-images-idx3-ubyte.gz"
        self.images = idx.read(path).array
        self.transform = transforms.Compose([transforms.Resize(32), transforms.ToTensor()])

    def __len__(self) -> int:
        """Number of digits."""
        return len(self.images)

    def __getitem__(self, index: int) -> object:
        """A prepared digit, float (1, 32, 32)."""
        return self.transform(Image.fromarray(self.images[index]))


def usual_loop(steps: int, cores: int, device: torch.device) -> None:
    """Train one model on all cores, or with their help."""
    torch.set_num_threads(cores)
    settings = MNIST_IRMAE
    model = initial_model(settings)
    model.to(device).to(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    loader = DataLoader(
        Digits(),
        settings.batch_size,
        shuffle=True,
        num_workers=cores,
        persistent_workers=True,
    )
    total = 0.0
    for batch in itertools.islice(itertools.chain.from_iterable(itertools.repeat(loader)), steps):
        images = batch.to(device)
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(images), images)
        loss.backward()
        optimizer.step()
        total += loss.item()


def pythaes_trainer(steps: int, cores: int, device: torch.device) -> None:
    """Train one model by pythae's trainer, with images that lie in memory."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import AE, AEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self, *parts: torch.nn.Module) -> None:
            super().__init__()
            self.parts = torch.nn.Sequential(*parts)

        def forward(self, images: torch.Tensor) -> ModelOutput:
            return ModelOutput(embedding=self.parts(images))

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self, part: torch.nn.Module) -> None:
            super().__init__()
            self.part = part

        def forward(self, codes: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.part(codes))

    torch.set_num_threads(cores)
    settings = MNIST_IRMAE
    parts = initial_model(settings)
    parts.to(memory_format=torch.contiguous_format)
    form = AEConfig(input_dim=(1, 32, 32), latent_dim=settings.latent_dim)
    model = AE(form, Encoder(parts.encoder, parts.linear), Decoder(parts.decoder))
    images = SAMPLE.load(Path("data")).train.images.float().contiguous() / 255
    count = steps * settings.batch_size
    images = images.repeat(-(-count // len(images)), 1, 1, 1)[:count]
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=1,
            learning_rate=settings.learning_rate,
            per_device_train_batch_size=settings.batch_size,
            no_cuda=device.type == "cpu",
        )
        labels = torch.zeros(count)
        BaseTrainer(model, BaseDataset(images, labels), training_config=config).train()


def trained(specs: Sequence[TrainingSpec], steps: int, device: torch.device) -> list[RunInTraining]:
    """Take the last so many steps of runs on the embedded digits, as the suite's workers do."""
    data = SAMPLE.load(Path("data"))
    epochs = -(-steps // (SAMPLE.train // MNIST_IRMAE.batch_size))
    sized = (
        replace(spec, dataset=SAMPLE.name, train_images=SAMPLE.train, epochs=epochs)
        for spec in specs
    )
    group = [RunInTraining(spec, device) for spec in sized]
    for run in group:
        run.step = run.spec.steps - steps
    failures = train(
        group,
        to_device(data.train.images, device),
        data.test.images,
        log=lambda _: None,
        checkpoint=lambda _: None,
        checkpoint_steps=100 * LOG_STEPS,
    )
    for failure in failures.values():
        raise failure
    return group


def suites_loop(steps: int, seeds: Sequence[int], precision: str, device: torch.device) -> None:
    """Train a model for each seed as the suite's workers do."""
    torch.set_num_threads(1)
    keep_memory()
    specs = [replace(MNIST_IRMAE, precision=precision, seed=seed) for seed in seeds]
    trained(specs, steps, device)


@dataclass(frozen=True)
class _Case:
    """What the suite does in one comparison."""

    name: str
    models: int
    call: Callable[[], object]


def on_cpu(steps: int, cores: int) -> Iterator[_Case]:
    """A model on each core."""
    with joblib.parallel_config("loky", inner_max_num_threads=1):
        pool = joblib.Parallel(n_jobs=cores, batch_size=1)

        def suite(precision: str, steps: int) -> None:
            work = joblib.delayed(suites_loop)
            pool(work(steps, [seed], precision, torch.device("cpu")) for seed in range(cores))

        # Workers are started, and modules imported, once a command and not once a run.
        suite("fp32", 1)
        for precision in ("fp32", "bf16"):
            name = f"{precision}, {cores} models on {cores} cores"
            yield _Case(name, cores, partial(suite, precision, steps))


def on_gpu(steps: int, counts: Sequence[int], device: torch.device) -> Iterator[_Case]:
    """So many models side by side."""
    for count, precision in itertools.product(counts, ("fp32", "tf32")):
        call = partial(suites_loop, steps, range(count), precision, device)
        call()
        name = f"{precision}, {count} models side by side on {torch.cuda.get_device_name(device)}"
        yield _Case(name, count, call)


def main() -> None:
    """Print the ratios, and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="of each of the suite's models")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--models", type=int, nargs="+", default=[1, 16, 32], help="side by side on a GPU"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/training.json"))
    arguments = parser.parse_args()
    cores, steps, device = core_count(), arguments.steps, arguments.device
    baselines = {"the usual loop": usual_loop}
    if importlib.util.find_spec("pythae"):
        baselines["pythae's trainer"] = pythaes_trainer
    if device.type == "cpu":
        # One model on all cores gets as many steps as there are models.
        cases, baseline_steps = on_cpu(steps, cores), steps * cores
    else:
        cases, baseline_steps = on_gpu(steps, arguments.models, device), steps
    results = []
    for case in cases:
        for baseline, call in baselines.items():
            result = compare(
                f"{case.name}, against {baseline}",
                "images/s",
                work=steps * case.models * MNIST_IRMAE.batch_size,
                baseline_work=baseline_steps * MNIST_IRMAE.batch_size,
                baseline=partial(call, baseline_steps, cores, device),
                suite=case.call,
                rounds=arguments.rounds,
            )
            print(result.line(), flush=True)
            results.append(result)
    write_comparisons(arguments.out, results, cores, str(device))


if __name__ == "__main__":
    main()
