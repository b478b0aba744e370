"""Turn the options into tables and figures of fully specified runs: profile, data, settings."""

import functools
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bench.campaign.job import Job
from bench.campaign.locate import AbsentError, locate
from bench.campaign.request import Request
from bench.campaign.runs import jobs_of, result_of, seeds_shown, unseen_by
from bench.data import Dataset
from bench.errors import BenchError, UsageError
from bench.evaluation.extractors import declared_extractor, general_extractor, has_classifier
from bench.experiments.figures import FIGURES
from bench.experiments.profiles import PROFILES, Profile
from bench.experiments.spec import Cell, FigureSpec, MeasurementSpec, TableSpec
from bench.experiments.tables import TABLES
from bench.store.folders import Runs
from bench.store.records import TrainingRecord

# A data set by the name that it is asked for by, see :func:`bench.campaign.locate.locate`.
Find = Callable[[str], Dataset]
_MEASURED = {f.name for f in fields(MeasurementSpec)}


class TooFewImagesError(UsageError):
    """More images were asked for than a profile's data have."""


@dataclass(frozen=True)
class Chosen:
    """A table or figure that was asked for, with every choice made.

    Attributes:
        name: the name that it is declared under.
        profile: how much each of its runs does.
        table: the table, or the one that a figure draws; its cells are runs.
        figure: the figure; None for a table.
        stand_in: a line on data that are not here, whose place others take; else empty.
        overrides: settings that were set by hand and change its runs.
    """

    name: str
    profile: Profile
    table: TableSpec
    figure: FigureSpec | None = None
    stand_in: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


def choose(
    request: Request, runs: Runs, cache: Path, device: str
) -> tuple[list[Chosen], list[str]]:
    """Make the choices for each requested table and figure.

    Returns:
        The tables and figures, and lines on data that are not here: others take their place, or
        what is about them is left out.

    Raises:
        BenchError: nothing that was asked for has its data here, or some that are cannot be used.
        UsageError: an unknown name; ``--set`` changes what a table varies, or nothing at all;
            ``--only`` matches no run; an extractor that is unknown or does not go with the data.
    """
    records = [folder.trained for folder in runs.values() if folder.trained]
    # Finding data reads files.
    find = functools.cache(functools.partial(locate, request=request, cache=cache, records=records))
    found: list[Chosen] = []
    errors: dict[str, AbsentError | UsageError] = {}
    for name in (*request.tables, *request.figures):
        by_name = not request.everything and name not in request.optional
        # A table that varies what is set has no runs with it.
        if not by_name and _declared(name).varies & set(request.overrides):
            continue
        try:
            candidates = _candidates(name, request, find)
        except (AbsentError, UsageError) as error:
            # Nor one whose data are too few for what is set, or have no such extractor.
            if by_name and not request.implied and isinstance(error, UsageError):
                raise
            errors[name] = error
            continue
        if request.only:
            # Folders of one profile's runs match none of another's.
            seeds = seeds_of(request, runs)
            matching = [c for c in candidates if jobs_of(c.table.cells, seeds, request.only)]
            candidates = matching or candidates
        best = choose_profile(candidates, request, runs, device)
        if name not in request.optional or _filled(best, request, runs, any):
            found.append(best)
    if not found and errors:
        raise min(errors.values(), key=lambda error: not isinstance(error, AbsentError))
    if found:
        _require_matches(request, found, seeds_of(request, runs))
    lines = [chosen.stand_in for chosen in found if request.mode != "collect"]
    names_by_error: dict[str, list[str]] = {}
    for name, why in errors.items():
        names_by_error.setdefault(str(why), []).append(name)
    lines += [f"left out: {', '.join(names)}: {why}" for why, names in names_by_error.items()]
    return found, list(dict.fromkeys(filter(None, lines)))


def _declared(name: str) -> TableSpec:
    """The declared table of that name, or that a figure of that name draws."""
    return TABLES[FIGURES[name].table if name in FIGURES else name]


