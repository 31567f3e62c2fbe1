"""A model's optional mapping of its scores, as its file says it."""

from typing import NamedTuple


class ScoreTransform(NamedTuple):
    """A model's optional mapping of its scores, applied before the clip.

    Attributes:
        polynomial: p0, p1, p2; None leaves the score as it is.
        at_least_input, at_most_input: rectification against the score before the polynomial.
    """

    polynomial: tuple[float, float, float] | None
    at_least_input: bool = False
    at_most_input: bool = False
