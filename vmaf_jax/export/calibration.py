"""What a model knows of its own errors, as its sidecar carries it, checked when it is read.

    "calibration": {"n_clips": ..., "n_sources": ..., "quantile": [...], "difficulty": [...],
                    "region": {"mean": [...], "covariance": [[...], ...], "limit": ...}}

The first four are a `Profile` of residuals of clips whose source the predicting student never saw,
to six decimals; `region` is of the training clips' mean features. No clip and no label is in it.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import GRID, N_SHARES, Interval, Profile
from vmaf_jax.evaluation.region import Region

_DECIMALS = 6


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The profile of a model's held-out residuals, and its training region.

    Attributes:
        profile: of the residuals of clips, each predicted without its source.
        region: where the training clips lie.
    """

    profile: Profile
    region: Region

    def interval(self, predicted: float, level: float, model: str) -> Interval:
        """The interval around a clip's prediction, points.

        Args:
            model: its name, for messages.

        Raises:
            InputError: a level outside (0, 1), or a single source.
        """
        check_level(level, "--interval")
        if self.profile.n_sources < 2:
            raise InputError(
                f"{model}: is calibrated on one source, which says nothing of another; train it "
                f"on clips of several sources."
            )
        return self.profile.interval(predicted, level)

    def to_dict(self) -> dict[str, Any]:
        """The entry of a sidecar."""
        profile = self.profile
        return {
            "n_clips": profile.n_clips,
            "n_sources": profile.n_sources,
            "quantile": np.round(profile.quantile, _DECIMALS).tolist(),
            "difficulty": np.round(profile.difficulty, _DECIMALS).tolist(),
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
    counts = _numbers([entry["n_clips"], entry["n_sources"]], "n_clips or n_sources", 1)
    if not (counts == np.round(counts)).all() or not 1 <= counts[1] <= counts[0]:
        raise ValueError("n_clips and n_sources are not counts")
    quantile = _numbers(entry["quantile"], "quantile", 1)
    difficulty = _numbers(entry["difficulty"], "difficulty", 1)
    for name, values, n in (
        ("quantile", quantile, N_SHARES),
        ("difficulty", difficulty, len(GRID)),
    ):
        if len(values) != n or values.min() < 0:
            raise ValueError(f"{name} is not {n} numbers from 0 up")
    if (np.diff(quantile) < 0).any():
        raise ValueError("quantile falls")
    mean = _numbers(entry["region"]["mean"], "region.mean", 1)
    covariance = _numbers(entry["region"]["covariance"], "region.covariance", 2)
    if mean.shape != (n_features,) or covariance.shape != (n_features, n_features):
        raise ValueError(f"region is not of {n_features} features")
    if not np.allclose(covariance, covariance.T) or np.linalg.eigvalsh(covariance)[0] <= 0:
        raise ValueError("region.covariance is not positive definite")
    limit = float(_numbers([entry["region"]["limit"]], "region.limit", 1)[0])
    if limit <= 0:
        raise ValueError("region.limit is not above 0")
    profile = Profile(int(counts[0]), int(counts[1]), quantile, difficulty)
    return Calibration(profile, Region(mean, covariance, limit))


def _numbers(values: Any, name: str, rank: int) -> npt.NDArray[np.float64]:
    array = np.array(values)
    if array.ndim != rank or array.dtype.kind not in "if":
        raise ValueError(f"{name} is not numbers of rank {rank}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} holds a value that is not finite")
    return array.astype(np.float64)
