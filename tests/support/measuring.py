"""Measuring a model through one extractor, as a worker does."""

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pytorch_fid.fid_score import calculate_frechet_distance

from bench.data.images import LoadedData
from bench.evaluation.evaluate import Evaluation, compare_decoded, evaluate
from bench.evaluation.extractor import Extractor
from bench.evaluation.extractors import DeclaredExtractor
from bench.evaluation.reference import load_reference
from bench.experiments.spec import TrainingSpec
from bench.models.networks import Autoencoder
from tests.support.tiny import TINY_MEASUREMENT


def measured(
    model: Autoencoder,
    training: TrainingSpec,
    data: LoadedData,
    *,
    extractor: Extractor,
    cache: Path,
) -> Evaluation:
    """An evaluation whose metrics include those that need the extractor."""
    found = evaluate(model, training, TINY_MEASUREMENT, data)
    count = min(training.train_images, len(data.train.images))
    reference = load_reference(
        training.dataset, data, TINY_MEASUREMENT, extractor, cache, train_images=count
    )
    compared = compare_decoded(model, found.codes, reference, extractor)
    return replace(found, metrics=found.metrics | compared)


def _every_eighth_pixel(images: torch.Tensor) -> torch.Tensor:
    return images[:, 0, ::8, ::8].flatten(1)


# Its features can be computed by hand.
_DECLARED = DeclaredExtractor("pixels", "", 16, "0" * 64, lambda _: _every_eighth_pixel, 13)
PIXELS = Extractor.load(_DECLARED, torch.device("cpu"))


def pytorch_fid(a: torch.Tensor, b: torch.Tensor) -> float:
    """The distance of two sets of float images through :data:`PIXELS`, by pytorch-fid."""
    features = [_every_eighth_pixel(images).double().numpy() for images in (a, b)]
    statistics = [part for f in features for part in (f.mean(0), np.cov(f.T))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(calculate_frechet_distance(*statistics))
