"""Train, verify and deploy tiny VMAF-class video quality predictors in JAX.

    score(reference, distorted)          a pair's score by any model, from files or arrays
    vmaf(reference, distorted)           VMAF in JAX, differentiable in the pictures
    quality_map(reference, distorted)    where a frame loses quality, VIF and ADM by tiles
    extract_pair(reference, distorted)   features and VMAF's scores of every frame, a table
    load_model(name_or_path)             a student, an ONNX or a libvmaf file: features to scores
    load_teacher(name_or_path)           one of VMAF's own models, in float64
    features                             VIF, ADM, motion and VMAF v1's features as functions
    FEATURES                             the six features, in the order of every array
    InputError, GateError                what is raised: bad input; a limit missed

Commands of `vmaf-jax` are functions in `vmaf_jax.jobs` and `vmaf_jax.scoring`; `vmaf_jax.torch` is
the bridge to PyTorch. Names are imported when they are first used: `import vmaf_jax` costs nothing.
`vmaf`, `quality_map` and the features as functions need JAX, which the extra `train` brings.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    """Imports a public name; InputError names the extra that it needs, where one is missing."""
    from vmaf_jax.errors import name_missing_extra

    with name_missing_extra():
        return _load(name)
