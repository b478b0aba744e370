"""What is trained, what is measured and what a table is: frozen declarations."""

# So that the types of fields are texts, by which values are read and checked below.
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from bench.errors import UsageError, unknown

PRECISIONS = ("fp32", "tf32", "bf16")
ARCHITECTURES = ("table1", "rae")
# Samplers that are fitted to training codes, and the standard normal prior of methods with one.
FITTED = ("gmm10", "gmm4", "mvg")
PRIOR = "prior"
SAMPLERS = (*FITTED, PRIOR)
# The sampler whose samples are kept as images and named in logs; tables have a row for each.
HEADLINE_SAMPLER = "gmm10"

OVERRIDE_ALIASES = {"lr": "learning_rate"}
# Fields that have a flag of their own or that a table's declaration owns.
_NOT_SETTABLE = {
    "dataset": "use --dataset",
    "method": "it is declared in bench/experiments/tables.py",
    "seed": "use --seeds",
    "extractor": "use --extractor",
    "architecture": "it is declared in bench/experiments/tables.py",
}


# Marks a field that came later: while it has its default it is neither part of an identity nor
# asked for in a record, so that what was run before stays what it was.
ADDED = {"added": True}
# Earlier names of fields, by which they are still hashed.
_FIRST_NAMES = {"extractor": "features"}


