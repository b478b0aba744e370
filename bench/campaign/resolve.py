"""Turn the options into tables of fully specified runs: profile, extractors, settings, data."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.campaign.job import Job
from bench.campaign.locate import AbsentError, Places, locate, of_records
from bench.campaign.plan import job_of
from bench.campaign.request import Request
from bench.campaign.runs import Runs
from bench.data import Dataset
from bench.errors import BenchError, UsageError
from bench.evaluation.extractors import extractor_spec, general_extractor, has_classifier
from bench.experiments.figures import FIGURES
from bench.experiments.profiles import PROFILES, Profile
from bench.experiments.spec import Cell, FigureSpec, MeasurementSpec, TableSpec, TrainingSpec
from bench.experiments.tables import TABLES
from bench.store.records import TrainingRecord


@dataclass(frozen=True)
class Resolved:
    """A request with every choice made.

    Attributes:
        profile: how much each run does.
        tables: the tables that were asked for, by the names they are declared under; their cells
            are runs.
        figures: the figures that were asked for, likewise, each with the table that it draws.
        data: what they are about.
    """

    profile: Profile
    tables: Mapping[str, TableSpec]
    figures: Mapping[str, tuple[FigureSpec, TableSpec]]
    data: Data

    @property
    def cells(self) -> list[Cell]:
        """Every cell that was asked for."""
        tables = [*self.tables.values(), *(table for _, table in self.figures.values())]
        return list(dict.fromkeys(cell for table in tables for cell in table.cells))

    def only(self, names: Collection[str]) -> Resolved:
        """The tables and figures of these declared names alone."""
        return replace(
            self,
            tables={key: table for key, table in self.tables.items() if key in names},
            figures={key: pair for key, pair in self.figures.items() if key in names},
        )


@dataclass(frozen=True)
class Data:
    """The data of a request.

    Attributes:
        used: by the name of the data set that a table declares, what takes its place.
        absent: what could not be had, a line each: data that another takes the place of, or on
            which tables are left out.
    """

    used: Mapping[str, Dataset]
    absent: tuple[str, ...] = ()


def find_data(
    request: Request, profile: Profile, cache: Path, trained: Sequence[TrainingRecord]
) -> Data:
    """Find the data of every requested table.

    Raises:
        BenchError: none of them is here, or some that are cannot be used.
        UsageError: an unknown name.
    """
    places = Places(
        data_dir=request.worker.data_dir,
        cache=cache,
        records=trained,
        look=request.mode != "collect",
        make=request.mode not in ("plan", "collect"),
        download=request.download,
        name=request.name,
        outputs=_outputs(request),
    )
    cells = [cell for name in _tables(request) for cell in TABLES[name].cells]
    declared = {cell.training.dataset for cell in cells}
    if request.dataset is not None:
        return Data(dict.fromkeys(declared, locate(request.dataset, places)))
    used, absent = {}, []
    for name in sorted(declared):
        stand_in = profile.stand_ins.get(name)
        if stand_in and not places.look and of_records(name, places.records) is None:
            # What was run in its place is what there is to collect.
            used[name] = locate(stand_in, places)
            continue
        try:
            used[name] = locate(profile.datasets.get(name, name), places)
        except AbsentError as error:
            if stand_in:
                used[name] = locate(stand_in, places)
                absent.append(
                    f"no {name} in {request.worker.data_dir}: {used[name].name} in its place"
                )
            else:
                absent.append(f"left out, {error}")
    if not used:
        raise AbsentError(absent[0].removeprefix("left out, "))
    return Data(used, tuple(absent))


def _outputs(request: Request) -> tuple[Path, ...]:
    return request.worker.runs_dir, request.tables_dir, request.figures_dir


def find_again(request: Request, record: TrainingRecord, cache: Path) -> Dataset:
    """Find the data of a finished run, to run it once more.

    Raises:
        UsageError: they are the user's own, and not named.
        BenchError: they are not here, or are others by now.
    """
    if record.data.own and request.dataset is None:
        raise UsageError(f"{record.run_id}: name its data, {record.data.name}, by --dataset")
    places = Places(
        request.worker.data_dir,
        cache,
        [] if record.data.own else [record],
        look=True,
        make=True,
        name=record.data.name if record.data.own else None,
        outputs=_outputs(request),
    )
    found = locate(request.dataset or record.data.name, places)
    if found.fingerprint != record.data.fingerprint:
        raise BenchError(f"{record.run_id}: {found.name} is not the data that it was run on")
    return found


def resolve(request: Request, profile: Profile, data: Data) -> Resolved:
    """Declared tables at a profile's size, on the data that are here, with what was set by hand.

    Raises:
        UsageError: ``--set`` changes what a table varies, or nothing at all; or an extractor is
            unknown, or does not go with the data.
        BenchError: the weights file that was given does not exist.
    """
    applied: set[str] = set()

    def change(cell: Cell) -> Cell:
        used = data.used[cell.training.dataset]
        training = replace(cell.training, dataset=used.name, precision=request.precision)
        training, measurement = profile.apply(training)
        applied.update(training.settable() | set(asdict(measurement)))
        own = {name: value for name, value in overrides.items() if name in asdict(measurement)}
        training = training.with_settings(overrides)
        measurement = replace(measurement, **own)
        _require_images(training, measurement, used)
        measurements = tuple(
            replace(measurement, features=extractor)
            for extractor in _extractors(request, profile, used)
        )
        return replace(cell, training=training, measurements=measurements)

    overrides = request.overrides
    tables = {}
    for name in _tables(request):
        table = TABLES[name]
        if clash := sorted(table.varies & set(request.overrides)):
            if request.everything:
                continue
            raise UsageError(f"--set {clash[0]}: {name} varies it, so it cannot be set")
        declared = {cell.training.dataset for cell in table.cells}
        if declared <= set(data.used):
            tables[name] = _named(table.with_cells(change), table, request, data)
    if unused := sorted(set(request.overrides) - applied):
        raise UsageError(f"--set {unused[0]}: no run of {', '.join(_tables(request))} has one")
    figures = {}
    for name in request.figures:
        figure = FIGURES[name]
        if drawn := tables.get(figure.table):
            # Named after its data as the table is.
            suffix = drawn.name.removeprefix(figure.table)
            cells = [c for c in drawn.cells if not figure.columns or c.label in figure.columns]
            drawn = replace(drawn, cells=tuple(cells))
            figures[name] = (replace(figure, name=figure.name + suffix), drawn)
    asked = {name: tables[name] for name in request.tables if name in tables}
    return Resolved(profile, asked, figures, data)


def _require_images(training: TrainingSpec, measurement: MeasurementSpec, data: Dataset) -> None:
    for split, wanted, available in (
        ("train", training.train_images, data.train),
        ("test", measurement.test_images, data.test),
    ):
        if wanted > available:
            raise UsageError(
                f"{split}_images={wanted:,}, but {data.name} has {available:,} of them"
            )


def _tables(request: Request) -> list[str]:
    """Declared tables that a request needs, for themselves or for a figure."""
    drawn = (FIGURES[name].table for name in request.figures)
    return list(dict.fromkeys([*request.tables, *drawn]))


def _named(table: TableSpec, declared: TableSpec, request: Request, data: Data) -> TableSpec:
    """The table under the name of its data, without the paper's numbers unless they are of them."""
    wanted = declared.cells[0].training.dataset
    used = data.used[wanted]
    if wanted in (used.name, used.part_of):
        return table
    published = table.published if request.paper_column else ""
    return replace(table, name=f"{table.name}-{used.name}", published=published)


