"""Opinion scores of clips, checked: what every statistic of a model against people is given."""

import dataclasses

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError

Floats = npt.NDArray[np.float64]
Text = npt.NDArray[np.object_]


@dataclasses.dataclass(frozen=True)
class Opinions:
    """Opinion scores, a clip a row.

    Attributes:
        mos: mean opinion scores mapped to 0-100, `[n]`.
        source: pristine content of the clip, text, `[n]`.
        experiment: subjective test of the clip, text, `[n]`; without it all are of one.
        ci95: half-widths of the 95 % intervals of `mos`, on the same scale, `[n]`, or None.

    Raises:
        InputError: no clips, a score that is not a number, an interval that is none or below 0.
        ValueError: columns of different lengths.
    """

    mos: Floats
    source: Text
    experiment: Text
    ci95: Floats | None = None

    @staticmethod
    def of(
        mos: npt.ArrayLike,
        source: npt.ArrayLike,
        experiment: npt.ArrayLike | None = None,
        ci95: npt.ArrayLike | None = None,
    ) -> "Opinions":
        """From columns of any kind; sources and experiments become text."""
        scores = np.asarray(mos, np.float64)
        tests = np.full(scores.shape, "all") if experiment is None else experiment
        return Opinions(
            scores,
            np.asarray(source).astype(str).astype(np.object_),
            np.asarray(tests).astype(str).astype(np.object_),
            None if ci95 is None else np.asarray(ci95, np.float64),
        )

    def __post_init__(self) -> None:
        columns = (self.mos, self.source, self.experiment, self.ci95)
        shapes = {column.shape for column in columns if column is not None}
        if len(shapes) != 1 or self.mos.ndim != 1:
            raise ValueError(f"opinions need columns of one length, not {sorted(shapes)}.")
        if not self.mos.size:
            raise InputError("there are no clips with opinion scores; label some.")
        _require(np.isfinite(self.mos), "mos", "is not a number")
        if self.ci95 is not None:
            _require(np.isfinite(self.ci95), "mos_ci95", "is not a number")
            _require(self.ci95 >= 0, "mos_ci95", "is below 0")

    def where(self, rows: npt.NDArray[np.bool_]) -> "Opinions":
        """The clips chosen."""
        ci95 = None if self.ci95 is None else self.ci95[rows]
        return Opinions(self.mos[rows], self.source[rows], self.experiment[rows], ci95)

    def check(self, predicted: npt.ArrayLike) -> Floats:
        """A model's scores of these clips, `[n]`.

        Raises:
            InputError: a score that is not a number.
            ValueError: another number of them.
        """
        scores = np.asarray(predicted, np.float64)
        if scores.shape != self.mos.shape:
            raise ValueError(f"{scores.shape} predictions for {self.mos.shape} opinion scores.")
        _require(np.isfinite(scores), "predictions", "is not a number")
        return scores


def _require(sound: npt.NDArray[np.bool_], column: str, problem: str) -> None:
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(f"{column}: clip {row} {problem}; mend it or leave the clip out.")
