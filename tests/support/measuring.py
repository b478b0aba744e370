"""Measuring a model through one extractor, as a worker does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.data.images import LoadedData
from bench.evaluation.evaluate import Evaluation, evaluate, look, real_images
from bench.evaluation.extractor import Extractor
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.models.networks import Autoencoder


def measured(
    model: Autoencoder,
    training: TrainingSpec,
    spec: MeasurementSpec,
    data: LoadedData,
    *,
    extractor: Extractor,
    cache: Path,
) -> Evaluation:
    """What is measured of a model, with what the extractor has seen among the metrics."""
    found = evaluate(model, training, spec, data)
    known = real_images(training.dataset, data, spec, extractor, cache)
    return replace(found, metrics=found.metrics | look(model, found.codes, known, extractor))
