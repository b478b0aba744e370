"""The classifiers that are shipped, and how they were trained."""

import pytest
import torch

from bench.data import dataset
from bench.data.images import LoadedData
from bench.data.shapes import generate
from bench.errors import BenchError
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import declared_extractor
from bench.evaluation.extractors.classifier import Classifier, load
from benchmarks import train_classifier as training
from benchmarks.train_classifier import quality, train_classifier

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["mnist-sample", "shape"])
def test_the_shipped_classifiers_know_their_data(name: str, sample: LoadedData) -> None:
    """None of their features is dead."""
    test = sample.test if name == "mnist-sample" else generate(2_000, seed=9)
    network = Extractor.load(declared_extractor("classifier", dataset(name)), CPU).network
    assert isinstance(network, Classifier)
    accuracy, alive = quality(network, dataset(name), test)
    assert accuracy > 0.97
    assert alive >= 126


def test_another_file_in_the_place_of_a_classifier_is_refused() -> None:
    with pytest.raises(BenchError, match="not the weights that the suite is pinned to"):
        load("mnist", "0" * 64, CPU)


def test_training_a_classifier_learns_every_label(
    sample: LoadedData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_THREADS", 1)
    data = dataset("mnist-sample")
    model = train_classifier(sample.train, data, steps=150)
    # 1,024 digits suffice for far better than chance; the whole of MNIST does better still.
    assert quality(model, data, sample.test)[0] > 0.85
    declared, split = dataset("shape"), generate(1000, seed=0)
    shapes = train_classifier(split, declared, steps=60)
    assert shapes.head.out_features == 2 + 6 + 17 + 17 + 8 + 8 + 8
    chance = sum(1 / count for count in declared.classes) / len(declared.classes)
    assert quality(shapes, declared, split)[0] > 1.5 * chance