def choose_profile(
    candidates: Sequence[Chosen], request: Request, runs: Runs, device: str
) -> Chosen:
    """One of the profiles that ``--profile`` leaves open, for a table or figure.

    The most faithful one whose runs are all there. Where there is none, ``--collect`` takes the one
    that fills most columns, and a command that trains the paper's on a GPU and ``quick`` without.
    Candidates are in order, the most faithful first.
    """
    collecting = request.mode == "collect"
    best = max(
        candidates, key=lambda each: _filled(each, request, runs, any if collecting else all)
    )
    if collecting or _filled(best, request, runs, all) == len(best.table.cells):
        return best
    default = "quick" if device == "cpu" else "paper"
    return next((each for each in candidates if each.profile.name == default), candidates[0])


def _filled(
    chosen: Chosen, request: Request, runs: Runs, enough: Callable[[Collection[bool]], bool]
) -> int:
    """How many of a table's columns have any, or all, of their runs."""
    seeds = seeds_of(request, runs)
    return sum(
        enough([_is_there(job, request, runs) for job in jobs_of([cell], seeds, request.only)])
        for cell in chosen.table.cells
    )


def _is_there(job: Job, request: Request, runs: Runs) -> bool:
    """Whether a run is measured: by the extractors that were asked for by name, or by any.

    By any, too, where nothing is run: an extractor is only a way of reading then.
    """
    folder = runs[job.run_id]
    insist = request.display.extractors and request.mode != "collect"
    return result_of(job, folder) is not None and not (insist and unseen_by(job, folder))


def seeds_of(request: Request, runs: Runs) -> range:
    """The seeds that a request is about: for ``--collect`` all that are there, unless named."""
    if request.mode == "collect":
        return seeds_shown(request.seeds, runs)
    return range(request.seeds or 1)


def requested_jobs(request: Request, chosen: Sequence[Chosen]) -> list[Job]:
    """Every run that was asked for: nothing is trained for what is optional."""
    wanted = [each.table for each in chosen if each.name not in request.optional]
    cells = [cell for table in wanted for cell in table.cells]
    return jobs_of(cells, range(request.seeds or 1), request.only)


def _require_matches(request: Request, chosen: Sequence[Chosen], seeds: range) -> None:
    cells = [cell for each in chosen for cell in each.table.cells]
    settable = _MEASURED.union(*(cell.training.settable() for cell in cells))
    if unused := sorted(set(request.overrides) - settable):
        names = ", ".join((*request.tables, *request.figures))
        raise UsageError(f"--set {unused[0]}: no run of {names} has one")
    for glob in request.only:
        if not jobs_of(cells, seeds, [glob]):
            names = ", ".join(dict.fromkeys(job.training.name for job in jobs_of(cells, seeds)))
            raise UsageError(f"--only {glob!r} matches none of {names}")


def _candidates(name: str, request: Request, find: Find) -> list[Chosen]:
    """A table or figure in each profile that it may be shown in and that has its data here.

    Finished runs may be of the declared data, and others of what stands in for them.
    """
    found: list[Chosen] = []
    errors: list[AbsentError | TooFewImagesError] = []
    collecting = request.mode == "collect"
    for profile, standing_in in itertools.product(PROFILES.values(), (False, True)):
        if request.profile not in (profile.name, "auto"):
            continue
        if standing_in and not (collecting and profile.stand_ins):
            continue
        try:
            found.append(_chosen(name, profile, standing_in, request, find))
        except (AbsentError, TooFewImagesError) as error:
            errors.append(error)
    if not found:
        raise min(errors, key=lambda error: not isinstance(error, AbsentError))
    return found


