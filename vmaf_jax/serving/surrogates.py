"""Lone surrogates, which JSON can escape and UTF-8 cannot encode.

A client may send one, and the name of a file that is not UTF-8 has some. Parsers and encoders fail
on them, and a call whose message fails would never be answered.
"""

import re

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
