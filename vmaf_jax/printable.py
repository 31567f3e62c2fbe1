"""Text for people: numbers with their nouns, and text from outside made safe for a terminal.

A name may hold escape sequences that move the cursor, rename the window or hide what follows,
marks that reverse the order of writing, or line ends that forge a further line. Everything that
shows text to people (`reporting.terminal`, error lines, logging) passes it through `printable`;
JSON and HTML pages have escapes of their own.
"""

import logging
import re
import sys

# No-break space, zero-width joiners (of Persian and of emoji) and the ideographic space: not
# printable to Python, and harmless in names.
_HARMLESS = "\xa0\u200c\u200d\u3000"


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
