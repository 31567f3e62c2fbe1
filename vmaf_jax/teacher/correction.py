"""What a model puts in the place of a feature that could not be measured."""

from typing import Any, NamedTuple


class Correction(NamedTuple):
    """What stands in for a feature that is exactly 0: `at_one (1 - guide)`, no unit.

    Attributes:
        at_one: `[features]`, the factor; 0 for features that are taken as they are.
        guide: `[features]`, 1 for the feature that guides it, 0 for the others.
    """

    at_one: Any
    guide: Any
