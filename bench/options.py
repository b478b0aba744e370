"""The options of the command line: those that a newcomer needs first, then the others."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path
from typing import NoReturn

from bench import __version__
from bench.data import DATASETS
from bench.errors import UsageError
from bench.evaluation.protocol import RANK_THRESHOLD
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import SAMPLERS
from bench.experiments.tables import TABLES

PROGRAM = "irmae-bench"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {PROGRAM} --help)")


def parser() -> argparse.ArgumentParser:
    """Build the parser, which raises UsageError where it would end the process."""
    options = _Parser(
        prog=PROGRAM,
        usage="%(prog)s [--table NAME] [--figure NAME] [other options]",
        description="Reproduce the tables of the supplement of Implicit Rank-Minimizing "
        "Autoencoder: train what is missing, then write each table with the paper's numbers "
        "beside the measured ones.",
        epilog="Exit status: 0 every requested cell is filled; 1 some are missing or failed, or "
        "something else went wrong; 2 bad usage; 3 --stop-after ended it; 130 interrupted; 143 "
        "terminated.",
        allow_abbrev=False,
        add_help=False,
    )
    _add_first(options.add_argument_group("to begin with"))
    _add_choices(options.add_argument_group("which runs"))
    _add_readings(options.add_argument_group("how numbers are read and shown"))
    _add_places(options.add_argument_group("where and on what"))
    _add_modes(options.add_argument_group("finished runs"))
    return options


def _add_first(group: argparse._ArgumentGroup) -> None:
    """The options that a newcomer needs."""
    tables = ", ".join(name.removeprefix("table") for name in TABLES)
    group.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="NAME",
        help=f"a table, repeatable: all (the supplement's, the default), or one of {tables}",
    )
    group.add_argument(
        "--figure",
        action="append",
        default=[],
        metavar="NAME",
        help="a figure, repeatable: all, 1, 2, or another of docs/usage.md, such as ranks-depth",
    )
    group.add_argument(
        "--profile",
        choices=(*PROFILES, "auto"),
        default="auto",
        help="; ".join(f"{p.name}: {p.summary}" for p in PROFILES.values())
        + "; auto (the default): for each table and figure the most faithful one whose runs are "
        "all there; where there is none, paper on a GPU and quick without",
    )
    group.add_argument(
        "--seeds",
        type=_positive,
        metavar="N",
        help="seeds 0 to N-1 (default: train seed 0, tabulate every seed that is there)",
    )
    group.add_argument(
        "--runs-dir",
        type=Path,
        default=Path("runs"),
        metavar="DIR",
        help="folder where runs are read and written (default: %(default)s)",
    )
    group.add_argument(
        "--plan", action="store_true", help="show what would run and how long, and run nothing"
    )
    group.add_argument("-h", "--help", action="help", help="show this text")
    group.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")


def _add_choices(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only runs whose name matches; repeatable, for runs that match one of several",
    )
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of every run, e.g. epochs=5, lr=3e-4 or precision=bf16; repeatable",
    )
    group.add_argument(
        "--dataset",
        metavar="DATA",
        help="run the tables on other data, by whose name the outputs are called: "
        f"{', '.join(DATASETS)}, or images of your own: images:FOLDER (pictures) or idx:FOLDER "
        "(two files of images in MNIST's format)",
    )
    group.add_argument(
        "--name",
        metavar="NAME",
        help="with --dataset: what runs and outputs of your own data are called (default: the "
        "folder's name)",
    )
    group.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file or module that registers methods, data sets, extractors, columns, rows "
        "or figures of your own",
    )
    group.add_argument("--retry-failed", action="store_true", help="run anew what failed")
    group.add_argument("--force", action="store_true", help="run anew what is done already")


def _add_readings(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--claims",
        action="store_true",
        help="print each of the paper's claims with its verdict, from the requested tables and "
        "figures; alone, from the runs of every table that are there",
    )
    group.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=Path("report.html"),
        metavar="FILE",
        help="write claims, tables, figures and runs as one page that needs nothing beside itself "
        "(default: %(const)s); alone, of everything that is there",
    )
    group.add_argument(
        "--extractor",
        action="append",
        dest="extractors",
        default=[],
        metavar="NAME",
        help="network that images are looked at through for FIDs, repeatable: inception; imagenet "
        "(EfficientNet-Lite0, for all data); classifier (of MNIST and Shape); auto, which is "
        "inception where its weights are at hand and imagenet elsewhere; or a plugin's. Runs that "
        "it has not seen are measured by it, and tables show it alone (default: the classifier "
        "where there is one, and auto where there is none or the profile is paper or overnight; "
        "tables show every one)",
    )
    group.add_argument(
        "--sampler",
        action="append",
        dest="samplers",
        choices=SAMPLERS,
        help="show tables and verdicts of this sampler alone, repeatable (default: every one has a "
        "row)",
    )
    group.add_argument(
        "--rank-threshold",
        type=_share,
        default=RANK_THRESHOLD,
        metavar="SHARE",
        help="count singular values above this share of the largest as the rank (default: "
        "%(default)g; measurements keep all of them)",
    )


def _add_places(group: argparse._ArgumentGroup) -> None:
    for name, content in (
        ("data", "MNIST and CelebA, where downloads go, too"),
        ("tables", "the tables"),
        ("figures", "the figures"),
    ):
        group.add_argument(
            f"--{name}-dir",
            type=Path,
            default=Path(name),
            metavar="DIR",
            help=f"folder of {content} (default: %(default)s)",
        )
    group.add_argument(
        "--download", action="store_true", help="fetch CelebA (1.4 GB) where it is missing"
    )
    group.add_argument("--fid-weights", type=Path, metavar="FILE", help="Inception's weights")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="worker processes (default: a core each, or 1 on a GPU)",
    )
    group.add_argument(
        "--stop-after",
        type=_positive,
        metavar="MINUTES",
        help="end with status 3 at the first checkpoint after so many minutes, for queues that end "
        "jobs; the same command goes on",
    )
    group.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="run on the workers of a Dask cluster, at an address such as tcp://host:8786 "
        "(pip install '.[dask]')",
    )
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def _add_modes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--collect",
        action="store_true",
        help="write tables and figures from finished runs alone, each in the profile that fills "
        "most of its columns, unless --profile names one",
    )
    group.add_argument(
        "--status", action="store_true", help="list the runs folder: states, sizes, why runs failed"
    )
    group.add_argument(
        "--verify",
        metavar="RUN",
        help="run a finished run once more and say what came out otherwise (status 1), if anything",
    )
    group.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write every number of every finished run as a .csv, a row each",
    )
    group.add_argument(
        "--gc",
        action="store_true",
        help="remove checkpoints of runs that failed and temporary files that were left behind, "
        "and list the weights that are kept",
    )
    group.add_argument(
        "--weights-of",
        metavar="PATTERN",
        help="with --gc: remove the weights and checkpoints of runs whose folders match, too; what "
        "is measured of them stays",
    )


def _positive(text: str) -> int:
    with contextlib.suppress(ValueError):
        if (value := int(text)) >= 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")


def _share(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < 1:
            return value
    raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")
