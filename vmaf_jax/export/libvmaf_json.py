"""A student as VMAF's own JSON model, which every ffmpeg and libvmaf in the field loads.

Only what libvmaf can compute can be written so: a linear rescale of each feature, Gaussian units
with one gamma, and a linear read-out, that is the `rbf` network with a scalar head.
Source: libvmaf's `read_json_model.c` (keys) and LIBSVM's model text.
"""

import math
from typing import Any

import jax
import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.scale import OUTPUT_RANGE
from vmaf_jax.models import Student, Variables
from vmaf_jax.models.heads import SCORE_CENTRE, SCORE_SPAN


def rbf_document(student: Student, variables: Variables, feature_set: FeatureSet) -> dict[str, Any]:
    """The JSON document of an `rbf` student with a scalar head.

    Raises:
        InputError: another network or head, which libvmaf has no words for.
    """
    if not student.spec.is_svr or student.head != "scalar":
        raise InputError(
            f"--format libvmaf: a {student.network} network with a {student.head} head cannot be "
            f"written as an SVR; train configs/rbf.yaml, or export with --format onnx."
        )
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    network, scaler = exact["params"]["network"], exact["scaler"]
    # exp(-|s (z - p)|^2): the scales' geometric mean goes into gamma, the rest into the slopes.
    gamma = math.exp(2 * float(np.mean(network["log_scale"])))
    scale = np.exp(network["log_scale"]) / math.sqrt(gamma)
    slopes = scale * scaler["inv_std"]
    intercepts = -scaler["mean"] * slopes
    # score = 50 + 25 y, and libvmaf takes (y - intercept) / slope with y = sum - rho.
    header = {
        "svm_type": "nu_svr",
        "kernel_type": "rbf",
        "gamma": repr(gamma),
        "nr_class": "2",
        "total_sv": str(len(network["prototypes"])),
        "rho": repr(-float(network["offset"][0])),
    }
    units = [
        " ".join([repr(float(c)), *(f"{k}:{float(v)!r}" for k, v in enumerate(p, start=1))])
        for c, p in zip(network["coefficients"][:, 0], scale * network["prototypes"], strict=True)
    ]
    text = [f"{key} {value}" for key, value in header.items()]
    return {
        "param_dict": {"gamma": gamma, "norm_type": "custom_rescale"},
        "model_dict": {
            "model": "\n".join([*text, "SV", *units]) + "\n",
            "model_type": "LIBSVMNUSVR",
            "norm_type": "linear_rescale",
            "score_clip": list(OUTPUT_RANGE),
            **_features(feature_set),
            "slopes": [1 / SCORE_SPAN, *slopes.tolist()],
            "intercepts": [-SCORE_CENTRE / SCORE_SPAN, *intercepts.tolist()],
        },
    }


def _features(feature_set: FeatureSet) -> dict[str, Any]:
    """Which features a model asks libvmaf for: with which extractor, and with which options."""
    extractors = [
        whole.removesuffix(f"_{name}_score")
        for whole, name in zip(feature_set.model_names, feature_set, strict=True)
    ]
    by_extractor = {
        extractor: [n for n, e in zip(feature_set, extractors, strict=True) if e == extractor]
        for extractor in dict.fromkeys(extractors)
    }
    return {
        "feature_names": list(feature_set.model_names),
        "feature_dict": by_extractor,
        "feature_opts_dicts": [feature_set.options_of(name) for name in feature_set],
    }
