"""From what was asked to tables whose cells are runs: profile, extractor, settings, seeds."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.data import Dataset
from bench.errors import BenchError, UsageError
from bench.evaluation import weights
from bench.experiments import FIGURES, TABLES
from bench.locate import AbsentError, Places, locate, of_records
from bench.planning import plan_runs, run_id_of, seeds
from bench.profiles import PROFILES, Profile
from bench.spec import HEADLINE_SAMPLER, Cell, FigureSpec, RunSpec, TableSpec
from bench.store import FailedRun, Record, State, Store

# Beside running what is missing.
MODES = ("plan", "collect", "status", "gc", "verify", "export", "force", "retry_failed")


@dataclass(frozen=True)
class Request:
    """What was asked for; the fields are the command line's options of the same names.

    Attributes:
        optional: tables and figures to leave out where none of their runs is cached.
        mode: ``run``, or one of :data:`MODES`.
    """

    tables: Sequence[str]
    figures: Sequence[str] = ()
    optional: Collection[str] = ()
    only: str | None = None
    seeds: int | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    profile: str = "auto"
    features: str | None = None
    precision: str = "fp32"
    sampler: str = HEADLINE_SAMPLER
    device: str = "auto"
    jobs: int | None = None
    stack: int | None = None
    backend: str = "loky"
    scheduler: str | None = None
    data_dir: Path = Path("data")
    runs_dir: Path = Path("runs")
    tables_dir: Path = Path("tables")
    figures_dir: Path = Path("figures")
    fid_weights: Path | None = None
    keep_checkpoints: bool = False
    plugins: tuple[str, ...] = ()
    dataset: str | None = None
    paper_column: bool = False
    download: bool = False
    claims: bool = False
    report: Path | None = None
    tensorboard: bool = False
    export: Path | None = None
    verify: str | None = None
    mode: str = "run"


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

    def part(self, name: str) -> Resolved:
        """One table alone, by its declared name, and the figures that draw it."""
        drawing = {key for key, (figure, _) in self.figures.items() if figure.table == name}
        return self.only({name} | drawing)

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


def find_data(request: Request, profile: Profile, cache: Path, records: Sequence[Record]) -> Data:
    """Find the data of every requested table.

    Raises:
        BenchError: none of them is here, or some that are cannot be used.
        UsageError: an unknown name.
    """
    places = Places(
        data_dir=request.data_dir,
        cache=cache,
        records=records,
        look=request.mode != "collect",
        make=request.mode not in ("plan", "collect"),
        download=request.download,
    )
    declared = {cell.run.dataset for name in _tables(request) for cell in TABLES[name].cells}
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
                absent.append(f"no {name} in {request.data_dir}: {used[name].name} in its place")
            else:
                absent.append(f"left out, {error}")
    if not used:
        raise AbsentError(absent[0].removeprefix("left out, "))
    return Data(used, tuple(absent))


def find_again(request: Request, record: Record, cache: Path) -> Dataset:
    """Find the data of a finished run, to run it once more.

    Raises:
        UsageError: they are the user's own, and not named.
        BenchError: they are not here, or are others by now.
    """
    if record.data.own and request.dataset is None:
        raise UsageError(f"{record.run_id}: name its data, {record.data.name}, by --dataset")
    places = Places(request.data_dir, cache, [record], look=True, make=True)
    found = locate(request.dataset or record.data.name, places)
    if found.fingerprint != record.data.fingerprint:
        raise BenchError(f"{record.run_id}: {found.name} is not the data that it was run on")
    return found


def resolve(request: Request, profile: Profile, features: str, data: Data) -> Resolved:
    """Declared tables at a profile's size, on the data that are here, with what was set by hand.

    Raises:
        UsageError: ``--set`` changes what a table varies, or nothing at all; or the extractor
            needs labels that the data have not.
    """
    applied: set[str] = set()

    def change(run: RunSpec) -> RunSpec:
        used = data.used[run.dataset]
        extractor = used.extractor if features == "trained" else features
        if extractor == "classifier" and not used.classes:
            raise UsageError(f"--features classifier: {used.name} has no labels; use simclr")
        run = replace(run, dataset=used.name, precision=request.precision, features=extractor)
        run = profile.apply(run)
        applied.update(run.settable())
        run = run.with_settings(request.overrides)
        return replace(run, sampler_codes=min(run.sampler_codes, run.train_images))

    tables = {}
    for name in _tables(request):
        table = TABLES[name]
        if clash := sorted(table.varies & set(request.overrides)):
            raise UsageError(f"--set {clash[0]}: {name} varies it, so it cannot be set")
        declared = {cell.run.dataset for cell in table.cells}
        if declared <= set(data.used):
            tables[name] = _named(table.with_runs(change), table, request, data)
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


def _tables(request: Request) -> list[str]:
    """Declared tables that a request needs, for themselves or for a figure."""
    drawn = (FIGURES[name].table for name in request.figures)
    return list(dict.fromkeys([*request.tables, *drawn]))


def _named(table: TableSpec, declared: TableSpec, request: Request, data: Data) -> TableSpec:
    """The table under the name of its data, without the paper's numbers unless they are of them."""
    wanted = declared.cells[0].run.dataset
    used = data.used[wanted]
    if wanted in (used.name, used.part_of):
        return table
    published = table.published if request.paper_column else ""
    return replace(table, name=f"{table.name}-{used.name}", published=published)


