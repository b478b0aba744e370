"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import signal
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench import __version__
from bench.campaign.commands import carry_out
from bench.campaign.job import WorkerSettings
from bench.campaign.request import MODES, Request
from bench.data import DATASETS
from bench.data.pictures import printable
from bench.errors import BenchError, UsageError, refused, unknown
from bench.evaluation.extractors import general_extractor
from bench.evaluation.protocol import RANK_THRESHOLD
from bench.experiments.figures import FIGURES
from bench.experiments.plugins import load_plugins
from bench.experiments.profiles import PROFILES
from bench.experiments.spec import PRECISIONS, SAMPLERS, parse_overrides
from bench.experiments.tables import PAPER_TABLES, TABLES, own_parameters
from bench.report.reading import Reading
from bench.screen import discard, escape_unknown_characters, say

PROGRAM = "irmae-bench"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {PROGRAM} --help)")


def _parser() -> argparse.ArgumentParser:
    profiles = "; ".join(f"{p.name}: {p.summary}" for p in PROFILES.values())
    tables = ", ".join(name.removeprefix("table") for name in TABLES)
    parser = _Parser(
        prog=PROGRAM,
        description="Reproduce the tables of the supplement of Implicit Rank-Minimizing "
        "Autoencoder: train what is missing, then write each table with the paper's numbers "
        "beside the measured ones.",
        epilog="Exit status: 0 every requested cell is filled; 1 some are missing or failed, or "
        "something else went wrong; 2 bad usage; 130 interrupted.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")

    what = parser.add_argument_group("what")
    what.add_argument(
        "--table",
        action="append",
        metavar="NAME",
        help=f"a table, repeatable: all (the supplement's, the default), or one of {tables}",
    )
    what.add_argument(
        "--figure",
        action="append",
        metavar="NAME",
        help="a figure, repeatable: all, or one of "
        + ", ".join(name.removeprefix("figure") for name in FIGURES),
    )
    what.add_argument(
        "--claims",
        action="store_true",
        help="print what becomes of the paper's claims, from the requested tables and figures; "
        "alone, from the cached runs of every table",
    )
    what.add_argument(
        "--report",
        type=Path,
        nargs="?",
        const=Path("report.html"),
        metavar="FILE",
        help="write claims, tables, figures and runs as one page that needs nothing beside itself "
        "(default: %(const)s); alone, of everything that is cached",
    )
    what.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GLOB",
        help="only runs whose name matches; repeatable, for runs that match one of several",
    )
    what.add_argument(
        "--seeds",
        type=_positive,
        metavar="N",
        help="seeds 0 to N-1 (default: train seed 0, tabulate every seed that is cached)",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting of every run, e.g. epochs=5 or lr=3e-4; repeatable",
    )
    what.add_argument(
        "--dataset",
        metavar="DATA",
        help="run the tables on other data, after which the outputs are named: "
        f"{', '.join(DATASETS)}, or images of your own: images:FOLDER (pictures) or idx:FOLDER "
        "(the four files of MNIST's format)",
    )
    what.add_argument(
        "--name",
        metavar="NAME",
        help="with --dataset: what runs and outputs of your own data are called (default: the "
        "folder's name)",
    )
    what.add_argument(
        "--paper-column",
        action="store_true",
        help="show the paper's numbers beside those of other data, too",
    )
    what.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file or module that registers methods, data sets or columns of your own",
    )
    what.add_argument(
        "--sampler",
        action="append",
        dest="samplers",
        choices=SAMPLERS,
        help="sampler that tables and verdicts are of, repeatable (default: every one has a row)",
    )

    what.add_argument(
        "--rank-threshold",
        type=_share,
        default=RANK_THRESHOLD,
        metavar="SHARE",
        help="count singular values above this share of the largest as the rank (default: "
        "%(default)g; measurements keep all of them)",
    )

    much = parser.add_argument_group("how much")
    much.add_argument(
        "--profile",
        choices=(*PROFILES, "auto"),
        default="auto",
        help=f"{profiles}; auto (the default): the most faithful one whose runs are all cached; "
        "where there is none, paper on a GPU and quick without; with --collect, whichever fills "
        "most cells",
    )

    where = parser.add_argument_group("where and how")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    where.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="worker processes (default: a core each, or 1 on a GPU)",
    )
    where.add_argument(
        "--side-by-side",
        type=_positive,
        metavar="N",
        help="runs that a worker trains at once on a GPU (default: 16, but 1 where a run fills it)",
    )
    where.add_argument(
        "--backend",
        choices=("loky", "dask"),
        default="loky",
        help="loky (the default): processes of this machine; dask: the workers of a Dask cluster "
        "(pip install distributed)",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="the Dask scheduler, such as tcp://host:8786; without it, --backend dask starts a "
        "cluster of its own on this machine",
    )
    where.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of training")
    where.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="NAME",
        help="network that images are looked at through for FIDs, repeatable: inception; imagenet "
        "(EfficientNet-Lite0, for all data); classifier (of MNIST and Shape); auto, which is "
        "inception where its weights are at hand and imagenet elsewhere; or a plugin's. Runs that "
        "it has not seen are measured by it, and tables show it alone (default: the classifier "
        "where there is one, and auto where there is none or the profile is paper or overnight; "
        "tables show every one)",
    )
    where.add_argument("--fid-weights", type=Path, metavar="FILE", help="Inception's weights")
    for name, content in (
        ("data", "MNIST and CelebA, or room for downloads"),
        ("runs", "cached runs"),
        ("tables", "the tables"),
        ("figures", "the figures"),
    ):
        where.add_argument(
            f"--{name}-dir",
            type=Path,
            default=Path(name),
            metavar="DIR",
            help=f"folder of {content} (default: %(default)s)",
        )
    where.add_argument(
        "--download", action="store_true", help="fetch CelebA (1.4 GB) where it is missing"
    )
    where.add_argument(
        "--tensorboard",
        action="store_true",
        help="write event files into the runs' folders, while they train and of cached ones: "
        "tensorboard --logdir runs",
    )
    where.add_argument(
        "--weights-of",
        metavar="PATTERN",
        help="with --gc: remove the weights of the runs whose folders match, too; what is "
        "measured of them stays",
    )

    mode = parser.add_argument_group("modes").add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="show what would run, and run nothing")
    mode.add_argument(
        "--collect", action="store_true", help="tables and figures from cached runs alone"
    )
    mode.add_argument(
        "--status", action="store_true", help="list the runs folder: states, sizes, why runs failed"
    )
    mode.add_argument(
        "--gc",
        action="store_true",
        help="remove checkpoints of runs that have ended and temporary files that were left "
        "behind, and list the weights that are kept; see --weights-of",
    )
    mode.add_argument(
        "--verify",
        metavar="RUN",
        help="run a finished run once more and say what came out otherwise (status 1), if anything",
    )
    mode.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="write every cached run as one table, a row for each metric: .csv or .parquet",
    )
    mode.add_argument("--force", action="store_true", help="run anew what is done already")
    mode.add_argument("--retry-failed", action="store_true", help="run anew what failed")
    return parser


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return value


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be a number between 0 and 1, not {text!r}")
    return value


