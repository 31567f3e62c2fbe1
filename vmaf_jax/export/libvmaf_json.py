"""Students as VMAF's own JSON models, verified with the machine's ffmpeg before they are written.

libvmaf computes a linear rescale of each feature, Gaussian units with one gamma, and a linear
read-out, so only the `rbf` network with a scalar head can be written.
Source: libvmaf's `read_json_model.c` (keys) and LIBSVM's model text.

Every frame is compared with the float64 score of the parameters as they are written.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import jax
import numpy as np

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features.feature_set import OUTPUT_RANGE, FeatureSet, Option
from vmaf_jax.files import work_folder, write_text
from vmaf_jax.models import Student, Variables
from vmaf_jax.models.layers import SCORE_CENTRE, SCORE_SPAN
from vmaf_jax.models.viewing_distance import WORST_TO_BEST
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg

LIMIT = 2e-4  # VMAF points; features are logged to six decimals


class ParamDict(TypedDict):
    """The `param_dict` of a model file."""

    gamma: float
    norm_type: str


class ScoreTransformDict(TypedDict):
    """The `score_transform` of a model file, `p0 + p1 s + p2 s^2`."""

    enabled: bool
    p0: float
    p1: float
    p2: float


class ModelDict(TypedDict):
    """The `model_dict` of a model file; slopes and intercepts begin with the score's."""

    model: str
    model_type: str
    norm_type: str
    score_clip: list[float]
    feature_names: list[str]
    feature_dict: dict[str, list[str]]
    feature_opts_dicts: list[dict[str, Option]]
    slopes: list[float]
    intercepts: list[float]
    score_transform: NotRequired[ScoreTransformDict]


class LibvmafDocument(TypedDict):
    """A model file of libvmaf."""

    param_dict: ParamDict
    model_dict: ModelDict


def rbf_document(
    student: Student, variables: Variables, feature_set: FeatureSet
) -> LibvmafDocument:
    """Returns the JSON document of an `rbf` student with a scalar head.

    Raises:
        InputError: another network or head, which libvmaf cannot compute.
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
        " ".join([repr(float(c))] + [f"{k}:{float(v)!r}" for k, v in enumerate(p, start=1)])
        for c, p in zip(network["coefficients"][:, 0], scale * network["prototypes"], strict=True)
    ]
    text = [f"{key} {value}" for key, value in header.items()]
    document: LibvmafDocument = {
        "param_dict": {"gamma": gamma, "norm_type": "custom_rescale"},
        "model_dict": {
            "model": "\n".join([*text, "SV", *units]) + "\n",
            "model_type": "LIBSVMNUSVR",
            "norm_type": "linear_rescale",
            "score_clip": list(OUTPUT_RANGE),
            "feature_names": list(feature_set.model_names),
            "feature_dict": _names_by_extractor(feature_set),
            "feature_opts_dicts": [feature_set.options_of(name) for name in feature_set],
            "slopes": [1 / SCORE_SPAN, *slopes.tolist()],
            "intercepts": [-SCORE_CENTRE / SCORE_SPAN, *intercepts.tolist()],
        },
    }
    if student.knows_distance and student.log_distance:
        strength = float(student.distance_gain(exact["params"])) * student.log_distance
        document["model_dict"]["score_transform"] = {
            "enabled": True,
            "p0": 0.0,
            "p1": 1 + strength,
            "p2": -strength / WORST_TO_BEST,
        }
    return document


def _names_by_extractor(feature_set: FeatureSet) -> dict[str, list[str]]:
    """Returns the features that a model asks libvmaf for, by the extractor of each."""
    extractors = [
        whole.removesuffix(f"_{name}_score")
        for whole, name in zip(feature_set.model_names, feature_set, strict=True)
    ]
    return {
        extractor: [n for n, e in zip(feature_set, extractors, strict=True) if e == extractor]
        for extractor in dict.fromkeys(extractors)
    }


@dataclasses.dataclass(frozen=True)
class LibvmafProof:
    """The largest difference between ffmpeg and JAX over `n` frames, VMAF points."""

    n: int
    max_abs: float
    limit: float


def write_verified(document: LibvmafDocument | Mapping[str, object], path: Path) -> LibvmafProof:
    """Writes a model document to `path`, after ffmpeg's scores by it were compared with JAX's.

    Raises:
        GateError: ffmpeg and JAX differ by more than the limit on some frame.
        InputError: `path` cannot be written, or ffmpeg cannot run the model.
    """
    with work_folder() as name:
        # A name of our own: that of the user's file may hold what libvmaf's filter does not take.
        trial = name / "trial.json"
        trial.write_text(json.dumps(document))
        teacher = load_teacher(trial)
        # In 720p the blocks of SpEED exist for the prescale of every VMAF v1 model.
        size = "576x324" if teacher.feature_set.planes == 1 else "1280x720"
        reference, distorted = _encode(name, size)
        table = extract_pair(
            reference,
            distorted,
            teachers=(str(trial),),
            feature_set=teacher.feature_set,
            cache=name / "cache",
        )
        difference = np.abs(teacher(table.features) - table.label(trial.stem))
    proof = LibvmafProof(len(table), float(difference.max()), LIMIT)
    if not proof.max_abs <= LIMIT:
        raise GateError(
            f"libvmaf: ffmpeg and JAX differ by {proof.max_abs:.2e} VMAF points, limit {LIMIT:.0e}."
        )
    write_text(path, json.dumps(document, indent=1) + "\n")
    return proof


def _encode(folder: Path, size: str) -> tuple[Path, Path]:
    """Makes a moving picture with grain, and a coarse encode of it in MPEG-4."""
    ffmpeg = find_ffmpeg()
    reference, distorted = folder / "reference.y4m", folder / "distorted.avi"
    source = f"mandelbrot=size={size}:rate=24,noise=alls=6:all_seed=1:allf=t"
    to_y4m = ["-frames:v", "24", "-pix_fmt", "yuv420p", str(reference)]
    mpeg4 = ["-c:v", "mpeg4", "-q:v", "14", "-threads", "1", str(distorted)]
    for arguments in (["-f", "lavfi", "-i", source, *to_y4m], ["-i", str(reference), *mpeg4]):
        finished = run_ffmpeg(ffmpeg, ["-v", "error", "-y", *arguments])
        if finished.code != 0:
            reason = (finished.report.strip().splitlines() or ["no reason given"])[0]
            raise InputError(
                f"{ffmpeg.path}: cannot make a clip to prove the model on ({reason}); use an "
                f"ffmpeg with lavfi, y4m and mpeg4."
            )
    return reference, distorted
