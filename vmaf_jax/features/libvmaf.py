"""libvmaf as a backend: one ffmpeg run measures a pair, its JSON log gives features and scores.

Frames are paired by number, whatever their time stamps. Values are logged to six decimals. The
run's own report (`-v verbose`) says how many frames each input really had: ffmpeg itself exits
with 0 and repeats the last frame where an input is short or cut.
"""

import dataclasses
import json
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.ffmpeg import Ffmpeg
from vmaf_jax.features.table import RESERVED_COLUMNS
from vmaf_jax.features.video import Video, check_video

_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_GRAPH_INPUT = re.compile(
    r"graph \d+ input from stream (?P<input>[01]):\d+ @ .*\] w:(?P<width>\d+) h:(?P<height>\d+) "
    r"pixfmt:(?P<pix_fmt>\w+)"
)
_COUNTS = re.compile(
    r"Input stream #(?P<input>[01]):\d+ \(video\):.*; (?P<frames>\d+) frames decoded; "
    r"(?P<errors>\d+) decode errors"
)
_DISTORTED, _REFERENCE = 0, 1  # the order of libvmaf's input pads


@dataclasses.dataclass(frozen=True)
class Model:
    """A teacher for libvmaf to run: built in when `path` is None, else a JSON model file."""

    name: str
    path: Path | None = None


def resolve_model(name_or_path: str) -> Model:
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
    return Model(name, path)


def resolve_models(names_or_paths: tuple[str, ...]) -> list[Model]:
    """Every teacher asked for, once.

    Raises:
        InputError: as `resolve_model`, or two files share a name.
    """
    models = [resolve_model(each) for each in dict.fromkeys(names_or_paths)]
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


