"""Numbers in files that people bring: plain decimal notation in ASCII, finite.

Python's `float` and Pydantic take more: `7_0` for 70, `true` for 1, Arabic digits, `inf`, `1e999`.
In a table of measurements each of these is a mistake, so none is read as a number here.
"""

import decimal
import math
import re
from typing import Annotated

import numpy as np
import pydantic

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MAX_LENGTH = 64  # characters; a double takes 24
_NUMERIC = (int, float, decimal.Decimal, np.integer, np.floating)  # Parquet has decimals too
_BLANKS = " \t\r\n"


def read_number(value: object) -> float:
    """Returns the number that a cell holds, as text or as a number already.

    Raises:
        ValueError: it holds something else, a truth value, or a number that is not finite; the
            message says what was expected.
    """
    if isinstance(value, str):
        text = value.strip(_BLANKS)
        fits = len(text) <= _MAX_LENGTH and _NUMBER.fullmatch(text)
        number = float(text) if fits else math.nan
    elif isinstance(value, _NUMERIC) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    else:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected a number such as 12.5, received {show(value)}")
    return number


def read_whole(value: object) -> int:
    """Returns the whole number that a cell holds; `3`, `3.0` and `3e0` are 3.

    Raises:
        ValueError: as `read_number`, or it has a fraction.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
        return value
    number = read_number(value)
    if not number.is_integer():
        raise ValueError(f"expected a whole number, received {show(value)}")
    return int(number)


def show(value: object) -> str:
    """Returns the start of a value as an error message names it."""
    if isinstance(value, int) and abs(value) >= 2**63:
        return "a whole number of very many digits"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


Number = Annotated[float, pydantic.BeforeValidator(read_number)]
Whole = Annotated[int, pydantic.BeforeValidator(read_whole)]
