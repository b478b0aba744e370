"""Small charts for the report, as the points and ticks of an SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, isfinite, log10

WIDTH, HEIGHT = 320, 150
LEFT, RIGHT, _TOP, _BOTTOM = 44, 12, 8, 34
# More points than pixels cannot be seen.
_POINTS = 300

Tick = tuple[float, str]


@dataclass(frozen=True)
class Chart:
    """One curve over a linear axis, on a logarithmic one.

    Attributes:
        name: what is shown, for those who cannot see it.
        xlabel: below the horizontal axis.
        points: of the curve, as SVG writes them.
        xticks: places on the horizontal axis, with their labels.
        yticks: likewise.
        mark: a point that stands out; None for none.
    """

    name: str
    xlabel: str
    points: str
    xticks: Sequence[Tick]
    yticks: Sequence[Tick]
    mark: tuple[float, float] | None = None


def chart(
    name: str, xlabel: str, xs: Sequence[float], ys: Sequence[float], marked: int | None = None
) -> Chart | None:
    """Lay a curve out in :data:`WIDTH` by :data:`HEIGHT` pixels.

    Args:
        name: what is shown.
        xlabel: below the horizontal axis.
        xs: rising.
        ys: as many; what is not above 0 has no place on a logarithmic axis and is left out.
        marked: index of a point that stands out.

    Returns:
        The chart; None where fewer than two points can be shown.
    """
    shown = [i for i, y in enumerate(ys) if y > 0 and isfinite(y)]
    if len(shown) < 2:
        return None
    low = floor(log10(min(ys[i] for i in shown)))
    high = max(low + 1, ceil(log10(max(ys[i] for i in shown))))
    left, right = xs[shown[0]], xs[shown[-1]]

    def place(i: int) -> tuple[float, float]:
        across = (xs[i] - left) / (right - left)
        up = (log10(ys[i]) - low) / (high - low)
        return (
            round(LEFT + across * (WIDTH - LEFT - RIGHT), 1),
            round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM), 1),
        )

    drawn = shown[:: ceil(len(shown) / _POINTS)]
    return Chart(
        name=name,
        xlabel=xlabel,
        points=" ".join(f"{x},{y}" for x, y in map(place, drawn)),
        xticks=[(place(i)[0], f"{xs[i]:g}") for i in (shown[0], shown[-1])],
        yticks=list(_decades(low, high)),
        mark=place(marked) if marked in shown and marked is not None else None,
    )


def _decades(low: int, high: int) -> Iterator[Tick]:
    """Powers of ten, four at the most."""
    for exponent in range(low, high + 1, ceil((high - low) / 3)):
        up = (exponent - low) / (high - low)
        yield round(HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM), 1), f"1e{exponent}"
