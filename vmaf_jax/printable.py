"""Text of strangers on a terminal: names of files, sources and addresses, and what files say.

A name may hold escape sequences that move the cursor, rename the window or hide what follows,
marks that reverse the order of writing, or line ends that forge a further line. Whatever shows text
to people (`reporting.terminal`, error lines, logging) passes it through `printable`; JSON has its
own escapes, and pages theirs.
"""

import logging
import sys

# No-break space, zero-width joiners (of Persian and of emoji) and the ideographic space: not
# printable to Python, and harmless in names.
_HARMLESS = "\xa0\u200c\u200d\u3000"


def printable(text: str, *, keep: str = "") -> str:
    r"""Returns `text` with control, formatting, surrogate and unassigned characters escaped.

    `"a\x1b[2J"` becomes `a\x1b[2J` in visible characters, and a line end `\n`.

    Args:
        keep: characters that are left as they are, such as line ends of our own text.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in _HARMLESS or c in keep else _escaped(c) for c in text
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def log_to_terminal() -> None:
    """Has warnings of this process written to standard error, escaped, a line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class PrintableFormatter(logging.Formatter):
    """Formats log records for a terminal: what a record says is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text; a traceback keeps its lines."""
        return printable(super().format(record), keep="\n")


def escape_output() -> None:
    """Has characters that the terminal's encoding lacks written escaped, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
