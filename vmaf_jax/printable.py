"""Text for people: numbers as they are shown, and text from outside made safe for a terminal.

A name may hold escape sequences that move the cursor, rename the window or hide what follows,
marks that reverse the order of writing, or line ends that forge a further line. Everything that
shows text to people (`reporting.terminal`, error lines, logging) passes it through `printable`;
JSON and HTML pages have escapes of their own.
"""

import logging
import math
import re
import sys
from collections.abc import Callable
from typing import Protocol

# No-break space, zero-width joiners (of Persian and of emoji) and the ideographic space: not
# printable to Python, and harmless in names.
_HARMLESS = "\xa0\u200c\u200d\u3000"
UNDEFINED = "–"  # how numbers that are undefined are shown


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns `text` with control, formatting, surrogate and unassigned characters escaped.

    `"a\x1b[2J"` becomes `a\x1b[2J` in visible characters, and a line end `\n`.

    Args:
        keep: Characters that are left as they are, such as line ends of this program's own text.
    """
    if text.isprintable():
        return text
    return "".join(
        c
        if c.isprintable() or c in _HARMLESS or c in keep
        else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def format_count(n: int | float, noun: str, spec: str = "") -> str:
    """Formats a number with what it counts: "1 clip", "2 clips".

    Args:
        noun: In the singular; its plural takes an s.
        spec: Format of the number, as "," for separators of thousands.
    """
    return f"{n:{spec}} {noun}{'' if n == 1 else 's'}"


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


class _Interval(Protocol):
    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


def format_interval(interval: _Interval, format_end: Callable[[float], str] = format_points) -> str:
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


def log_to_terminal() -> None:
    """Sends warnings of this process to standard error, escaped, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class PrintableFormatter(logging.Formatter):
    """A formatter of log records that escapes their text for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text; a traceback keeps its lines."""
        return printable(super().format(record), keep="\n")


def escape_output() -> None:
    """Makes output escape characters that the terminal's encoding lacks, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


# Lone surrogates, which JSON can escape and UTF-8 cannot encode: a client may send one, and the
# name of a file that is not UTF-8 has some. Parsers and encoders fail on them.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair is one character
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def replace_surrogates(text: str) -> str:
    """Replaces escaped lone surrogates of a JSON text by U+FFFD, the replacement character."""
    return _ESCAPE.sub(lambda match: "\\ufffd" if match["lone"] else match[0], text)


def escape_surrogates(text: str) -> str:
    r"""Writes lone surrogates of a text out, as `\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode()
