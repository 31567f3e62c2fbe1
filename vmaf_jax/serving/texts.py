"""Text that goes over the wire: no lone surrogates, which JSON can escape and UTF-8 cannot hold.

A client may send one, and a file's name that is no UTF-8 has some. Parsers and encoders fail on
them, and a call whose message fails is never answered.
"""

import re

_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: one character
    r"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)"
)


def mend_json(text: str) -> str:
    """JSON with U+FFFD, the replacement character, in the place of escaped lone surrogates."""
    return _ESCAPE.sub(lambda match: "\\ufffd" if match["lone"] else match[0], text)


def encodable(text: str) -> str:
    r"""A text with lone surrogates written out, as `\udce9`."""
    return text.encode("utf-8", "backslashreplace").decode()