def _chosen(
    kind: str, names: Sequence[str], known: Iterable[str], everything: Iterable[str]
) -> list[str]:
    """Declared names of the tables or figures that were named with or without their kind."""
    declared = set(known)
    chosen: list[str] = []
    for name in names:
        if name == "all":
            chosen += everything
        elif name in declared or f"{kind}{name}" in declared:
            chosen.append(name if name in declared else f"{kind}{name}")
        else:
            raise unknown(kind, name, [each.removeprefix(kind) for each in declared] + ["all"])
    return list(dict.fromkeys(chosen))


def _request(arguments: argparse.Namespace) -> Request:
    load_plugins(arguments.plugin)
    kind, _, index = arguments.device.partition(":")
    if arguments.device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdigit()):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {arguments.device!r}")
    mode = next((m for m in MODES if getattr(arguments, m)), "run")
    _refuse_what_would_be_ignored(arguments, mode)
    tables = _chosen("table", arguments.table or [], TABLES, PAPER_TABLES)
    figures = _chosen("figure", arguments.figure or [], FIGURES, FIGURES)
    alone = not tables and not figures
    # Alone, --claims and --report describe the cached runs, and start none.
    of_cache = alone and mode in ("run", "collect") and (arguments.claims or arguments.report)
    if of_cache:
        mode, tables = "collect", list(TABLES)
        figures = list(FIGURES) if arguments.report else []
    elif alone:
        tables = list(PAPER_TABLES)
    optional = [name for name in tables if of_cache and name not in PAPER_TABLES]
    if of_cache or "all" in (arguments.figure or []):
        optional += figures
    worker = WorkerSettings(**_options(WorkerSettings, arguments))
    arguments.samplers = tuple(arguments.samplers or SAMPLERS)
    general = general_extractor(arguments.fid_weights)
    asked = arguments.features or (["auto"] if arguments.fid_weights else [])
    named = (general if name == "auto" else name for name in asked)
    arguments.features = tuple(dict.fromkeys(named))
    reading = Reading(**_options(Reading, arguments))
    chosen = {
        "tables": tables,
        "figures": figures,
        "optional": optional,
        "everything": of_cache,
        "overrides": parse_overrides(arguments.set, own_parameters()),
        "worker": replace(worker, plugin=tuple(arguments.plugin)),
        "reading": reading,
        "mode": mode,
    }
    return Request(**_options(Request, arguments) | chosen)


