"""Numbers as pages, cards and terminal tables show them; what is undefined is a dash."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmaf_jax.evaluation.intervals import Interval

UNDEFINED = "–"


def format_fixed(value: float | None, digits: int = 4) -> str:
    """Formats a number with a fixed number of decimals."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    return f"{value:.{digits}f}"


def format_time(seconds: float) -> str:
    """Formats seconds as "3.21 s", from a minute on as "1:03.21" or "1:02:03.21"."""
    if (rounded := round(seconds, 2)) < 60:
        return f"{rounded:.2f} s"
    minutes, rest = divmod(rounded, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def format_points(value: float | None) -> str:
    """Formats VMAF points with three significant digits, whatever their size."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(size)))}f}".replace("-", "\u2212")


def format_interval(
    interval: "Interval", format_end: Callable[[float], str] = format_points
) -> str:
    """Formats an interval as "0.12 to 0.34"."""
    if not math.isfinite(interval.low):
        return UNDEFINED
    return f"{format_end(interval.low)} to {format_end(interval.high)}"


def format_p_value(value: float) -> str:
    """Formats a p value with two significant digits, those below 0.001 as such."""
    if math.isnan(value):
        return UNDEFINED
    return "< 0.001" if value < 0.001 else f"{value:.2g}"


def format_change(fraction: float) -> str:
    """Formats a relative change as percent with its sign."""
    return f"{100 * fraction:+.2f} %"