def _candidates(request: Request) -> list[Profile]:
    """Profiles that a request leaves open, the most faithful ones first."""
    return [p for p in PROFILES.values() if request.profile in (p.name, "auto")]


def _extractors(request: Request, profile: Profile, data: Dataset) -> list[str]:
    """What runs on these data are measured through: what was asked for, or else the profile's.

    A classifier that is not shipped for the data is left out; something is left in any case.
    """
    general = general_extractor(request.worker.fid_weights)
    asked = request.reading.features or [
        name for name in profile.features if name != "classifier" or has_classifier(data)
    ]
    names = [general if name == "auto" else name for name in asked or ["auto"]]
    for name in names:
        extractor_spec(name, data)
    return list(dict.fromkeys(names))


def most_filled(request: Request, runs: Runs, cache: Path) -> list[Resolved]:
    """Each table and figure in the most faithful profile that is whole, or else as filled best.

    What is optional and has no run at all is left out.
    """
    found: dict[str, Data] = {}
    candidates = []
    for profile in _candidates(request):
        # Data that are named are the same for every profile, and finding them reads files.
        name = request.dataset or profile.name
        if name not in found:
            found[name] = find_data(request, profile, cache, runs.trained)
        candidates.append(resolve(request, profile, found[name]))

    def filled(cells: Iterable[Cell]) -> int:
        return sum(bool(runs.of(cell, request.seeds)) for cell in cells)

    parts = []
    for name in (*request.tables, *request.figures):
        # Of equals, the first: candidates are the most faithful first.
        part = max((c.only({name}) for c in candidates), key=lambda part: filled(part.cells))
        if name not in request.optional or filled(part.cells):
            parts.append(part)
    return parts


def resolve_for_run(request: Request, runs: Runs, cache: Path, device: str) -> Resolved:
    """Choose the profile for a plan, or for runs.

    ``auto`` is the most faithful profile whose runs are all cached; where there is none, the
    paper's on a GPU and ``quick`` without.
    """

    def found(profile: Profile) -> Data:
        return find_data(request, profile, cache, runs.trained)

    for profile in _candidates(request):
        if not runs.trained:
            break
        try:
            cached = resolve(request, profile, found(profile))
        except AbsentError:
            continue
        insist = bool(request.reading.features)
        if all(runs.has(job, insist=insist) for job in requested_jobs(request, cached)):
            return cached
    name = request.profile
    if name == "auto":
        name = "quick" if device == "cpu" else "paper"
    return resolve(request, PROFILES[name], found(PROFILES[name]))


def requested_jobs(request: Request, resolved: Resolved) -> list[Job]:
    """Every run that was asked for.

    Raises:
        UsageError: a pattern of ``--only`` matches none.
    """
    seeds = range(request.seeds or 1)
    jobs = [job_of(cell, seed) for cell in resolved.cells for seed in seeds]
    for glob in request.only:
        if not any(matches([glob], job) for job in jobs):
            names = ", ".join(dict.fromkeys(job.training.name for job in jobs))
            raise UsageError(f"--only {glob!r} matches none of {names}")
    return [job for job in jobs if matches(request.only, job)]


def matches(only: Sequence[str], job: Job) -> bool:
    """Whether the patterns of ``--only`` choose a run, by its name or its folder's."""
    names = (job.training.name, job.run_id)
    return not only or any(fnmatch.fnmatchcase(name, glob) for glob in only for name in names)