def _refuse_what_would_be_ignored(arguments: argparse.Namespace, mode: str) -> None:
    """Refuse options that say nothing beside the others, since they promise what is not done."""
    if arguments.name is not None and ":" not in (arguments.dataset or ""):
        raise UsageError("--name goes with --dataset idx:FOLDER or images:FOLDER")
    if arguments.scheduler is not None and arguments.backend != "dask":
        raise UsageError("--scheduler goes with --backend dask")
    if arguments.weights_of is not None and mode != "gc":
        raise UsageError("--weights-of goes with --gc")
    asked = set(arguments.features or ("auto",))
    if arguments.fid_weights and not asked & {"auto", "inception"}:
        raise UsageError("--fid-weights goes with --features inception or auto")
    if mode in ("status", "gc", "verify", "export"):
        for option in ("table", "figure", "claims", "report", "only", "seeds", "set", "dataset"):
            if getattr(arguments, option):
                raise UsageError(f"--{option} does not go with --{mode}; leave one of them out")


def _options(declared: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that are fields of a dataclass of the same names."""
    names = {f.name for f in fields(declared)} & set(vars(arguments))
    return {name: getattr(arguments, name) for name in names}


def _of_system(error: OSError) -> str:
    """What the system refused, where, and what to do."""
    if error.filename is not None:
        verb = "read" if isinstance(error, PermissionError) else "use"
        return str(refused(f"cannot {verb} {printable(str(error.filename))}", error))
    # Errors of files carry a name, so this one is of standard output, which Python would flush
    # once more as the program ends.
    discard(sys.stdout)
    return str(refused("cannot write the output", error))


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program.

    Args:
        argv: arguments without the program's name; those of the process where it is None.

    Returns:
        The exit status, see ``--help``.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    # So that workers are stopped with the program.
    signal.signal(signal.SIGTERM, _terminate)
    escape_unknown_characters()
    try:
        return carry_out(_request(_parser().parse_args(arguments)))
    except KeyboardInterrupt:
        say("interrupted; the same command goes on from the checkpoints")
        return 130
    except BrokenPipeError:
        # Whoever reads the output has seen enough; there is nobody left to tell.
        discard(sys.stdout)
        return 1
    except Exception as error:  # noqa: BLE001 - every error ends in one line
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, BenchError):
            what = str(error)
        elif isinstance(error, OSError) and error.strerror:
            what = _of_system(error)
        elif isinstance(error, ModuleNotFoundError):
            what = f"{error}; install what the suite needs: make install, or pip install ."
        else:
            what = f"unexpected {type(error).__name__}: {error} (see --debug)"
        say(f"{PROGRAM}: error: {' '.join(what.split())}")
        return error.status if isinstance(error, BenchError) else 1


if __name__ == "__main__":
    sys.exit(main())
