"""The command line: arguments in, exit status out."""

import argparse
import contextlib
import re
import signal
import sys
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields
from types import FrameType
from typing import Any, NoReturn

from bench.campaign.commands import carry_out, going_on
from bench.campaign.job import WorkerSettings
from bench.campaign.plugins import load_plugins
from bench.campaign.request import MODES, Request
from bench.errors import BenchError, Terminated, UsageError, described, of_system, refused, unknown
from bench.evaluation.extractors import general_extractor, inception_weights
from bench.experiments.figures import FIGURES
from bench.experiments.spec import SAMPLERS, parse_overrides
from bench.experiments.tables import PAPER_TABLES, TABLES, own_parameters
from bench.options import PROGRAM, parser
from bench.report.display import Display
from bench.screen import discard, make_streams_safe, say


def _chosen(
    kind: str, names: Sequence[str], known: Collection[str], everything: Iterable[str]
) -> list[str]:
    """Declared names of the tables or figures that were named with or without their kind."""
    chosen: list[str] = []
    for name in names:
        meant = name if name in known else f"{kind}{name}"
        if name != "all" and meant not in known:
            raise unknown(kind, name, [each.removeprefix(kind) for each in known] + ["all"])
        chosen += everything if name == "all" else [meant]
    return list(dict.fromkeys(chosen))


def _request(arguments: argparse.Namespace) -> Request:
    load_plugins(arguments.plugin)
    if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", arguments.device):
        raise UsageError(f"--device takes auto, cpu, cuda or cuda:N, not {arguments.device!r}")
    mode = _mode(arguments)
    if arguments.report and arguments.report.is_dir():
        raise UsageError(f"--report {arguments.report}: name a file, such as report.html")
    tables = _chosen("table", arguments.table, TABLES, PAPER_TABLES)
    figures = _chosen("figure", arguments.figure, FIGURES, FIGURES)
    alone = not tables and not figures
    # Alone, --claims and --report describe the finished runs, and start none.
    of_cache = alone and mode in ("run", "collect") and (arguments.claims or arguments.report)
    if of_cache:
        mode, tables = "collect", list(TABLES)
        figures = list(FIGURES) if arguments.report else []
    elif alone:
        tables = list(PAPER_TABLES)
    optional = [name for name in tables if of_cache and name not in PAPER_TABLES]
    by_name = _chosen("figure", arguments.figure, FIGURES, ())
    optional += [name for name in figures if name not in by_name]
    general = general_extractor(arguments.fid_weights)
    if arguments.fid_weights:
        inception_weights.verify(arguments.fid_weights)
    asked = arguments.extractor or (["auto"] if arguments.fid_weights else [])
    named = (general if name == "auto" else name for name in asked)
    samplers = tuple(dict.fromkeys(arguments.sampler or SAMPLERS))
    extractors = tuple(dict.fromkeys(named))
    arguments.plugin = tuple(arguments.plugin)
    chosen = {
        "tables": tables,
        "figures": figures,
        "optional": optional,
        "everything": bool(of_cache),
        "implied": alone and mode == "collect",
        "overrides": parse_overrides(arguments.set, own_parameters()),
        "worker": WorkerSettings(**_options(WorkerSettings, arguments)),
        "display": Display(samplers, extractors, arguments.rank_threshold),
        "mode": mode,
    }
    return Request(**_options(Request, arguments) | chosen)


def _mode(arguments: argparse.Namespace) -> str:
    """What is to be done, of which there is one; refuses options that would be ignored beside it.

    ``--plan`` and ``--collect`` may be added to a command that trains.

    Raises:
        UsageError: two modes, or an option that does not go with the mode or another option.
    """
    modes = [name for name in MODES if getattr(arguments, name)]
    mode = modes[0] if modes else "run"
    if arguments.name is not None and ":" not in (arguments.dataset or ""):
        raise UsageError("--name goes with --dataset idx:FOLDER or images:FOLDER")
    if arguments.weights_of is not None and mode != "gc":
        raise UsageError("--weights-of goes with --gc")
    asked = set(arguments.extractor or ("auto",))
    if arguments.fid_weights and not asked & {"auto", "inception"}:
        raise UsageError("--fid-weights goes with --extractor inception or auto")
    if arguments.jobs and arguments.scheduler:
        raise UsageError("--jobs does not go with --scheduler, whose workers say how many run")
    for option in (*modes[1:], *_IGNORED.get(mode, ())):
        if getattr(arguments, option) not in (None, False, [], "auto"):
            first, second = (name.replace("_", "-") for name in (option, mode))
            raise UsageError(f"--{first} does not go with --{second}; leave one of them out")
    return mode


_OF_TABLES = (
    *("table", "figure", "claims", "report", "only", "seeds", "set", "profile", "extractor"),
    *("sampler", "jobs", "stop_after", "scheduler"),
)
_OF_DATA = ("dataset", "download", "fid_weights")
# Options that say nothing to a command of that mode. ``--verify`` takes ``--dataset``, since a
# run's own data have to be named again.
_IGNORED = {
    "plan": ("claims", "report"),
    "verify": _OF_TABLES,
    **dict.fromkeys(("status", "gc", "export"), _OF_TABLES + _OF_DATA),
}


def _options(declared: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that are fields of a dataclass of the same names."""
    names = {f.name for f in fields(declared)} & set(vars(arguments))
    return {name: getattr(arguments, name) for name in names}


@contextlib.contextmanager
def _terminated() -> Iterator[None]:
    """Have SIGTERM raise within, so that workers are stopped with the program."""

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated(128 + number)

    # Only the main thread hears signals, and may say what becomes of them.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program with some arguments, or the process's own; return the exit status."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    make_streams_safe()
    request = None
    try:
        with _terminated():
            request = _request(parser().parse_args(arguments))
            return carry_out(request)
    except (KeyboardInterrupt, Terminated) as error:
        by_user = isinstance(error, KeyboardInterrupt)
        what = "interrupted" if by_user else "terminated"
        # Other modes train nothing, or, to verify, in a folder that is gone.
        if request and request.mode in ("run", "force", "retry_failed"):
            what += f"; {going_on(request.mode)}"
        say(what)
        return 130 if by_user else 128 + signal.SIGTERM
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
            what = of_system(error) or str(
                refused("the system refused something, see --debug", error)
            )
        elif isinstance(error, ModuleNotFoundError):
            what = f"{error}; install what the suite needs: make install, or pip install ."
        else:
            what = f"unexpected {described(error)} (see --debug)"
        say(f"{PROGRAM}: error: {' '.join(what.split())}")
        return error.status if isinstance(error, BenchError) else 1


if __name__ == "__main__":
    sys.exit(main())