@dataclass(frozen=True)
class TrainingSpec:
    """Everything that changes the weights of one training run, and nothing else.

    Attributes:
        dataset: name in :data:`bench.data.DATASETS`.
        method: name of a method, see :mod:`bench.models.methods`.
        latent_dim: size of the code z, at least 1.
        depth: number l of bias-free linear layers between encoder and decoder; 0 for most methods.
        init_scale: factor on the default initial *weights* (standard deviation) of those layers;
            the paper's "variance 2x" read as in docs/decisions.md.
        parameters: what the method's own loss takes, such as the VAE's ``("beta", 0.1)``; sorted.
        learning_rate: Adam's, the supplement's Table 2.
        batch_size: images per step, Table 2.
        epochs: passes over the training images.
        shuffle: whether each epoch visits the images in a new order.
        train_images: images trained on, spread over the training split.
        precision: ``fp32``, ``tf32`` (GPU only) or ``bf16`` (autocast) arithmetic in training.
        seed: seeds the initial weights, the order of the images and noise.
        architecture: ``table1``, the supplement's, or that of the ``rae``'s paper, see
            :mod:`bench.models.networks`.
        width: factor on the networks' numbers of channels, for machines that the printed ones are
            too large for.

    Raises:
        UsageError: a value is out of range, or contradicts the method.
    """

    dataset: str
    method: str
    latent_dim: int
    depth: int = 0
    init_scale: float = 1.0
    parameters: tuple[tuple[str, float], ...] = ()
    learning_rate: float = 1e-4
    batch_size: int = 32
    epochs: int = 50
    shuffle: bool = True
    train_images: int = 60_000
    precision: str = "fp32"
    seed: int = 0
    architecture: str = "table1"
    width: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what could not be trained; 8 and 8.0 are one value, and so one identity."""
        for f in fields(self):
            if f.type == "float":
                object.__setattr__(self, f.name, float(getattr(self, f.name)))
        numbers = tuple((name, float(value)) for name, value in self.parameters)
        object.__setattr__(self, "parameters", numbers)
        for name, known in (("precision", PRECISIONS), ("architecture", ARCHITECTURES)):
            if getattr(self, name) not in known:
                raise unknown(name, str(getattr(self, name)), known)
        _at_least(self, {"latent_dim": 1, "batch_size": 1, "epochs": 1, "train_images": 2})
        _at_least(self, {"depth": 0, "seed": 0})
        for name in ("learning_rate", "init_scale", "width"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be positive and finite, not {getattr(self, name)}")
        if list(self.parameters) != sorted(dict(self.parameters).items()):
            raise UsageError(f"parameters must be sorted and different: {self.parameters}")
        for name, value in self.parameters:
            if not 0 <= value < float("inf"):
                raise UsageError(f"{name} must be at least 0 and finite, not {value}")

    @property
    def name(self) -> str:
        """Readable name, shared by specs that differ in training settings only."""
        method = self.method + ("" if self.architecture == "table1" else "-original")
        depth = f"-l{self.depth}" if self.depth else ""
        scale = f"-x{self.init_scale:.4g}" if self.init_scale != 1 else ""
        return f"{self.dataset}-{method}-d{self.latent_dim}{depth}{scale}-s{self.seed}"

    def parameter(self, name: str) -> float:
        """A parameter of the method's own; UsageError where the spec has none of that name."""
        try:
            return dict(self.parameters)[name]
        except KeyError:
            raise UsageError(f"{self.method} needs the parameter {name!r} in its spec") from None

    def settable(self) -> set[str]:
        """Names that :meth:`with_settings` takes: fields, and the method's own parameters."""
        names = {f.name for f in fields(self)} - {"parameters"} | set(dict(self.parameters))
        # A method without linear layers cannot be given a depth.
        return names if self.depth else names - {"depth", "init_scale"}

    def with_settings(self, settings: Mapping[str, Any]) -> TrainingSpec:
        """Copy with fields and parameters set by name, as far as this run has them."""
        own = {name: value for name, value in settings.items() if name in self.settable()}
        parameters = dict(self.parameters)
        changed = {name: own.pop(name) for name in parameters if name in own}
        return replace(self, **own, parameters=tuple(sorted((parameters | changed).items())))

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run; an incomplete last batch counts as one."""
        return self.epochs * self.steps_per_epoch

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of one epoch."""
        return -(-self.train_images // self.batch_size)

    @classmethod
    def from_json(cls, values: object) -> TrainingSpec:
        """Rebuild a spec from its JSON object, refusing unknown, missing or mistyped fields."""
        checked = _checked_fields(cls, values)
        try:
            return cls(**checked)
        except (TypeError, ValueError) as error:
            given = checked["parameters"]
            raise UsageError(f"not a TrainingSpec: parameters are {given!r}") from error


@dataclass(frozen=True)
class MeasurementSpec:
    """Everything that changes what is measured of given weights, and nothing else.

    Attributes:
        extractor: name of the network behind the FID, see :mod:`bench.evaluation.extractors`.
        test_images: images that are measured on, spread over the test split.
        fid_samples: images drawn from each sampler for its FID.

    Raises:
        UsageError: a value is out of range.
    """

    extractor: str = "inception"
    test_images: int = 10_000
    fid_samples: int = 10_000

    def __post_init__(self) -> None:
        """Refuse what could not be measured."""
        _at_least(self, {"test_images": 2, "fid_samples": 2})

    @classmethod
    def from_json(cls, values: object) -> MeasurementSpec:
        """Rebuild a spec from its JSON object, refusing unknown, missing or mistyped fields."""
        if isinstance(values, Mapping):
            now = {first: name for name, first in _FIRST_NAMES.items()}
            values = {now.get(name, name): value for name, value in values.items()}
        return cls(**_checked_fields(cls, values))


def _at_least(spec: object, smallest: Mapping[str, int]) -> None:
    for name, least in smallest.items():
        if getattr(spec, name) < least:
            raise UsageError(f"{name} must be at least {least}, not {getattr(spec, name)}")


def identifying(spec: TrainingSpec | MeasurementSpec) -> dict[str, Any]:
    """The fields of a spec that its identity is made of."""
    later = {f.name: f.default for f in fields(spec) if "added" in f.metadata}
    return {
        _FIRST_NAMES.get(name, name): value
        for name, value in asdict(spec).items()
        if later.get(name, ...) != value
    }


def _checked_fields(cls: type[Any], values: object) -> Mapping[str, Any]:
    """The fields of a spec in JSON, each of its type; those that came later may be left out."""
    types = {f.name: str(f.type) for f in fields(cls)}
    if not isinstance(values, Mapping):
        raise UsageError(f"not a {cls.__name__}: {values!r}")
    values = {f.name: f.default for f in fields(cls) if "added" in f.metadata} | dict(values)
    if differing := sorted(set(values) ^ set(types)):
        raise UsageError(f"not a {cls.__name__}: fields differ in {differing}")
    for name, value in values.items():
        if name != "parameters" and type(value).__name__ != types[name]:
            raise UsageError(f"not a {cls.__name__}: {name} = {value!r} is not {types[name]}")
    return values


def parse_overrides(assignments: Sequence[str], parameters: Iterable[str] = ()) -> dict[str, Any]:
    """Turn ``--set`` arguments such as ``epochs=5`` or ``lr=3e-4`` into typed values.

    Names of methods' own ``parameters`` are taken, too.

    Raises:
        UsageError: no ``=``, an unknown key (the nearest are named), one that has its own flag,
            or a value of the wrong type.
    """
    declared = (*fields(TrainingSpec), *fields(MeasurementSpec))
    types = {f.name: str(f.type) for f in declared if f.name != "parameters"}
    types |= dict.fromkeys(parameters, "float")
    overrides: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = OVERRIDE_ALIASES.get(key.strip(), key.strip())
        if not equals:
            raise UsageError(f"--set takes key=value, not {assignment!r}")
        if key in _NOT_SETTABLE:
            raise UsageError(f"--set cannot change {key}: {_NOT_SETTABLE[key]}")
        if key not in types:
            raise unknown("--set key", key, set(types) - set(_NOT_SETTABLE) | set(OVERRIDE_ALIASES))
        text = text.strip()
        try:
            overrides[key] = _PARSERS[types[key]](text)
        except (KeyError, ValueError):
            raise UsageError(f"--set {key}={text}: expected {types[key]}") from None
    return overrides


_PARSERS: dict[str, Callable[[str], Any]] = {
    "int": int,
    "float": float,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "str": str,
}


@dataclass(frozen=True)
class Cell:
    """One place in a table: its column's label and the run behind it, of seed 0.

    It is declared with the paper's settings; a profile makes others of it.

    Attributes:
        label: the column.
        training: what is trained for it.
        row: the line, where a table has several for each metric.
        measurements: what is measured of it: once through each extractor.
        called: how sentences name it; empty for its line and column.
    """

    label: str
    training: TrainingSpec
    row: str = ""
    measurements: tuple[MeasurementSpec, ...] = (MeasurementSpec(),)
    called: str = ""

    @property
    def measurement(self) -> MeasurementSpec:
        """How much is measured, which is the same through every extractor."""
        return self.measurements[0]

    @property
    def name(self) -> str:
        """Its name in texts."""
        return self.called or f"{self.row} {self.label}".strip()


@dataclass(frozen=True)
class FigureSpec:
    """A figure as it is declared.

    Attributes:
        name: file name stem and value of ``--figure`` (``figure1``).
        title: what the figure shows, one line.
        table: the table whose runs it draws.
        kind: how: ``sweep`` (FID over the table's columns), ``spectra`` (singular values of the
            codes' covariance), ``curves`` (loss over epochs), ``ranks`` (rank over epochs),
            ``tsne`` (sampled among test images), ``frontier`` (FID and error over rank), or images
            of each column: ``samples``, ``reconstructions``, ``interpolations`` or ``walks``.
    """

    name: str
    title: str
    table: str
    kind: str


# Where a cell stands in its table: labels of its row (empty where there is one) and column.
Place = tuple[str, str]


@dataclass(frozen=True)
class ClaimSpec:
    """A sentence of the paper as orders between the cells of a table.

    Attributes:
        statement: the sentence, in short.
        source: where the paper has it.
        metric: what is compared, see :data:`bench.report.metrics.METRICS`.
        orders: pairs of cells, the one with the smaller number first; all must be in that order.
        judged: whether the sentence says enough to be judged; where it does not, such as
            "comparable", the differences are shown without a verdict.
    """

    statement: str
    source: str
    metric: str
    orders: tuple[tuple[Place, Place], ...]
    judged: bool = True


@dataclass(frozen=True)
class TableSpec:
    """A table as it is declared.

    Attributes:
        name: file name stem and value of ``--table`` (``table4``).
        title: what the table shows, one line.
        axis: what its columns vary (``Depth l``).
        symbol: what stands before a column's number in sentences, such as ``l``.
        labelled: settings that its labels name, beside what its columns vary.
        seeds: number of seeds of each cell, as it was fixed (docs/decisions.md): with fewer, a
            verdict is interim. 0 where none was fixed.
        cells: its places, row by row.
        metrics: names of rows, see :data:`bench.report.metrics.METRICS`.
        notes: footnotes that hold whatever was measured.
        answers: true values of metrics that the data fix, such as a rank of 7 for shapes.
        published: the table of :mod:`bench.experiments.published` whose numbers stand beside the
            measured ones; empty for none.
        claims: what the paper says of it.
    """

    name: str
    title: str
    axis: str
    cells: tuple[Cell, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, float] = field(default_factory=dict)
    published: str = ""
    claims: tuple[ClaimSpec, ...] = ()
    symbol: str = ""
    labelled: tuple[str, ...] = ()
    seeds: int = 0

    def naming(self, cell: Cell) -> str:
        """A cell as sentences name it: ``l = 8``, ``AE, 512``."""
        column = f"{self.symbol} = {cell.label}" if self.symbol else cell.label
        return cell.called or (f"{cell.row}, {column}" if cell.row else column)

    @property
    def rows(self) -> list[str]:
        """The cells' rows; one, which is empty, where it has one line for each metric."""
        return list(dict.fromkeys(cell.row for cell in self.cells))

    @property
    def places(self) -> dict[Place, Cell]:
        """The cells by where they stand."""
        return {(cell.row, cell.label): cell for cell in self.cells}

    @property
    def columns(self) -> list[str]:
        """Labels of the columns."""
        return list(dict.fromkeys(cell.label for cell in self.cells))

    @property
    def varies(self) -> set[str]:
        """Settings that differ between cells or are in labels, which ``--set`` may not change."""
        runs = [asdict(cell.training) for cell in self.cells]
        different = {name for name in runs[0] if len({run[name] for run in runs}) > 1}
        of_methods = {pair for run in runs for pair in run["parameters"]}
        names = Counter(name for name, _ in of_methods)
        return different | {name for name in names if names[name] > 1} | set(self.labelled)

    def with_cells(self, change: Callable[[Cell], Cell]) -> TableSpec:
        """Copy with a change applied to every cell."""
        return replace(self, cells=tuple(change(cell) for cell in self.cells))
