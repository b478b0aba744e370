"""What the runs folder keeps of a run: what was trained, what was measured of it, why it failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.data import Dataset
from bench.errors import BenchError
from bench.experiments.spec import MeasurementSpec, TrainingSpec
from bench.store.identity import METRIC_VERSIONS, measurement_id, run_id

# Metrics that are another number through each extractor, and those that only some methods have.
BY_EXTRACTOR = {"fid", "neighbours", "kid", "coverage", "copied", "real_images"}
OF_SOME_METHODS = {"spectrum_sampled"}


@dataclass(frozen=True)
class TrainingRecord:
    """A run that was trained to its end; its final weights lie beside the record, or did once.

    Attributes:
        run_id: the run's identity and the name of its folder.
        data: the data set as it was declared, without its place on the disk.
        weights_sha256: digest of the final weights, see :func:`bench.tensors.state_sha256`.
        spectra_images: test images behind the spectra of every epoch.
        timing: ``seconds`` in training, pauses of the process left out; ``images_per_second``;
            ``finished``, seconds since 1970.
        provenance: commit, versions, hardware, data; of the steps from ``from_step`` on, which is
            0 unless training was stopped and went on under other circumstances.
        earlier: the same of the steps before, as often as the circumstances changed.
        source: SHA-256 of the plugin that the method comes from; empty for the suite's own.
    """

    run_id: str
    spec: TrainingSpec
    data: Dataset
    weights_sha256: str
    spectra_images: int
    timing: dict[str, float]
    provenance: dict[str, Any]
    earlier: list[dict[str, Any]] = field(default_factory=list)
    source: str = ""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> TrainingRecord:
        """Rebuild a record, which must be that of the run that it names.

        Raises:
            BenchError: it is of another run or another protocol.
        """
        data = Dataset(**value["data"] | {"classes": tuple(value["data"]["classes"])})
        spec = TrainingSpec.from_json(value["spec"])
        record = cls(**value | {"spec": spec, "data": data})
        if record.run_id != run_id(spec, data.fingerprint, record.source):
            raise BenchError("the record of another run or protocol")
        return record

    def with_epochs(self, epochs: int) -> str:
        """The identity that the run would have if it had been trained for so many epochs."""
        return run_id(replace(self.spec, epochs=epochs), self.data.fingerprint, self.source)


@dataclass(frozen=True)
class MeasurementRecord:
    """What was measured of a run's weights.

    Attributes:
        weights_sha256: digest of the weights that were measured; those of a run that was trained
            again elsewhere may be others.
        metrics: see :class:`bench.evaluation.evaluate.Evaluation`.
        extractor: ``name`` and ``dimensions`` of the network behind the FIDs; ``checksum``, the
            SHA-256 of its weights, and of its source where it is a plugin's.
        timing: ``seconds`` of measuring; ``finished``, seconds since 1970.
        protocol: version of the code that measured it; records of others are kept and do not count.
        versions: the same of single metrics, where theirs is another.
    """

    run_id: str
    spec: MeasurementSpec
    weights_sha256: str
    metrics: dict[str, Any]
    extractor: dict[str, Any]
    timing: dict[str, float]
    provenance: dict[str, Any]
    protocol: int = 1
    versions: dict[str, int] = field(default_factory=dict)

    @property
    def current(self) -> dict[str, Any]:
        """The metrics that were measured as the code measures them now."""
        return {
            name: value
            for name, value in self.metrics.items()
            if METRIC_VERSIONS.get(name) == self.versions.get(name, self.protocol)
        }

    @property
    def lacks(self) -> list[str]:
        """Metrics that every measurement has by now, and this one does not."""
        wanted = METRIC_VERSIONS.keys() - (OF_SOME_METHODS - self.metrics.keys())
        return sorted(wanted - self.current.keys())

    @property
    def identity(self) -> str:
        """What its files are named after."""
        checksum = self.extractor["checksum"]
        return measurement_id(self.run_id, self.spec, checksum, self.protocol)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> MeasurementRecord:
        """Rebuild a record."""
        record = cls(**value | {"spec": MeasurementSpec.from_json(value["spec"])})
        objects = (record.metrics, record.versions, record.extractor)
        if not all(isinstance(each, dict) for each in objects):
            raise TypeError("metrics, versions and extractor are JSON objects")
        if not isinstance(record.extractor.get("checksum"), str):
            raise TypeError("its extractor has no checksum")
        return record

    def numbers(self) -> Iterator[tuple[str, float]]:
        """Every number that was measured by a name of its own, such as ``fid_gmm10``."""
        yield from _flat(self.current)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}_")
        elif not isinstance(value, list):
            yield prefix + name, value


@dataclass(frozen=True)
class Result:
    """A trained run and what was measured of it: what a table's cell is made of.

    Attributes:
        measurements: one or more, as much each, through different extractors.
    """

    trained: TrainingRecord
    measurements: tuple[MeasurementRecord, ...]
    folder: Path = field(compare=False)

    @property
    def run_id(self) -> str:
        """The run's identity."""
        return self.trained.run_id

    @property
    def spec(self) -> TrainingSpec:
        """What was trained."""
        return self.trained.spec

    @property
    def extractors(self) -> list[str]:
        """Names of the extractors that it was measured through."""
        return [record.spec.extractor for record in self.measurements]

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured, without what an extractor has seen."""
        merged: dict[str, Any] = {}
        for record in reversed(self.measurements):
            merged |= record.current
        return {name: value for name, value in merged.items() if name not in BY_EXTRACTOR}

    def seen(self, extractor: str, metric: str) -> dict[str, Any]:
        """A metric as an extractor has it, by what it is of (``real``, a sampler); else empty."""
        for record in self.measurements:
            if record.spec.extractor == extractor:
                return record.current.get(metric, {})
        return {}


@dataclass(frozen=True)
class FailedRun:
    """A run whose training or measuring failed.

    Attributes:
        reason: one line.
        measurement: what was to be measured, where it was trained; None where training failed.
    """

    run_id: str
    spec: TrainingSpec
    reason: str
    traceback: str
    measurement: MeasurementSpec | None = None

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FailedRun:
        """Rebuild it."""
        spec, measured = TrainingSpec.from_json(value["spec"]), value["measurement"]
        measurement = None if measured is None else MeasurementSpec.from_json(measured)
        return cls(**value | {"spec": spec, "measurement": measurement})