def _chosen(name: str, profile: Profile, standing_in: bool, request: Request, find: Find) -> Chosen:
    """A table or figure in a profile; AbsentError where its data are not here."""
    figure, declared = FIGURES.get(name), _declared(name)
    if clash := sorted(declared.varies & set(request.overrides)):
        raise UsageError(f"--set {clash[0]}: {declared.name} varies it, so it cannot be set")
    # A plugin's column may be of other data than the others.
    found = {
        wanted: _data(wanted, profile, standing_in, request, find)
        for wanted in dict.fromkeys(cell.training.dataset for cell in declared.cells)
    }

    def cells(overrides: Mapping[str, Any]) -> TableSpec:
        return declared.with_cells(
            lambda cell: _cell(cell, profile, found[cell.training.dataset][0], request, overrides)
        )

    table = cells(request.overrides)
    # What was set to the value that it has is no other setting.
    plain = cells({}) if request.overrides else table
    changed = {n: v for n, v in request.overrides.items() if cells({n: v}) != plain}
    wanted, (used, stand_in) = next(iter(found.items()))
    # The paper's numbers, and what is known of the data, stand beside these data alone, whose name
    # outputs leave out.
    suffix = "" if wanted in (used.name, used.part_of) else f"-{used.name}"
    if suffix:
        if name + suffix in (FIGURES if figure else TABLES):
            raise UsageError(
                f"--dataset: {name}{suffix} is another one of the suite, and would be written "
                f"over; choose another name than {used.name} (--name)"
            )
        notes = () if table.answers else table.notes
        table = replace(table, name=declared.name + suffix, published="", answers={}, notes=notes)
    if figure:
        figure = replace(figure, name=figure.name + suffix)
    return Chosen(name, profile, table, figure, stand_in, changed)


def _data(
    wanted: str, profile: Profile, standing_in: bool, request: Request, find: Find
) -> tuple[Dataset, str]:
    """What a table is run on, and a line where that is not what it is declared for."""
    if request.dataset is not None:
        return find(request.dataset), ""
    stand_in = profile.stand_ins.get(wanted)
    if stand_in and standing_in:
        return find(stand_in), ""
    try:
        return find(profile.datasets.get(wanted, wanted)), ""
    except AbsentError:
        if not stand_in:
            raise
    found = find(stand_in)
    return found, f"no {wanted} in {request.worker.data_dir}: {found.name} is used instead"


def _cell(
    cell: Cell, profile: Profile, used: Dataset, request: Request, overrides: Mapping[str, Any]
) -> Cell:
    training, measurement = profile.apply(replace(cell.training, dataset=used.name))
    training = training.with_settings(overrides)
    own = {name: value for name, value in overrides.items() if name in _MEASURED}
    measurement = replace(measurement, **own)
    for split, wanted, available in (
        ("train", training.train_images, used.train),
        ("test", measurement.test_images, used.test),
    ):
        if wanted > available:
            raise TooFewImagesError(
                f"{split}_images={wanted:,}, but {used.name} has {available:,} of them"
            )
    specs = [replace(measurement, extractor=name) for name in _extractors(request, profile, used)]
    return replace(cell, training=training, measurements=tuple(specs))


def _extractors(request: Request, profile: Profile, data: Dataset) -> list[str]:
    """What runs on these data are measured through: what was asked for, or else the profile's.

    A classifier that is not shipped for the data is left out; something is left in any case.
    """
    general = general_extractor(request.worker.fid_weights)
    asked = request.display.extractors or [
        name for name in profile.extractors if name != "classifier" or has_classifier(data)
    ]
    names = [general if name == "auto" else name for name in asked or ["auto"]]
    for name in names:
        declared_extractor(name, data)
    return list(dict.fromkeys(names))


def find_again(request: Request, record: TrainingRecord, cache: Path) -> Dataset:
    """Find the data of a finished run, to run it once more.

    Raises:
        UsageError: they are the user's own, and not named.
        BenchError: they are not here, or are others by now.
    """
    own = record.data.own
    if own and request.dataset is None:
        raise UsageError(f"{record.run_id}: name its data, {record.data.name}, by --dataset")
    named = replace(request, name=record.data.name if own else None)
    found = locate(request.dataset or record.data.name, named, cache, [] if own else [record])
    if found.fingerprint != record.data.fingerprint:
        raise BenchError(f"{record.run_id}: {found.name} is not the data that it was run on")
    return found
