"""Errors that a user can act on; the command line prints them as one line."""

import contextlib
import difflib
import errno
from collections.abc import Collection, Iterable, Iterator
from typing import Any


class BenchError(Exception):
    """Something outside the code is wrong: a file, the network, the machine. Exit status 1."""

    status = 1


class UsageError(BenchError):
    """The request itself is wrong. Exit status 2."""

    status = 2


class Terminated(SystemExit):
    """The process was sent SIGTERM; no run is at fault."""


def described(error: BaseException) -> str:
    """What is said of an error that nobody foresaw, on one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


@contextlib.contextmanager
def naming(what: str, *others: type[Exception]) -> Iterator[None]:
    """Have an error that nobody foresaw say whose code it arose in (``"figure mine"``).

    Raises:
        BenchError: it arose. Other BenchErrors, SIGTERM and the given types pass as they are.
    """
    passing: tuple[type[BaseException], ...] = (BenchError, Terminated, *others)
    try:
        yield
    except passing:
        raise
    except (Exception, SystemExit) as error:
        said = of_system(error) if isinstance(error, OSError) else ""
        raise BenchError(f"{what}: {said or described(error)}") from error


_PERMISSION = "give yourself permission, or choose another place"
_SPACE = "free some space, or choose another place"
_REMEDIES = {
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "choose a place that can be written",
    errno.EEXIST: "a file is in the way; choose another folder",
    errno.ENOTDIR: "a file is in the way; choose another folder",
    errno.EISDIR: "it is a folder; choose a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


def refused(what: str, error: OSError) -> BenchError:
    """Build the error for what the system refused (``"cannot write a.json"``), with the remedy."""
    remedy = _REMEDIES.get(error.errno or 0)
    reason = error.strerror or str(error)
    return BenchError(f"{what}: {reason}" + (f"; {remedy}" if remedy else ""))


def of_system(error: OSError) -> str:
    """What the system refused, where, and what to do; empty where it says nothing of a file."""
    if error.filename is None or not error.strerror:
        return ""
    verb = "read" if isinstance(error, PermissionError) else "use"
    return str(refused(f"cannot {verb} {printable(str(error.filename))}", error))


def printable(name: str) -> str:
    """A file's name for people: bytes that are not UTF-8 are shown as escapes."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


# So that names of files that are made of a name stay within what disks take.
LONGEST_NAME = 48


def require_name(what: str, name: str) -> None:
    """Refuse a name of something (a ``"method"``) that cannot be part of a file's name.

    Raises:
        UsageError: it is not of 1 to 48 printable characters, without slashes, that do not begin
            with a dot, nor with an underscore, which Matplotlib leaves out of legends.
    """
    fits = 0 < len(name) <= LONGEST_NAME and name.isprintable() and name == name.strip()
    if not fits or name[0] in "._" or {"/", "\\"} & set(name):
        raise UsageError(
            f"the name of a {what} is part of file names: {name[:60]!r} must have at most "
            f"{LONGEST_NAME} printable characters, no slash, and no dot or underscore in front"
        )


def register(
    registry: dict[str, Any], what: str, name: str, new: object, taken: Collection[str] = ()
) -> None:
    """Add something (``"a method"``) by its name.

    Raises:
        UsageError: another thing has that name, or it is among those taken.
    """
    if name in taken or registry.get(name, new) != new:
        raise UsageError(f"{what} named {name!r} exists already; choose another name")
    registry[name] = new


def unknown(what: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for an unknown name of something (a ``"method"``): it names the nearest."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
    hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {what} {name!r}: {hint}")
