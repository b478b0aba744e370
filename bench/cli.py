"""The command line: arguments in, exit status out."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import __version__
from bench.commands import carry_out
from bench.errors import BenchError, UsageError, unknown
from bench.experiments import PAPER_TABLES, TABLES, own_parameters
from bench.plugins import load_plugins
from bench.profiles import PROFILES
from bench.resolve import Request
from bench.spec import EXTRACTORS, HEADLINE_SAMPLER, PRECISIONS, SAMPLERS, parse_overrides

PROGRAM = "irmae-bench"
_LATER = {"5": "table 5", "6": "table 6"}


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
        help=f"a table, repeatable: all (the default: 3 and 4), or one of {tables}",
    )
    what.add_argument("--figure", action="append", metavar="N", help="not available yet")
    what.add_argument("--only", metavar="GLOB", help="only runs whose name matches")
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
        metavar="idx:FOLDER",
        help="run the tables on your own images instead, in the four files of MNIST's format; "
        "outputs are named after the folder",
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
        choices=SAMPLERS,
        default=HEADLINE_SAMPLER,
        help="sampler whose FID the tables print (default: %(default)s; records have all)",
    )

    much = parser.add_argument_group("how much")
    much.add_argument(
        "--profile",
        choices=(*PROFILES, "auto"),
        default="auto",
        help=f"{profiles}; auto (the default): paper on a GPU, quick without; with --collect, "
        "whichever fills most cells",
    )

    where = parser.add_argument_group("where and how")
    where.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    where.add_argument(
        "--jobs",
        type=_positive,
        metavar="N",
        help="worker processes (default: a core each, or 1 on a GPU)",
    )
    where.add_argument("--precision", choices=PRECISIONS, default="fp32", help="of training")
    where.add_argument(
        "--features",
        choices=("auto", *EXTRACTORS),
        help="network behind the FID; auto: Inception where its weights are at hand or can be "
        "downloaded, else a classifier of the data (default: auto for the paper profile, "
        "classifier for the smaller ones)",
    )
    where.add_argument("--fid-weights", type=Path, metavar="FILE", help="Inception's weights")
    for name, content in (
        ("data", "MNIST, or room for its download"),
        ("runs", "cached runs"),
        ("tables", "the tables"),
    ):
        where.add_argument(
            f"--{name}-dir",
            type=Path,
            default=Path(name),
            metavar="DIR",
            help=f"folder of {content} (default: %(default)s)",
        )
    where.add_argument(
        "--keep-checkpoints", action="store_true", help="keep the weights of finished runs"
    )

    mode = parser.add_argument_group("modes").add_mutually_exclusive_group()
    mode.add_argument("--plan", action="store_true", help="show what would run, and run nothing")
    mode.add_argument("--collect", action="store_true", help="tables from cached runs alone")
    mode.add_argument("--force", action="store_true", help="run anew what is done already")
    mode.add_argument("--retry-failed", action="store_true", help="run anew what failed")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {text}")
    return value


def _tables(names: Sequence[str] | None) -> list[str]:
    tables: list[str] = []
    for name in names or ["all"]:
        if name in _LATER:
            raise UsageError(f"--table {name} needs CelebA, which this version does not train yet")
        if name == "all":
            tables += PAPER_TABLES
        elif name in TABLES or f"table{name}" in TABLES:
            tables.append(name if name in TABLES else f"table{name}")
        else:
            raise unknown("table", name, [t.removeprefix("table") for t in TABLES] + ["all"])
    return list(dict.fromkeys(tables))


def _request(arguments: argparse.Namespace) -> Request:
    load_plugins(arguments.plugin)
    if arguments.figure:
        raise UsageError("--figure: this version draws no figures yet")
    kind, _, index = arguments.device.partition(":")
    if arguments.device not in ("auto", "cpu", "cuda") and not (kind == "cuda" and index.isdigit()):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {arguments.device!r}")
    own_data = None
    if arguments.dataset is not None:
        # Reads every file, once: workers are handed the declaration.
        from bench.data.own import register_own

        own_data = register_own(arguments.dataset)
    return Request(
        tables=_tables(arguments.table),
        only=arguments.only,
        seeds=arguments.seeds,
        overrides=parse_overrides(arguments.set, own_parameters()),
        profile=arguments.profile,
        features=arguments.features,
        precision=arguments.precision,
        sampler=arguments.sampler,
        device=arguments.device,
        jobs=arguments.jobs,
        data_dir=arguments.data_dir,
        runs_dir=arguments.runs_dir,
        tables_dir=arguments.tables_dir,
        fid_weights=arguments.fid_weights,
        keep_checkpoints=arguments.keep_checkpoints,
        plugins=tuple(arguments.plugin),
        own_data=own_data,
        mode=next(
            (m for m in ("plan", "collect", "force", "retry_failed") if getattr(arguments, m)),
            "run",
        ),
    )


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
    try:
        return carry_out(_request(_parser().parse_args(arguments)))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from the checkpoints", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever reads the output has seen enough; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - every error ends in one line
        if "--debug" in arguments:
            traceback.print_exc()
        if isinstance(error, BenchError):
            what = str(error)
        elif isinstance(error, ModuleNotFoundError):
            what = f"{error}; install what the suite needs: make install, or pip install ."
        else:
            what = f"unexpected {type(error).__name__}: {error} (see --debug)"
        print(f"{PROGRAM}: error: {' '.join(what.split())}", file=sys.stderr)
        return error.status if isinstance(error, BenchError) else 1
