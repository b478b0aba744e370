"""How much work a run does: the same experiments at the paper's size, at a laptop's, at CI's."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.data import dataset
from bench.experiments.spec import MeasurementSpec, TrainingSpec


@dataclass(frozen=True)
class Profile:
    """Limits laid over the paper's settings.

    Attributes:
        name: value of ``--profile``.
        summary: one line for ``--help``, tables and logs.
        epochs: passes over the training images, or None for the spec's own. A run that is declared
            with more than the usual 50 is trained as many times longer here, too.
        train_images: at most this many training images, spread over the split, or None for all of
            the data's; a run's own number is not read.
        test_images: at most this many test images, likewise.
        fid_samples: images drawn from each sampler.
        extractors: ``--extractor`` where it is not given: ``classifier``, of data that one is
            shipped for, takes seconds; the others take minutes a run of two CPU cores.
        datasets: data sets that this profile replaces by another.
        stand_ins: the same, where the data cannot be found on this machine.
        networks: settings of the runs whose data are of a network of Table 1, and of how much is
            measured of them.
    """

    name: str
    summary: str
    epochs: int | None = None
    train_images: int | None = None
    test_images: int | None = None
    fid_samples: int = 10_000
    extractors: tuple[str, ...] = ("classifier", "auto")
    datasets: Mapping[str, str] = field(default_factory=dict)
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    networks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def apply(self, run: TrainingSpec) -> tuple[TrainingSpec, MeasurementSpec]:
        """The run at this profile's size, on the data that it names, and what is measured of it."""
        data = dataset(run.dataset)
        settings = dict(self.networks.get(data.network, {}))
        settings["width"] = min(run.width, settings.get("width", run.width))
        train_images = settings.pop("train_images", self.train_images or data.train)
        test_images = settings.pop("test_images", self.test_images or data.test)
        longer = max(1, run.epochs / TrainingSpec.epochs)
        shrunk = replace(
            run,
            epochs=min(run.epochs, round((self.epochs or run.epochs) * longer)),
            train_images=min(data.train, train_images),
        )
        measurement = MeasurementSpec(
            test_images=min(data.test, test_images),
            fid_samples=settings.pop("fid_samples", self.fid_samples),
        )
        return replace(shrunk, **settings), measurement


# Largest first: where cached runs of several profiles fill a table equally, the first one wins.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("paper", "full data, 50 epochs"),
        Profile(
            "overnight",
            "8,192 training images, 40 epochs: what two CPU cores train in a night",
            epochs=40,
            train_images=8_192,
            fid_samples=2_000,
            stand_ins={"celeba": "celeba-10k"},
            networks={"celeba": {"width": 1 / 8}},
        ),
        Profile(
            "quick",
            "8,192 training images, 7 epochs",
            epochs=7,
            train_images=8_192,
            test_images=2_500,
            fid_samples=2_500,
            extractors=("classifier",),
            stand_ins={"celeba": "shape-64"},
            # The printed network takes ten seconds a step of one core; 1/32 of its channels learn
            # nothing in so few steps where the latent dimension is 256 or more.
            networks={"celeba": {"width": 1 / 16, "test_images": 1_000, "fid_samples": 1_000}},
        ),
        Profile(
            "smoke",
            "up to 1,024 embedded or generated images, 4 epochs: whether it runs, and no more",
            epochs=4,
            train_images=1_024,
            test_images=512,
            fid_samples=512,
            extractors=("classifier",),
            datasets={"mnist": "mnist-sample", "celeba": "shape-64"},
            networks={
                "celeba": {
                    "width": 1 / 64,
                    "train_images": 512,
                    "test_images": 64,
                    "fid_samples": 64,
                }
            },
        ),
    )
}
