"""A student as VMAF's own JSON model, which every ffmpeg and libvmaf in the field loads.

Only what libvmaf can compute can be written so: a linear rescale of each feature, Gaussian units
with one gamma, and a linear read-out, that is the `rbf` network with a scalar head. The file is
proven by running the machine's ffmpeg with it on a real encode and comparing every frame with the
float64 score from the parameters as written.
Source: libvmaf's `read_json_model.c` (keys) and LIBSVM's model text.
"""

import json
import math
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np

from vmaf_jax.corpora.extraction import extract_pair
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.files import write_text
from vmaf_jax.models import Student, Variables
from vmaf_jax.models.heads import OUTPUT_RANGE, SCORE_CENTRE, SCORE_SPAN
from vmaf_jax.teacher import load_teacher

LIMIT = 2e-4  # VMAF points; features are logged to six decimals


def rbf_document(student: Student, variables: Variables, feature_set: FeatureSet) -> dict[str, Any]:
    """The JSON document of an `rbf` student with a scalar head.

    Raises:
        InputError: another network or head, which libvmaf has no words for.
    """
    if student.network != "rbf" or student.head != "scalar":
        raise InputError(
            f"--format libvmaf: a {student.network} network with a {student.head} head cannot be "
            f"written as an SVR; train configs/rbf.yaml, or export with --format onnx."
        )
    exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), dict(variables))
    network, scaler = exact["params"]["network"], exact["scaler"]
    # exp(-|s (z - p)|^2): the scales' geometric mean goes into gamma, the rest into the slopes.
    gamma = math.exp(2 * float(np.mean(network["log_scale"])))
    own = np.exp(network["log_scale"]) / math.sqrt(gamma)
    slopes = own * scaler["inv_std"]
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
        for c, p in zip(network["coefficients"][:, 0], own * network["prototypes"], strict=True)
    ]
    text = [f"{key} {value}" for key, value in header.items()]
    return {
        "param_dict": {"gamma": gamma, "norm_type": "custom_rescale"},
        "model_dict": {
            "model": "\n".join([*text, "SV", *units]) + "\n",
            "model_type": "LIBSVMNUSVR",
            "norm_type": "linear_rescale",
            "score_clip": list(OUTPUT_RANGE),
            "feature_names": [f"VMAF_integer_feature_{name}_score" for name in feature_set],
            "feature_dict": {"VMAF_integer_feature": list(feature_set)},
            "slopes": [1 / SCORE_SPAN, *slopes.tolist()],
            "intercepts": [-SCORE_CENTRE / SCORE_SPAN, *intercepts.tolist()],
        },
    }


def write_libvmaf(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Writes a model document and proves it against the machine's ffmpeg.

    Returns:
        `max_abs` (VMAF points) over `n` frames, and `limit`.

    Raises:
        GateError: ffmpeg and JAX differ by more than the limit on some frame.
        InputError: `path` cannot be written, or ffmpeg cannot run the model.
    """
    with tempfile.TemporaryDirectory() as name:
        trial = Path(name) / path.name
        trial.write_text(json.dumps(document))
        teacher = load_teacher(trial)
        reference, distorted = _encode(Path(name))
        table = extract_pair(
            reference,
            distorted,
            teachers=(str(trial),),
            feature_set=teacher.feature_set,
            cache=Path(name) / "cache",
        )
        difference = np.abs(teacher(table.features) - table.label(trial.stem))
    report = {"n": len(table), "max_abs": float(difference.max()), "limit": LIMIT}
    if report["max_abs"] > LIMIT:
        raise GateError(
            f"libvmaf: ffmpeg and JAX differ by {report['max_abs']:.2e} VMAF points, limit "
            f"{LIMIT:.0e}."
        )
    write_text(path, json.dumps(document, indent=1) + "\n")
    return report


def _encode(folder: Path) -> tuple[Path, Path]:
    """A moving picture with grain, and a coarse encode of it, made by ffmpeg alone."""
    program = find_ffmpeg().path
    reference, distorted = folder / "reference.y4m", folder / "distorted.264"
    source = "mandelbrot=size=576x324:rate=24,noise=alls=6:all_seed=1:allf=t"
    head = [program, "-v", "error", "-y"]
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-b:v", "300k", "-threads", "1"]
    for line in (
        [*head, "-f", "lavfi", "-i", source, "-frames:v", "24", "-pix_fmt", "yuv420p",
         str(reference)],
        [*head, "-i", str(reference), *x264, str(distorted)],
    ):  # fmt: skip
        subprocess.run(line, check=True, capture_output=True)
    return reference, distorted