def command(
    ffmpeg: Ffmpeg,
    reference: Video,
    distorted: Video,
    models: list[Model],
    *,
    threads: int,
    shortest: bool,
    conversion: str = "",
) -> list[str]:
    """The ffmpeg command line; it writes `log.json` into its working folder.

    Args:
        conversion: filters for both inputs, `[distorted filter]|[reference filter]`, or empty.
    """
    entries = [
        (f"version={model.name}" if model.path is None else f"path=model{k}.json")
        + rf"\\:name={model.name}"
        for k, model in enumerate(models)
    ]
    to_distorted, _, to_reference = conversion.partition("|")
    by_number = "settb=1/25,setpts=N"
    ending = ":shortest=1:repeatlast=0" if shortest else ""
    graph = (
        f"[0:v:0]{by_number}{to_distorted}[distorted];"
        f"[1:v:0]{by_number}{to_reference}[reference];"
        f"[distorted][reference]libvmaf=log_fmt=json:log_path=log.json:n_threads={threads}"
        f"{ending}:model={'|'.join(entries)}"
    )
    quiet = ["-hide_banner", "-nostdin", "-nostats", "-v", "verbose", "-noautorotate"]
    return [
        *(ffmpeg.path, *quiet),
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
    models: list[Model],
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
    _check_counts(reference, distorted, counts, shortest=shortest)
    anchor = Model(feature_set.libvmaf_model)
    run_models = models if any(m == anchor for m in models) else [*models, anchor]
    with tempfile.TemporaryDirectory(prefix="vmaf-jax-") as folder:
        work = Path(folder)
        for k, model in enumerate(run_models):
            if model.path is not None:
                shutil.copyfile(model.path, work / f"model{k}.json")

        def run(conversion: str) -> tuple[int, str]:
            line = command(
                ffmpeg,
                reference,
                distorted,
                run_models,
                threads=threads,
                shortest=shortest,
                conversion=conversion,
            )
            return _run(line, work)

        code, report = run("")
        streams = _streams(report, reference, distorted)
        if conversion := _conversion(streams):
            # Sizes or formats differ, which only decoding tells: once more, converted on purpose.
            code, report = run(conversion)
        if code != 0:
            raise InputError(_explain(report, reference, distorted, run_models))
        decoded = _decoded(report, reference, distorted)
        _check_counts(reference, distorted, decoded, shortest=shortest)
        log = _read_log(work / "log.json", report)
    expected = min(decoded)
    measurement = _parse(log, feature_set, models)
    if len(measurement.features) != expected:
        raise InputError(
            f"{distorted.path}: libvmaf measured {len(measurement.features)} frames of {expected}; "
            f"re-encode the file without broken time stamps."
        )
    return measurement


def _run(line: list[str], work: Path) -> tuple[int, str]:
    try:
        result = subprocess.run(
            line,
            cwd=work,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as error:
        raise InputError(f"{line[0]}: cannot run ({error.strerror}); reinstall ffmpeg.") from error
    return result.returncode, result.stderr.decode(errors="replace")


def _streams(report: str, reference: Video, distorted: Video) -> list[tuple[int, int, str] | None]:
    """Width, height and pixel format of the frames of each input, as decoded."""
    found: list[set[tuple[int, int, str]]] = [set(), set()]
    for m in _GRAPH_INPUT.finditer(report):
        found[int(m["input"])].add((int(m["width"]), int(m["height"]), m["pix_fmt"]))
    for video, sizes in zip((distorted, reference), found, strict=True):
        if len(sizes) > 1:
            raise InputError(
                f"{video.path}: changes size or format on the way; split it where it changes."
            )
        for width, height, _ in sizes:
            if (video.width or width, video.height or height) != (width, height):
                raise InputError(
                    f"{video.path}: is {width}x{height}, was said to be "
                    f"{video.width}x{video.height}; correct one of them."
                )
    return [next(iter(sizes), None) for sizes in found]


def _bits(pix_fmt: str) -> int:
    match = re.search(r"p(9|10|12|14|16)(le|be)?$", pix_fmt)
    return int(match[1]) if match else 8


def _conversion(streams: list[tuple[int, int, str] | None]) -> str:
    """Filters that bring the distorted input to the reference's size, and both to one format."""
    distorted, reference = streams
    if distorted is None or reference is None or distorted == reference:
        return ""
    width, height, pix_fmt = reference
    scale = f",scale={width}:{height}:flags=bicubic" if distorted[:2] != reference[:2] else ""
    if distorted[2] == pix_fmt:
        return scale and f"{scale}|"
    # The deeper of the two depths, so that nothing is rounded away, in the reference's layout.
    base = re.match(r"yuvj?(4\d\d)p", pix_fmt)
    bits = max(_bits(distorted[2]), _bits(pix_fmt))
    depth = "" if bits == 8 else "10le" if bits <= 10 else "12le"
    both = f",format=yuv{base[1] if base else '420'}p{depth}"
    return f"{scale}{both}|{both}"


def _decoded(report: str, reference: Video, distorted: Video) -> list[int]:
    counts: list[int | None] = [None, None]
    for m in _COUNTS.finditer(report):
        k = int(m["input"])
        video = (distorted, reference)[k]
        if int(m["errors"]):
            raise InputError(
                f"{video.path}: {m['errors']} frames cannot be decoded (after {m['frames']} good "
                f"ones); the file is cut or damaged, make it again."
            )
        counts[k] = int(m["frames"])
    if counts[0] is None or counts[1] is None:
        raise InputError(
            "ffmpeg did not report how many frames it decoded, so a short input would go "
            "unnoticed; use ffmpeg 6 or newer."
        )
    return [counts[0], counts[1]]


def _check_counts(
    reference: Video, distorted: Video, counts: list[int | None] | list[int], *, shortest: bool
) -> None:
    ours, theirs = counts[_DISTORTED], counts[_REFERENCE]
    if ours is None or theirs is None or ours == theirs or shortest:
        return
    raise InputError(
        f"{distorted.path}: {ours} frames, its reference {reference.path.name} has {theirs}; trim "
        f"one, or pass --shortest to measure the first {min(ours, theirs)}."
    )


def _read_log(path: Path, report: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError) as error:
        # libvmaf can fail on a model (CAMBI on small pictures, say) while ffmpeg ends with 0.
        match = re.search(r"libvmaf ERROR (.*)", report)
        reason = match[1] if match else "no reason given"
        raise InputError(
            f"libvmaf could not score this pair ({reason}); drop that teacher, or use larger "
            f"pictures."
        ) from error


def _parse(log: dict[str, Any], feature_set: FeatureSet, models: list[Model]) -> Measurement:
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


def _explain(report: str, reference: Video, distorted: Video, models: list[Model]) -> str:
    """One line from a failed run: which file or model, what is wrong, the mend."""
    for model in models:
        if re.search(rf"(could not|problem).*load.*model.*{re.escape(model.name)}", report, re.I):
            return (
                f"teacher {model.name!r}: this libvmaf cannot load it; check the name, or point "
                f"VMAF_JAX_FFMPEG at a newer ffmpeg."
            )
    for k, video in enumerate((distorted, reference)):
        if re.search(r"Stream specifier '[^']*' in filtergraph .* matches no streams", report):
            has_video = re.search(rf"Stream #{k}:\d+.*: Video:", report)
            if not has_video:
                return f"{video.path}: has no video stream; give a file with pictures."
        if match := re.search(rf"\[in#{k}\b.*\] Error opening input: (.*)", report):
            return f"{video.path}: ffmpeg cannot read it ({match[1]}); check the file."
        if re.search(rf"vist#{k}:.*(Decode error rate|Error submitting)", report):
            return f"{video.path}: cannot be decoded; the file is cut or damaged, make it again."
        if re.search(rf"Cannot determine format of input.*{k}:\d", report):
            return f"{video.path}: holds no decodable picture; make it again."
    reasons = [line for line in report.splitlines() if re.search(r"error|invalid|fail", line, re.I)]
    reason = re.sub(r"^\[[^]]*\] ", "", (reasons or report.strip().splitlines() or ["?"])[0])
    return f"{distorted.path}: ffmpeg failed on this pair ({reason.strip()}); check both files."
