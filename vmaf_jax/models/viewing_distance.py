"""The effect of viewing distance on scores, by one number that is fitted to votes.

    s(D) = s + gain ln(D / D0) s (100 - s) / 100

`s` is the score on 0-100 at the distance `D0` that a model was trained for. From farther away
people see less of an artefact: middling encodes gain most, and the ends of the scale stay where
they are. For `gain >= 0` a score never falls with the distance, and encodes keep their order as
long as `gain |ln(D / D0)| <= 1`. libvmaf's score transform of degree 2 computes the same.
"""

import dataclasses
import math
from typing import Any

WORST_TO_BEST = 100.0


@dataclasses.dataclass(frozen=True)
class ViewingDistance:
    """The distances that a model knows, picture heights.

    Attributes:
        own: where its plain scores hold, `D0`.
        nearest, farthest: of the votes that it learnt from.
        gain: of a score of 50, in quarters of the scale a factor e of distance; >= 0.

    Raises:
        ValueError: numbers that cannot be.
    """

    own: float
    nearest: float
    farthest: float
    gain: float

    def __post_init__(self) -> None:
        sound = 0 < self.nearest <= self.farthest < math.inf and 0 < self.own < math.inf
        if not sound or not 0 <= self.gain < math.inf:
            raise ValueError(f"no viewing distances: {self}")
        # Beyond a strength of 1 encodes would lose their order.
        if any(abs(self.strength(end)) > 1 for end in (self.nearest, self.farthest)):
            raise ValueError(f"no viewing distances: {self}")

    def log_ratio(self, distance: float) -> float:
        """Returns `ln(D / D0)`; a distance without votes counts as the nearest one with votes."""
        return math.log(min(max(distance, self.nearest), self.farthest) / self.own)

    def strength(self, distance: float) -> float:
        """Returns `gain ln(D / D0)`, by which `move_scores` moves scores to a distance."""
        return self.gain * self.log_ratio(distance)


def move_scores(scores: Any, strength: Any) -> Any:
    """Moves scores on 0-100 by a strength, both of any array library and of shapes that fit."""
    return scores + strength * scores * (WORST_TO_BEST - scores) / WORST_TO_BEST
