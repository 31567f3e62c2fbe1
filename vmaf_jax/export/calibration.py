"""What a model knows of its own errors, as its sidecar carries it, checked when it is read.

    "calibration": {"source": [0, 0, 1, ...], "predicted": [...], "label": [...],
                    "region": {"mean": [...], "covariance": [[...], ...], "limit": ...}}

`predicted` and `label` are of clips whose source the predicting student never saw (points of 0-100,
six decimals); `region` is of the training clips' mean features.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import Interval, Residuals
from vmaf_jax.evaluation.region import Region

MAX_CLIPS = 3000  # of a sidecar: more are thinned, evenly within each source
_DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Calibration:
    """Held-out residuals and training region of a model.

    Attributes:
        residuals: of clips, each predicted without its source.
        region: where the training clips lie.
    """

    residuals: Residuals
    region: Region

    def interval(self, predicted: float, level: float, model: str) -> Interval:
        """The interval around a clip's prediction, points.

        Args:
            model: its name, for messages.

        Raises:
            InputError: a level outside (0, 1), or a single source.
        """
        check_level(level, "--interval")
        if self.residuals.n_sources < 2:
            raise InputError(
                f"{model}: is calibrated on one source, which says nothing of another; train it "
                f"on clips of several sources."
            )
        return self.residuals.interval(predicted, level)

    def to_dict(self) -> dict[str, Any]:
        """The entry of a sidecar."""
        kept = _thinned(self.residuals)
        return {
            "source": kept.source.tolist(),
            "predicted": np.round(kept.predicted, _DECIMALS).tolist(),
            "label": np.round(kept.label, _DECIMALS).tolist(),
            "region": {
                "mean": self.region.mean.tolist(),
                "covariance": self.region.covariance.tolist(),
                "limit": self.region.limit,
            },
        }


def check_level(level: float, name: str) -> None:
    """Raises InputError, naming the flag, unless `level` is in (0, 1)."""
    if not 0 < level < 1:
        raise InputError(f"{name} {level:g}: expected more than 0 and less than 1, such as 0.9.")


def _thinned(residuals: Residuals) -> Residuals:
    share = MAX_CLIPS / len(residuals.label)
    if share >= 1:
        return residuals
    rows = np.zeros(len(residuals.label), np.bool_)
    for source in range(residuals.n_sources):
        own = np.flatnonzero(residuals.source == source)
        count = max(1, int(len(own) * share))
        rows[own[np.linspace(0, len(own) - 1, count).astype(np.int64)]] = True
    return Residuals(residuals.source[rows], residuals.predicted[rows], residuals.label[rows])


def read_calibration(
    description: dict[str, Any], n_features: int, path: Path
) -> Calibration | None:
    """The calibration in a sidecar; None where it has none.

    Args:
        n_features: that the model takes.
        path: the sidecar's, for messages.

    Raises:
        InputError: it is damaged; the message says where.
    """
    entry = description.get("calibration")
    if entry is None:
        return None
    try:
        return _parsed(entry, n_features)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{path}: its calibration is damaged ({reason}); export the model again."
        ) from error


def _parsed(entry: Any, n_features: int) -> Calibration:
    if not isinstance(entry, dict) or not isinstance(entry["region"], dict):
        raise ValueError("no record")
    predicted, label = (_numbers(entry[name], name, 1) for name in ("predicted", "label"))
    source = _numbers(entry["source"], "source", 1)
    if not len(source) == len(predicted) == len(label) > 0:
        raise ValueError("source, predicted and label differ in length, or are empty")
    for name, values in (("predicted", predicted), ("label", label)):
        if values.min() < 0 or values.max() > 100:
            raise ValueError(f"{name} leaves 0 to 100")
    numbers = np.unique(source)
    if not np.array_equal(numbers, np.arange(len(numbers))):
        raise ValueError("sources are not numbered from 0 without gaps")
    mean = _numbers(entry["region"]["mean"], "region.mean", 1)
    covariance = _numbers(entry["region"]["covariance"], "region.covariance", 2)
    if mean.shape != (n_features,) or covariance.shape != (n_features, n_features):
        raise ValueError(f"region is not of {n_features} features")
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
        raise ValueError("region.covariance is not positive definite")
    limit = float(_numbers([entry["region"]["limit"]], "region.limit", 1)[0])
    if limit <= 0:
        raise ValueError("region.limit is not above 0")
    residuals = Residuals(source.astype(np.int64), predicted, label)
    return Calibration(residuals, Region(mean, covariance, limit))


def _numbers(values: Any, name: str, rank: int) -> npt.NDArray[np.float64]:
    array = np.array(values)
    if array.ndim != rank or array.dtype.kind not in "if":
        raise ValueError(f"{name} is not numbers of rank {rank}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not finite")
    return array.astype(np.float64)
