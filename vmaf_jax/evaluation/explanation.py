"""The reasons of a score: what each feature takes from that of the identical pair (Shapley)."""

import dataclasses
import math
from collections.abc import Callable

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


_WORDS = {
    "adm2": "detail loss (ADM)",
    "vif_scale0": "information lost at the finest scale (VIF 0)",
    "vif_scale1": "information lost at the second scale (VIF 1)",
    "vif_scale2": "information lost at the third scale (VIF 2)",
    "vif_scale3": "information lost at the coarsest scale (VIF 3)",
    "motion2": "motion",
    "cambi": "banding (CAMBI)",
    "speed_chroma_uv": "distortion of chroma (SpEED)",
    "adm3": "detail loss and impairment (ADM)",
    "motion3": "motion",
}
_COLUMNS = {  # motion is the reference's own, and adds nothing
    **{"adm2": "ADM", "adm3": "ADM", "cambi": "CAMBI", "speed_chroma_uv": "SpEED"},
    **{f"vif_scale{scale}": f"VIF {scale}" for scale in range(4)},
}
_LEAST = 0.05  # points; smaller contributions are not named


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

    def words(self, rows: int | slice = slice(None)) -> str:
        """Says what lowers the score of a frame, or the mean of some, the largest part first."""
        points = self._mean(rows)
        named = [(value, name) for name, value in points.items() if abs(value) >= _LEAST]
        parts = [f"{value:+.1f} {_WORDS.get(name, name)}" for value, name in sorted(named)]
        start = float(np.mean(self.identical[rows]))
        return f"{start:.1f} if identical; {', '.join(parts) or 'nothing is taken from it'}"

    def points(self, rows: int | slice = slice(None)) -> dict[str, float]:
        """Returns the identical pair's score and what features add to it, by names for a table."""
        means = {name: value for name, value in self._mean(rows).items() if name in _COLUMNS}
        named = {_COLUMNS[name]: value for name, value in means.items()}
        return {"identical pair": float(np.mean(self.identical[rows])), **named}

    def describe(self, rows: int | slice = slice(None)) -> dict[str, object]:
        """Returns the contributions of a frame, or their means over some, for JSON."""
        return {
            "identical": float(np.mean(self.identical[rows])),
            "contributions": self._mean(rows),
            "words": self.words(rows),
        }

    def _mean(self, rows: int | slice) -> dict[str, float]:
        means = self.contributions[rows].reshape(-1, len(self.features)).mean(axis=0)
        return dict(zip(self.features, means.tolist(), strict=True))


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
