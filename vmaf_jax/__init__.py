"""Train, verify and deploy tiny VMAF-class video quality predictors in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmaf_jax import features
    from vmaf_jax.corpora.extraction import extract_pair
    from vmaf_jax.features.feature_set import FEATURES
    from vmaf_jax.load import load_model
    from vmaf_jax.serving.score import score
    from vmaf_jax.teacher.pixels import vmaf
    from vmaf_jax.teacher.teacher import load_teacher

__all__ = ["FEATURES", "extract_pair", "features", "load_model", "load_teacher", "score", "vmaf"]

_HOMES = {
    "FEATURES": "vmaf_jax.features.feature_set",
    "extract_pair": "vmaf_jax.corpora.extraction",
    "load_model": "vmaf_jax.load",
    "score": "vmaf_jax.serving.score",
    "load_teacher": "vmaf_jax.teacher.teacher",
    "vmaf": "vmaf_jax.teacher.pixels",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that `import vmaf_jax` costs nothing."""
    if name == "features":
        return import_module("vmaf_jax.features")  # a package that can be called
    if name not in _HOMES:
        raise AttributeError(f"module 'vmaf_jax' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value
