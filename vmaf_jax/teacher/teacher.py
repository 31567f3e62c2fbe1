"""A teacher to call: a model file as a function from features to scores."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.checks import check_features
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.teacher.model_file import ModelFile, find_model_file, read_model_file
from vmaf_jax.teacher.svr import ScoreTransform, SvrParams, score_rows


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A VMAF model over the features of one of our feature sets.

    Attributes:
        model: the file it was read from.
        transform: the score transform in force, or None.
    """

    model: ModelFile
    transform: ScoreTransform | None

    @property
    def name(self) -> str:
        """Name of the model, e.g. `vmaf_v0.6.1`."""
        return self.model.name

    @property
    def feature_set(self) -> FeatureSet:
        """Features that it must be called with; NEG models need theirs under a gain limit of 1."""
        return self.model.feature_set

    def __call__(self, features: npt.ArrayLike, *, clip: bool = True) -> npt.NDArray[np.float64]:
        """Returns scores `[n]` in VMAF points, computed in float64, of raw features `[n, d]`.

        Args:
            features: no unit, in the order of `feature_set`.
            clip: limit to the model's range (0-100 for most); False gives the score before that.

        Raises:
            InputError: the array has another shape or a value that is not finite.
        """
        x = check_features(features, self.feature_set)
        out = score_rows(self.model.params, x, self.transform)
        return np.clip(out, *self.model.clip) if clip and self.model.clip else out

    def params(self) -> SvrParams:
        """Returns the parameters of `svr_score` in float64, as NumPy arrays."""
        return self.model.params


def load_teacher(name_or_path: str | Path, *, phone: bool = False) -> Teacher:
    """Loads a VMAF model, by name or from a JSON file.

    Called with features in the order of `FEATURES`:

    Examples:
        >>> teacher = load_teacher("vmaf_v0.6.1")
        >>> features = [[0.95, 0.6, 0.9, 0.94, 0.96, 3.2], [1, 1, 1, 1, 1, 0]]
        >>> teacher(features).round(2)
        array([84.75, 97.43])

    Args:
        name_or_path: e.g. `vmaf_v0.6.1`, `vmaf_4k_v0.6.1`, `vmaf_v1.0.16_3d0h`, or a `.json` path.
        phone: apply the file's score transform even where it is not enabled (small screens).

    Raises:
        InputError: unknown name, unreadable file, other features, or no transform to apply.
    """
    model = read_model_file(find_model_file(name_or_path))
    if phone and model.transform is None:
        raise InputError(f"{model.name}: has no score transform, so no phone scores; drop phone.")
    return Teacher(model, model.transform if phone or model.transform_enabled else None)
