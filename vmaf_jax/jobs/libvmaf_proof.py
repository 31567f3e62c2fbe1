"""A libvmaf JSON model proven before it is written: the machine's ffmpeg runs it on a real encode.

Every frame is held against the float64 score from the parameters as written.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.extraction.api import extract_pair
from vmaf_jax.files import work_folder, write_text
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg

LIMIT = 2e-4  # VMAF points; features are logged to six decimals


@dataclasses.dataclass(frozen=True)
class LibvmafProof:
    """The largest difference between ffmpeg and JAX over `n` frames, VMAF points."""

    n: int
    max_abs: float
    limit: float


def write_proven(document: dict[str, Any], path: Path) -> LibvmafProof:
    """Writes a model document to `path`, once ffmpeg was seen to score with it as JAX does.

    Raises:
        GateError: ffmpeg and JAX differ by more than the limit on some frame.
        InputError: `path` cannot be written, or ffmpeg cannot run the model.
    """
    with work_folder() as name:
        # Any name that libvmaf takes: the user's may hold what it does not.
        trial = name / "trial.json"
        trial.write_text(json.dumps(document))
        teacher = load_teacher(trial)
        # SpEED can be measured of all of VMAF v1's models at that size.
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
    """A moving picture with grain, and a coarse encode of it, by an encoder every ffmpeg has."""
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
