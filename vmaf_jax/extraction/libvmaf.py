"""libvmaf as a backend: one ffmpeg run measures a pair, its JSON log gives features and scores.

Frames are paired by number, whatever their time stamps. Values are logged to six decimals. The
run's own report (`-v verbose`) says how many frames each input really had: ffmpeg itself exits
with 0 and repeats the last frame where an input is short or cut.
"""

import dataclasses
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.table import RESERVED_COLUMNS
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.report import (
    BY_NUMBER,
    check_counts,
    explain,
    explain_libvmaf,
    frame_counts,
    needed_conversion,
    stream_formats,
)
from vmaf_jax.video.video import Video, check_video

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class LibvmafModel:
    """A teacher for libvmaf to run: built in when `path` is None, else a JSON model file."""

    name: str
    path: Path | None = None


def resolve_teacher(name_or_path: str) -> LibvmafModel:
    """A built-in model's name, or a JSON model file whose stem becomes its name.

    Raises:
        InputError: the file is missing, or the name has characters no model has.
    """
    if name_or_path.endswith(".json"):
        path = Path(name_or_path)
        if not path.is_file():
            raise InputError(f"{path}: no such model file; check the name.")
        name = path.stem
    else:
        path, name = None, name_or_path
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(f"teacher {name!r}: letters, digits, '.', '_' and '-' only; rename it.")
    if name in RESERVED_COLUMNS:
        raise InputError(f"teacher {name!r} has the name of another column; rename the file.")
    return LibvmafModel(name, path)


def resolve_teachers(names_or_paths: tuple[str, ...]) -> list[LibvmafModel]:
    """Every teacher asked for, once.

    Raises:
        InputError: as `resolve_teacher`, or two files share a name.
    """
    models = [resolve_teacher(name) for name in dict.fromkeys(names_or_paths)]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"teacher {name!r} is named twice; rename one of the files.")
    return models


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What libvmaf found, per frame.

    Attributes:
        features: float64 `[frames, features]`.
        labels: float64 `[frames]` per model name, in the model's points.
        version: libvmaf's version.
    """

    features: npt.NDArray[np.float64]
    labels: dict[str, npt.NDArray[np.float64]]
    version: str


def measuring_arguments(
    reference: Video,
    distorted: Video,
    models: list[LibvmafModel],
    *,
    threads: int,
    shortest: bool,
    conversion: str = "",
) -> list[str]:
    """ffmpeg's arguments for a measurement; it writes `log.json` into its working folder.

    Args:
        conversion: filters for both inputs, `[distorted filter]|[reference filter]`, or empty.
    """
    entries = [
        (f"version={model.name}" if model.path is None else f"path=model{k}.json")
        + rf"\\:name={model.name}"
        for k, model in enumerate(models)
    ]
    to_distorted, _, to_reference = conversion.partition("|")
    ending = ":shortest=1:repeatlast=0" if shortest else ""
    graph = (
        f"[0:v:0]{BY_NUMBER}{to_distorted}[distorted];"
        f"[1:v:0]{BY_NUMBER}{to_reference}[reference];"
        f"[distorted][reference]libvmaf=log_fmt=json:log_path=log.json:n_threads={threads}"
        f"{ending}:model={'|'.join(entries)}"
    )
    return [
        *("-nostdin", "-nostats", "-v", "verbose", "-noautorotate"),
        *distorted.arguments(),
        "-noautorotate",
        *reference.arguments(),
        *("-filter_complex", graph, "-fps_mode", "passthrough", "-f", "null", "-"),
    ]


def measure(
    ffmpeg: Ffmpeg,
    reference: Video,
    distorted: Video,
    feature_set: FeatureSet,
    models: list[LibvmafModel],
    *,
    threads: int,
    shortest: bool = False,
) -> Measurement:
    """Features and scores of one pair.

    Args:
        models: teachers to run besides the one that yields the features.
        threads: libvmaf's threads; changes no value.
        shortest: stop at the end of the shorter input instead of refusing the pair.

    Raises:
        InputError: an input cannot be read or decoded whole, frame counts differ, or libvmaf
            refuses a model; the message names the file or the model.
    """
    counts = [check_video(distorted), check_video(reference)]
    check_counts(reference, distorted, counts, shortest=shortest)
    anchor = LibvmafModel(feature_set.libvmaf_model)
    run_models = models if any(m == anchor for m in models) else [*models, anchor]
    with tempfile.TemporaryDirectory(prefix="vmaf-jax-") as folder:
        work = Path(folder)
        for k, model in enumerate(run_models):
            if model.path is not None:
                shutil.copyfile(model.path, work / f"model{k}.json")

        def run(conversion: str) -> Finished:
            arguments = measuring_arguments(
                reference,
                distorted,
                run_models,
                threads=threads,
                shortest=shortest,
                conversion=conversion,
            )
            return run_ffmpeg(ffmpeg, arguments, folder=work)

        run_result = run("")
        formats = stream_formats(run_result.report, reference, distorted)
        if conversion := needed_conversion(formats):
            # Sizes or formats differ, which only decoding tells: once more, converted on purpose.
            run_result = run(conversion)
        report = run_result.report
        if run_result.code != 0:
            raise InputError(
                explain(report, reference, distorted, [model.name for model in run_models])
            )
        decoded = frame_counts(report, reference, distorted)
        check_counts(reference, distorted, decoded, shortest=shortest)
        log = _read_log(work / "log.json", report)
    expected = min(decoded)
    measurement = _parse(log, feature_set, models)
    if len(measurement.features) != expected:
        raise InputError(
            f"{distorted.path}: libvmaf measured {len(measurement.features)} frames of {expected}; "
            f"re-encode the file without broken time stamps."
        )
    return measurement


def _read_log(path: Path, report: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        # libvmaf can fail on a model (CAMBI on small pictures, say) while ffmpeg ends with 0.
        raise InputError(explain_libvmaf(report) or "libvmaf wrote no log; free space.") from error


def _parse(log: dict[str, Any], feature_set: FeatureSet, models: list[LibvmafModel]) -> Measurement:
    frames = [frame["metrics"] for frame in log["frames"]]
    wanted = [*feature_set.libvmaf_keys, *(model.name for model in models)]
    missing = [key for key in wanted if not frames or key not in frames[0]]
    if missing:
        raise InputError(
            f"libvmaf's log has no {missing[0]!r}; its version {log.get('version')} names things "
            f"otherwise, use a newer ffmpeg."
        )
    table = np.array([[frame[key] for key in wanted] for frame in frames], dtype=np.float64)
    n = len(feature_set)
    labels = {model.name: table[:, n + k] for k, model in enumerate(models)}
    return Measurement(table[:, :n], labels, str(log.get("version", "unknown")))
