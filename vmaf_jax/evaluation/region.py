"""Whether a clip looks like those that a model learnt from, by the means of its features.

The distance is Mahalanobis's from the training clips: `d^2 = (x - m)' C^-1 (x - m)`, with the mean
m and the covariance C of the clips' mean features, each source weighing the same, C with `_RIDGE`
of each variance added to its diagonal. The limit is the `LEVEL` quantile of the distances of each
source's clips from a fit without that source: about one clip in a hundred of a new source like the
others is called outside.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.conformal import weighted_quantiles

Floats = npt.NDArray[np.float64]
LEVEL = 0.99
_RIDGE = 1e-3


@dataclasses.dataclass(frozen=True)
class Region:
    """Where a model's training clips lie.

    Attributes:
        mean: of the features, `[d]`.
        covariance: of the features, `[d, d]`, positive definite.
        limit: the distance up to which a clip is inside, > 0.
    """

    mean: Floats
    covariance: Floats
    limit: float

    def distance(self, features: Floats) -> Floats:
        """Mahalanobis distance of clips' mean features `[n, d]`, `[n]`."""
        off = np.atleast_2d(features) - self.mean
        return np.sqrt(np.einsum("nd,nd->n", off, np.linalg.solve(self.covariance, off.T).T))

    def holds(self, features: Floats) -> bool:
        """Whether one clip's mean features `[d]` are inside."""
        return bool(self.distance(features)[0] <= self.limit)


def fit_region(features: Floats, source: npt.NDArray[np.int64]) -> Region:
    """The region of training clips.

    Args:
        features: means over the frames of each clip, `[n, d]`.
        source: of each clip, `[n]`, numbered from 0 without gaps; two or more.
    """
    weight = 1.0 / np.bincount(source)[source]
    distance = np.empty(len(features))
    for held_out in range(int(source.max()) + 1):
        rows = source == held_out
        mean, covariance = _moments(features[~rows], weight[~rows])
        distance[rows] = Region(mean, covariance, 1.0).distance(features[rows])
    mean, covariance = _moments(features, weight)
    return Region(
        mean, covariance, float(weighted_quantiles(distance, weight, np.array([LEVEL]))[0])
    )


def _moments(features: Floats, weight: Floats) -> tuple[Floats, Floats]:
    mean = np.average(features, axis=0, weights=weight)
    covariance = np.cov(features.T, aweights=weight, bias=True)
    # A feature that never varies still gets a width: six decimals are all that is measured.
    spread = np.maximum(np.diag(covariance), 1e-6)
    return mean, covariance + _RIDGE * np.diag(spread) + 1e-12 * np.eye(len(spread))
