"""A rising curve from a model's scores of frames to votes, for hosts that know no more of a clip.

The curve is linear between `KNOTS`, so that its mean over a clip's frames is `weights @ votes`; the
weights are the means over frames of each knot's hat function. The fit is least squares to predicted
votes with rises >= 0, drawn towards the shape of the logistic where no clip is.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# VMAF points. libvmaf loads ten knots at most, and two of these continue the ends as constants.
KNOTS = np.array([0.0, 25.0, 45.0, 60.0, 72.0, 82.0, 91.0, 100.0])
_BEND, _PULL = 8.0, 40.0  # points: of a second difference, and of a distance from the logistic


@dataclasses.dataclass(frozen=True)
class VoteCurve:
    """Votes at `KNOTS`, points of 0-100, nowhere falling, `[8]`."""

    votes: Floats

    def __call__(self, scores: Floats) -> Floats:
        """Maps scores to votes, both points, any shape; constant beyond 0 and 100."""
        return np.asarray(np.interp(scores, KNOTS, self.votes), np.float64)

    @property
    def slope(self) -> float:
        """The steepest rise, points of votes for a point of score."""
        return float(np.max(np.diff(self.votes) / np.diff(KNOTS)))


def hat_weights(scores: Floats) -> Floats:
    """Computes the mean over frames `[t]` of each knot's hat function, `[8]`."""
    return np.array([np.mean(np.interp(scores, KNOTS, hat)) for hat in np.eye(len(KNOTS))])


def fit_curve(weights: Floats, votes: Floats, deviation: Floats, logistic: Floats) -> VoteCurve:
    """Fits the curve to the predicted votes of clips.

    Args:
        weights: Of each clip, `[n, 8]`.
        votes, deviation: Predicted of each clip, and its standard deviation, points, `[n]`.
        logistic: Votes at the knots without votes, points, `[8]`.
    """
    from scipy.optimize import nnls

    bends = np.diff(np.eye(len(KNOTS)), 2, axis=0) / _BEND
    pull = np.eye(len(KNOTS)) / _PULL
    rows = np.concatenate([weights / deviation[:, None], bends, pull])
    target = np.concatenate([votes / deviation, bends @ logistic, pull @ logistic])
    rises = np.tril(np.ones((len(KNOTS), len(KNOTS))))  # votes at the knots are sums of rises
    found = nnls(rows @ rises, target)[0]
    return VoteCurve(np.minimum(rises @ found, 100.0))
