"""VMAF's nu-SVR over rows in NumPy's float64, so that a score needs no JAX.

The function is that of `svr.py`, which has its source; JAX takes longer to load than a clip's
frames take here.
"""

import numpy as np
import numpy.typing as npt

from vmaf_jax.teacher.model_file import ModelFile, ScoreTransform

_BLOCK = 1024  # rows, whose kernel stays in a processor's cache

Floats = npt.NDArray[np.float64]


def score_rows(model: ModelFile, features: Floats, transform: ScoreTransform | None) -> Floats:
    """Unclipped scores `[n]` in VMAF points for raw features `[n, features]` (no unit).

    Args:
        transform: the one in force.
    """
    blocks = [_score(model, features[k : k + _BLOCK]) for k in range(0, len(features), _BLOCK)]
    scores = np.concatenate(blocks) if blocks else np.zeros(0)
    return scores if transform is None else _transform(scores, transform)


def _score(model: ModelFile, features: Floats) -> Floats:
    if (correction := model.correction) is not None:
        guide = (features * correction.guide).sum(1, keepdims=True)
        missing = (features == 0) & (correction.at_one != 0)
        features = np.where(missing, correction.at_one * (1 - guide), features)
    scaled = features * model.slope + model.intercept
    distance = np.zeros((len(features), len(model.coefficients)))
    for own, vectors in zip(scaled.T, model.support_vectors.T, strict=True):
        distance += np.square(own[:, None] - vectors)
    # A product's order of sums would depend on how many rows there are.
    decision = (np.exp(-model.gamma * distance) * model.coefficients).sum(1)
    return np.asarray((decision - model.rho - model.score_intercept) / model.score_slope)


def _transform(scores: Floats, transform: ScoreTransform) -> Floats:
    out = scores
    if transform.polynomial is not None:
        p0, p1, p2 = transform.polynomial
        out = p0 + p1 * scores + p2 * np.square(scores)
    if transform.at_most_input:
        out = np.minimum(out, scores)
    if transform.at_least_input:
        out = np.maximum(out, scores)
    return out
