"""A model calibrated by votes on titles, as it scores one clip, by its features.

A clip is of a rated title where its `motion2` is that title's, which is measured on the reference
alone; another title's reference moves as much by chance at most.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.evaluation.title_process import (
    ExperimentClips,
    Floats,
    Logistic,
    Ratings,
    compare,
    half_widths,
    posterior,
)
from vmaf_jax.features.feature_set import FEATURES

if TYPE_CHECKING:
    from vmaf_jax.export.sidecar import TitleCalibration

KIND = "Gaussian process over votes"
LEVEL = 0.9  # of intervals, where nobody asks for another
# Encodes of one title at several frame rates differed by up to 3 percent in public tests.
_APART = 0.05
_STILL = 0.5  # motion2 below which that share is of this


@dataclasses.dataclass(frozen=True)
class TitlePrediction:
    """What votes say of a clip.

    Attributes:
        votes: Points of 0-100.
        deviation: Of a mean over viewers as those who rated from it, points.
        title: The rated title that it is of; None where it is of another.
    """

    votes: float
    deviation: float
    title: str | None


@dataclasses.dataclass(frozen=True)
class TitleModel:
    """A calibration and its base model.

    Attributes:
        record: Of the sidecar.
        quality: The score of a clip by the base model, VMAF points, from features `[t, 6]`.
    """

    record: "TitleCalibration"
    quality: Callable[[Floats], float]

    def predict(self, features: Floats) -> TitlePrediction:
        """Predicts the votes on a clip from the features of its frames, `[t, 6]`."""
        record = self.record
        quality = np.array([self.quality(features)])
        if record.centre is not None and record.width is not None:
            quality = Logistic(record.centre, record.width)(quality)
        means = features.mean(axis=0)
        title = self._find_title(float(means[FEATURES.names.index("motion2")]))
        rated = record.rated
        titles = [entry.title for entry in rated]
        experiments = [entry.experiment for entry in record.titles]
        numbers = [experiments.index(experiment) for experiment in experiments]
        number = numbers[titles[0] if title is None else title]
        compared = np.array([entry.compared for entry in rated])
        clips = ExperimentClips(
            experiment=np.array([numbers[t] for t in titles] + [number]),
            title=np.array([*titles, len(experiments) if title is None else title]),
            expected=np.append([entry.expected for entry in rated], quality),
            compared=np.concatenate([compared, compare(means[None])]),
            codec=np.array([*_number_codecs([entry.codec for entry in rated]), -1]),
        )
        ratings = Ratings(
            row=np.arange(len(rated)),
            mos=np.array([entry.mos for entry in rated]),
            variance=np.array([entry.variance for entry in rated]),
        )
        said = posterior(clips, ratings, np.array([len(rated)]), record.hyperparameters)
        return TitlePrediction(
            votes=float(np.clip(said.mean[0], 0, 100)),
            deviation=float(np.sqrt(said.covariance[0, 0] + record.panel)),
            title=None if title is None else record.titles[title].source,
        )

    def interval(self, said: TitlePrediction, level: float) -> ScoreInterval:
        """Returns the interval of the mean vote of viewers as those who rated, points."""
        deviation = np.array([said.deviation])
        half = float(half_widths(deviation, level, self.record.hyperparameters)[0])
        low, high = max(0.0, said.votes - half), min(100.0, said.votes + half)
        return ScoreInterval(level, low, high, KIND)

    def _find_title(self, motion: float) -> int | None:
        apart = [
            abs(motion - title.motion2) / max(title.motion2, _STILL) for title in self.record.titles
        ]
        nearest = int(np.argmin(apart))
        return nearest if apart[nearest] <= _APART else None


def _number_codecs(names: Sequence[str | None]) -> list[int]:
    """Numbers codecs; -1 where none is known."""
    known = [name for name in dict.fromkeys(names) if name is not None]
    return [-1 if name is None else known.index(name) for name in names]
