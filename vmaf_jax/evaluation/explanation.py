"""The reasons of a score: what each feature takes from that of the identical pair (Shapley)."""

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.features.feature_set import FeatureSet

Floats = npt.NDArray[np.float64]
_ROWS = 4096  # of one call of the model, over all coalitions


def shapley_values(value: Callable[[Floats], Floats], rows: Floats, baseline: Floats) -> Floats:
    """Computes the Shapley value of each feature for the step from `baseline` to `rows`.

    `phi_i = sum over S without i of |S|! (d - |S| - 1)! / d! * (v(S and i) - v(S))`, where `v(S)`
    is the value of a row whose features in S are its own and whose others are the baseline's. The
    values of a row add up to `value(rows) - value(baseline)`; a feature that is the baseline's
    everywhere has 0. The model scores each of the `2^d` coalitions.

    Args:
        value: from features `[n, d]` to values `[n]`.
        rows, baseline: features `[n, d]`.

    Returns:
        `[n, d]`, in the unit of `value`.

    Source: Shapley, "A value for n-person games", 1953.
    """
    n, d = rows.shape
    players = np.flatnonzero((rows != baseline).any(axis=0))
    k = len(players)
    shares = np.zeros((n, d))
    if not k:
        return shares
    inside = (np.arange(2**k)[:, None] >> np.arange(k)) & 1 == 1
    coalitions = np.zeros((2**k, d), bool)
    coalitions[:, players] = inside
    sizes = inside.sum(axis=1)
    joins = [math.factorial(s - 1) * math.factorial(k - s) if s else 0 for s in sizes]
    stays = [math.factorial(s) * math.factorial(k - s - 1) if s < k else 0 for s in sizes]
    weights = np.where(inside.T, joins, -np.array(stays, np.float64)) / math.factorial(k)
    step = max(1, _ROWS // 2**k)
    for first in range(0, n, step):
        part = slice(first, first + step)
        mixed = np.where(coalitions[:, None], rows[part], baseline[part])
        values = value(mixed.reshape(-1, d)).reshape(2**k, -1)
        shares[part, players] = (weights @ values).T
    return shares


class Meaning(NamedTuple):
    """A feature's short name, and what a score loses by it."""

    title: str
    loss: str


MEANINGS = {  # motion is the reference's own, and adds nothing
    "adm2": Meaning("ADM", "detail loss"),
    "vif_scale0": Meaning("VIF 0", "information lost at the finest scale"),
    "vif_scale1": Meaning("VIF 1", "information lost at the second scale"),
    "vif_scale2": Meaning("VIF 2", "information lost at the third scale"),
    "vif_scale3": Meaning("VIF 3", "information lost at the coarsest scale"),
    "cambi": Meaning("CAMBI", "banding"),
    "speed_chroma_uv": Meaning("SpEED", "distortion of chroma"),
    "adm3": Meaning("ADM", "detail loss and impairment"),
}
_LEAST = 0.05  # points; smaller contributions are not named
_NOTHING = "nothing is taken from it"


@dataclasses.dataclass(frozen=True)
class Reasons:
    """Contributions of the features to one score.

    Attributes:
        identical: Points of the reference against itself.
        contributions: Points by feature; with `identical` they add up to the score.
    """

    identical: float
    contributions: dict[str, float]

    def words(self) -> str:
        """Says what lowers the score, in points, the largest part first."""
        named = [(value, name) for name, value in self._rising() if abs(value) >= _LEAST]
        parts = [f"{value:+.1f} {_describe(name)}" for value, name in named]
        return f"{self.identical:.1f} if identical; {', '.join(parts) or _NOTHING}"

    def main_losses(self) -> str:
        """Says what the score loses most by: what takes at least half as much as the largest."""
        rising = self._rising()
        limit = min(rising[0][1] / 2, -_LEAST)
        losses = [MEANINGS[name].loss for name, value in rising if value <= limit]
        return ", ".join(losses) or _NOTHING

    def _rising(self) -> list[tuple[str, float]]:
        return sorted(self.contributions.items(), key=lambda item: item[1])


def _describe(name: str) -> str:
    meaning = MEANINGS.get(name)
    return name if meaning is None else f"{meaning.loss} ({meaning.title})"


@dataclasses.dataclass(frozen=True)
class Explanation:
    """Contributions of the features to the scores of a clip's frames.

    Attributes:
        features: Their names.
        contributions: Float64 `[frames, features]`, points; those of a frame add up to its score
            less that of the identical pair.
        identical: Float64 `[frames]`, points: scores of the reference against itself.
    """

    features: tuple[str, ...]
    contributions: Floats
    identical: Floats

    def mean(self, rows: int | slice = slice(None)) -> Reasons:
        """Returns the reasons of a frame's score, or of the mean of some."""
        means = self.contributions[rows].reshape(-1, len(self.features)).mean(axis=0)
        by_name = dict(zip(self.features, means.tolist(), strict=True))
        return Reasons(float(np.mean(self.identical[rows])), by_name)

    def describe(self, rows: int | slice = slice(None)) -> dict[str, object]:
        """Returns the reasons of a frame's score, or of the mean of some, for JSON."""
        reasons = self.mean(rows)
        return dataclasses.asdict(reasons) | {"words": reasons.words()}


def explain_scores(
    predict: Callable[[Floats], Floats], feature_set: FeatureSet, features: Floats
) -> Explanation:
    """Explains scores of frames by Shapley values against the identical pair.

    The identical pair has the same reference, so its motion is the frame's own and contributes 0.

    Args:
        predict: From features `[n, d]` to scores `[n]`.
        features: `[frames, features]`, no unit.
    """
    names = feature_set.names
    baseline = np.broadcast_to(np.array(feature_set.identical), features.shape).copy()
    kept = [names.index(name) for name in feature_set.reference_only]
    baseline[:, kept] = features[:, kept]
    contributions = shapley_values(predict, features, baseline)
    return Explanation(names, contributions, predict(baseline))