def _candidates(request: Request) -> Iterator[tuple[Profile, str]]:
    """Profiles and extractors that a request leaves open, the most faithful ones first."""
    for profile in PROFILES.values():
        if request.profile in (profile.name, "auto"):
            features = _features(request, profile)
            for extractor in ("inception", "trained") if features == "auto" else (features,):
                yield profile, extractor


def _features(request: Request, profile: Profile) -> str:
    if request.features is None and request.fid_weights is not None:
        return "inception"
    return request.features or profile.features


def most_filled(request: Request, store: Store, records: Sequence[Record]) -> list[Resolved]:
    """Each table as cached runs fill it best; among equals, the most faithful.

    What is optional and has no run at all is left out.
    """
    cached = Cached(records)
    found: dict[str, Data] = {}
    candidates = []
    for profile, features in _candidates(request):
        # Data that are named are the same for every profile, and finding them reads files.
        name = request.dataset or profile.name
        if name not in found:
            found[name] = find_data(request, profile, store.cache, records)
        candidates.append(resolve(request, profile, features, found[name]))

    def filled(cells: Iterable[Cell]) -> int:
        return sum(bool(cached.of(cell, request.seeds)) for cell in cells)

    parts = []
    for name in _tables(request):
        part = max((c.part(name) for c in candidates), key=lambda part: filled(part.cells))
        tables = {**part.tables, **{key: table for key, (_, table) in part.figures.items()}}
        optional = {key for key in tables if key in request.optional}
        empty = {key for key in optional if not filled(tables[key].cells)}
        parts.append(part.only(tables.keys() - empty))
    return parts


def resolve_for_run(request: Request, store: Store, device: str) -> Resolved:
    """Choose profile and extractor for a plan, or for runs, which may fetch Inception's weights.

    Raises:
        BenchError: the weights file that was given does not exist.
    """
    name = request.profile
    if name == "auto":
        name = "quick" if device == "cpu" else "paper"
    profile = PROFILES[name]
    features = _features(request, profile)
    data = find_data(request, profile, store.cache, list(store.records()))
    if features != "auto":
        return resolve(request, profile, features, data)
    if weights.find(request.fid_weights):
        return resolve(request, profile, "inception", data)
    trained = resolve(request, profile, "trained", data)
    plan = plan_runs(requested_runs(request, trained), store, device)
    if all(p.state is State.DONE for p in plan):
        return trained
    if request.mode == "plan":
        say("FID by Inception if its weights can be downloaded; planned for the data's own network")
        return trained
    try:
        weights.fetch()
    except BenchError as error:
        say(f"FID by a network of the data's own: Inception's weights are out of reach ({error})")
        return trained
    return resolve(request, profile, "inception", data)


def requested_runs(request: Request, resolved: Resolved) -> list[RunSpec]:
    """Every run that was asked for.

    Raises:
        UsageError: ``--only`` matches none.
    """
    runs = [run for cell in resolved.cells for run in seeds(cell.run, request.seeds or 1)]
    chosen = [run for run in runs if matches(request.only, run)]
    if not chosen:
        names = ", ".join(dict.fromkeys(run.name for run in runs))
        raise UsageError(f"--only {request.only!r} matches none of {names}")
    return chosen


def matches(glob: str | None, run: RunSpec) -> bool:
    """Whether ``--only`` chooses a run, by its name or its folder's."""
    names = (run.name, run_id_of(run))
    return glob is None or any(fnmatch.fnmatchcase(name, glob) for name in names)


class Cached:
    """Finished and failed runs, by the cells that they belong to."""

    def __init__(self, records: Iterable[Record], failed: Iterable[FailedRun] = ()) -> None:
        """Sort runs by what they are but for their seed."""
        self._records = _by_spec(records)
        self._failed = _by_spec(failed)

    def of(self, cell: Cell, count: int | None) -> list[Record]:
        """Finished runs of a cell: of seeds below ``count``, or of all that are cached."""
        return _of(self._records, cell, count)

    def failed(self, cell: Cell, count: int | None) -> list[FailedRun]:
        """Failed runs of a cell, likewise."""
        return _of(self._failed, cell, count)


_Run = TypeVar("_Run", Record, FailedRun)


def _by_spec(runs: Iterable[_Run]) -> dict[RunSpec, list[_Run]]:
    result: dict[RunSpec, list[_Run]] = {}
    for run in sorted(runs, key=lambda run: run.spec.seed):
        result.setdefault(replace(run.spec, seed=0), []).append(run)
    return result


def _of(runs: Mapping[RunSpec, Sequence[_Run]], cell: Cell, count: int | None) -> list[_Run]:
    return [
        run
        for run in runs.get(replace(cell.run, seed=0), ())
        # Of other data of that name, a run has another identity.
        if run.run_id == run_id_of(run.spec) and (count is None or run.spec.seed < count)
    ]


def say(message: str) -> None:
    """Tell the user something that is not a result: on standard error, at once."""
    print(message, file=sys.stderr, flush=True)
