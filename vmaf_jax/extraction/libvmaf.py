"""The libvmaf backend: one ffmpeg run measures a pair, its JSON log gives features and scores.

Frames are paired by number, whatever their time stamps. Values are logged to six decimals. The
run's own report (`-v verbose`) says how many frames each input really had: ffmpeg itself exits
with 0 and repeats the last frame where an input is short or cut.

VMAF v1 is measured at 10 bits, and CAMBI at the size of the encode: Netflix recommends 10 bits for
encodes of 8 bits too, since 8 bits hide banding from CAMBI, and to pass the encode's size and depth
to CAMBI where it was scaled. Source: `models_v1.md` of libvmaf.
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.request import (
    METRICS,
    LibvmafModel,
    Request,
    filter_option,
    too_small_for,
)
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.files import read_limited, work_folder
from vmaf_jax.printable import format_count
from vmaf_jax.tables.table import UNLIMITED
from vmaf_jax.teacher.model_file import MAX_BYTES, find_model_file, known_teachers, read_model_file
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, Description
from vmaf_jax.video.comparison_run import check_run, check_steps, run_comparison
from vmaf_jax.video.ffmpeg import (
    TO_NOTHING,
    VERBOSE,
    CompletedRun,
    Ffmpeg,
    report_frames,
    run_ffmpeg,
)
from vmaf_jax.video.geometry import EncodedFormat
from vmaf_jax.video.inputs import Video, VideoPair, check_video
from vmaf_jax.video.pairing import PairPlan, check_chroma, filter_chains, warn_of_chroma
from vmaf_jax.video.pixel_format import chroma_size, common_bits
from vmaf_jax.video.report import check_frame_counts, explain_failure, explain_libvmaf_error
from vmaf_jax.video.streams import DecodedStream
from vmaf_jax.video.synchrony import FILES, SOME_FRAMES, read_some_frames

LIBVMAF = "86da14d"  # the build that the figures in the docs are of, that of ffmpeg 9.0.2


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Features and scores that libvmaf measured of a pair, per frame.

    Attributes:
        features: float64 `[frames, features]`.
        labels: float64 `[frames]` per model name, in the model's points.
        version: of libvmaf.
        description: of the comparison, for the result: the plan's, counts and damage.
    """

    features: npt.NDArray[np.float64]
    labels: dict[str, npt.NDArray[np.float64]]
    version: str
    description: Description


def measure_by_libvmaf(
    pair: VideoPair, request: Request, ffmpeg: Ffmpeg, models: list[LibvmafModel], threads: int
) -> Measurement:
    """Measures features and scores of one pair.

    Args:
        models: the request's teachers; the model that yields the features is run beside them.

    Raises:
        InputError: an input cannot be read or decoded whole, the two cannot be compared, or
            libvmaf refuses a model; the message names the file or the model.
    """
    reference, distorted = pair
    comparison, extra_metrics = request.comparison, request.extra_metrics
    counts = [check_video(reference), check_video(distorted)]
    if None not in (reference.fps, distorted.fps) or comparison.fps is None:
        check_frame_counts(reference, distorted, counts, shortest=comparison.defers_length_check)
    anchor = LibvmafModel(request.feature_set.libvmaf_model)
    run_models = models if any(m == anchor for m in models) else [*models, anchor]
    known = known_teachers()
    hints = {m.name: "" if m.path else did_you_mean(m.name, known) for m in run_models}
    with work_folder() as work:
        for k, model in enumerate(run_models):
            if model.path is not None:
                shutil.copyfile(model.path, work / f"model{k}.json")

        def run(videos: VideoPair, plan: PairPlan | None) -> CompletedRun:
            arguments = measuring_arguments(
                *videos,
                run_models,
                threads=threads,
                comparison=comparison,
                plan=plan,
                extra_metrics=extra_metrics,
            )
            with report_frames(request.on_frames) as progress:
                return run_ffmpeg(ffmpeg, [*progress, *arguments], folder=work)

        result, videos, facts, plan = run_comparison(ffmpeg, pair, comparison, run, hints)
        chroma_sets = _sets_with_chroma(request.feature_set, models)
        if chroma_sets:
            check_chroma(videos, facts)
        # libvmaf leaves out the column of a metric for which pictures are too small, with no error.
        if problem := too_small_for(extra_metrics, *plan.size[::-1]):
            raise InputError(f"{reference.path}: {problem}")
        if result.code != 0:
            check_size(reference, facts[0], plan, chroma_sets)
            raise InputError(explain_failure(result.report, reference, distorted, hints))
        description, expected = check_run(ffmpeg, videos, result, facts, plan, comparison)
        steps = check_steps(videos, plan, comparison, read_some_frames(work))
        if chroma_sets or "ciede2000" in extra_metrics:
            steps += warn_of_chroma(facts)
        description["warnings"] = [*description["warnings"], *steps]
        kinds = {reads_banding(model.name, model.path) for model in run_models}
        if len(list(work.glob("log?.json"))) < len(kinds | ({False} if extra_metrics else set())):
            check_size(reference, facts[0], plan, chroma_sets)
        log = _read_logs(work, result.report)
    if True in kinds:
        description |= describe_v1_form(measured_bits(facts), plan.encode)
    keys = libvmaf_keys(request.feature_set, plan.encode)
    features, labels = _parse(log, keys, models, extra_metrics)
    if expected is not None and len(features) != expected:
        raise InputError(
            f"{distorted.path}: libvmaf measured {format_count(len(features), 'frame')} of "
            f"{expected}; re-encode the file without broken time stamps."
        )
    description["frames"] = len(features)
    version = str(log.get("version", "unknown"))
    if note := other_build(version):
        description["warnings"] = [*description["warnings"], note]
    return Measurement(features, labels, version, description)


def measuring_arguments(
    reference: Video,
    distorted: Video,
    models: list[LibvmafModel],
    *,
    threads: int,
    comparison: Comparison = DEFAULT_COMPARISON,
    plan: PairPlan | None = None,
    extra_metrics: tuple[str, ...] = (),
) -> list[str]:
    """Returns ffmpeg's arguments for a measurement, which writes `log0.json`.

    Small pictures of some frames go to `FILES`, by which `check_steps` tells a pair out of step.
    Models of VMAF v1 see pictures of 10 bits. Where other models or metrics are measured beside
    them, of the pictures as they are, libvmaf runs twice on what is decoded once; then `log1.json`
    is v1's.

    Args:
        plan: how the two are brought together; None before it is known what they are.
        extra_metrics: other metrics of the same pass, names of `METRICS`.
    """
    plain, deep = [], []
    for k, model in enumerate(models):
        source = f"version={model.name}" if model.path is None else f"path=model{k}.json"
        entry = rf"{source}\\:name={model.name}"
        if reads_banding(model.name, model.path):
            deep.append(entry + model_options(plan.encode if plan else None))
        else:
            plain.append(entry)
    if extra_metrics and not plain:
        # The filter computes no metric without a model.
        plain.append(rf"version={FEATURES.libvmaf_model}\\:name=unused")
    runs = [(plain, 8, filter_option(extra_metrics)), (deep, 10, "")]
    runs = [run for run in runs if run[0]]
    labels = ["".join(f"[{role}{k}]" for k in range(len(runs))) for role in "dr"]
    parts = [
        f"[0:{distorted.stream_specifier}]split={len(runs)}{labels[0]}",
        f"[1:{reference.stream_specifier}]split={len(runs)}{labels[1]}",
    ]
    for k, (entries, least_bits, metrics) in enumerate(runs):
        # Each brings the pictures together: nothing is rounded to 8 bits before it has 10.
        to_reference, to_distorted = filter_chains(plan, least_bits)
        some = (",split", "[x0]", "[x1]") if k == 0 else ("", "", "")
        parts += [
            f"[d{k}]{to_distorted}{some[0]}[e{k}]{some[1]}",
            f"[r{k}]{to_reference}{some[0]}[s{k}]{some[2]}",
        ]
        parts.append(
            f"[e{k}][s{k}]libvmaf=log_fmt=json:log_path=log{k}.json:n_threads={threads}"
            f"{end_options(comparison)}:model={'|'.join(entries)}{metrics}"
        )
    parts += [f"[x{k}]{SOME_FRAMES}[y{k}]" for k in (0, 1)]
    graph = ";".join(parts)
    raw = ("-fps_mode", "passthrough", "-f", "rawvideo")
    # With one thread damage is concealed alike every time.
    decoder = ("-threads", "1") if comparison.allow_damaged else ()
    line = [*VERBOSE, "-y", *decoder, *distorted.arguments(), *decoder, *reference.arguments()]
    line += ["-filter_complex", graph, *TO_NOTHING]
    return [*line, "-map", "[y0]", *raw, FILES[0], "-map", "[y1]", *raw, FILES[1]]


def end_options(comparison: Comparison) -> str:
    """Returns the options of a filter of two videos that end it with the shorter one."""
    ends_apart = comparison.allows_unequal_lengths or comparison.fps is not None
    return ":shortest=1:repeatlast=0" if ends_apart else ""


def _sets_with_chroma(feature_set: FeatureSet, models: list[LibvmafModel]) -> list[FeatureSet]:
    """Returns those feature sets, of what is measured and of the models, that read chroma."""
    sets = [feature_set]
    for model in models:
        with contextlib.suppress(InputError):  # a model over features of its own: libvmaf knows
            sets.append(read_model_file(model.path or find_model_file(model.name)).feature_set)
    return [reader for reader in dict.fromkeys(sets) if reader.planes > 1]


def check_size(
    reference: Video, facts: DecodedStream, plan: PairPlan, sets: list[FeatureSet]
) -> None:
    """Raises InputError where pictures are too small for v1, which libvmaf's own report hides."""
    if not sets:
        return
    from vmaf_jax.features.v1 import too_small  # imports JAX, which libvmaf needs for nothing else

    width, height = plan.size
    chroma = chroma_size(height, width, facts.pix_fmt)
    for feature_set in sets:
        if problem := too_small((height, width), chroma, feature_set):
            raise InputError(f"{reference.path}: {problem}")


def _read_logs(folder: Path, report: str) -> dict[str, Any]:
    """Returns libvmaf's log, with the metrics of a second run on the same frames."""
    log = _read_log(folder / "log0.json", report)
    if (second := folder / "log1.json").is_file():
        frames = zip(log["frames"], _read_log(second, report)["frames"], strict=True)
        log["frames"] = [{"metrics": {**a["metrics"], **b["metrics"]}} for a, b in frames]
    return log


def _read_log(path: Path, report: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError) as error:
        # libvmaf can fail on a model (CAMBI on small pictures, say) while ffmpeg ends with 0.
        raise InputError(
            explain_libvmaf_error(report)
            or "libvmaf wrote no log: no frame was left to measure (lower --start or --offset), or "
            "the temporary folder is full."
        ) from error


def _parse(
    log: dict[str, Any],
    keys: tuple[str, ...],
    models: list[LibvmafModel],
    extra_metrics: tuple[str, ...] = (),
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    """Returns features `[frames, features]` and each model's scores `[frames]` of libvmaf's log."""
    try:
        frames = [frame["metrics"] for frame in log["frames"]]
        logged = {model.name: model.name for model in models}
        logged |= {name: METRICS[name].key for name in extra_metrics}
        wanted = [*keys, *logged.values()]
        missing = [key for key in wanted if not frames or key not in frames[0]]
        if missing:
            raise InputError(
                f"libvmaf's log has no {missing[0]!r}; its version {log.get('version')} names "
                f"things otherwise, use a newer ffmpeg."
            )
        # Of equal pictures these are infinite, which a log in JSON writes as null.
        unlimited = {METRICS[name].key for name in extra_metrics if name in UNLIMITED}
        table = np.array(
            [
                [np.inf if frame[k] is None and k in unlimited else frame[k] for k in wanted]
                for frame in frames
            ],
            dtype=np.float64,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"libvmaf's log is damaged ({error}); measure again.") from error
    limited = [k for k, key in enumerate(wanted) if key not in unlimited]
    if not np.isfinite(table[:, limited]).all() or np.isnan(table).any():
        raise InputError("libvmaf's log holds a value that is not finite; check the model file.")
    n = len(keys)
    return table[:, :n], {name: table[:, n + k] for k, name in enumerate(logged)}


def other_build(version: str) -> str:
    """Returns a warning about scores of another libvmaf than the documented one, else ""."""
    if version == LIBVMAF:
        return ""
    return (
        f"libvmaf {version} is not {LIBVMAF}, which the documented figures are of: scores may "
        f"differ by 1e-3, and 2.3 and older have no VMAF v1 and a CAMBI 9 times as large"
    )


def libvmaf_version(ffmpeg: Ffmpeg) -> str:
    """Returns the version of an ffmpeg's libvmaf, which only its logs tell.

    Raises:
        InputError: it cannot measure.
    """
    inputs = ["-f", "lavfi", "-i", "color=gray:size=64x64:rate=1:duration=1"] * 2
    graph = "[0:v][1:v]libvmaf=log_fmt=json:log_path=log.json"
    line = ["-nostdin", "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
    with work_folder() as work:
        result = run_ffmpeg(ffmpeg, line, folder=work)
        return str(_read_log(work / "log.json", result.report).get("version", "unknown"))


def reads_banding(name: str, path: Path | None) -> bool:
    """Returns whether a model is of VMAF v1's kind: over CAMBI or SpEED, with whichever options."""
    path = path or known_teachers().get(name)
    if path is None:
        return name.startswith("vmaf_v1")
    try:
        document = json.loads(read_limited(path, "MODEL_BYTES", MAX_BYTES))
        names = [str(entry) for entry in document["model_dict"]["feature_names"]]
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return False  # libvmaf says what is wrong with it
    return any(not entry.startswith("VMAF_") for entry in names)


def model_options(encode: EncodedFormat | None) -> str:
    """Returns what a v1 model's entry in ffmpeg's libvmaf filter says of the encode, for CAMBI."""
    if encode is None:
        return ""
    values = {"width": encode.width, "height": encode.height, "bitdepth": encode.bits}
    return "".join(rf"\\:cambi.enc_{key}={value}" for key, value in values.items())


def libvmaf_keys(feature_set: FeatureSet, encode: EncodedFormat | None) -> tuple[str, ...]:
    """Returns a feature set's keys in libvmaf's log, which names options that it was given."""
    if encode is None or feature_set.planes == 1:
        return feature_set.libvmaf_keys
    suffix = f"_encbd_{encode.bits}_ench_{encode.height}_encw_{encode.width}"
    named = zip(feature_set, feature_set.libvmaf_keys, strict=True)
    return tuple(key + suffix if name == "cambi" else key for name, key in named)


def measured_bits(facts: Sequence[DecodedStream]) -> int:
    """Returns the bits of the samples that v1 measures: 10, or 12 where a video has 12."""
    reference, distorted = facts
    return common_bits(reference.pix_fmt, distorted.pix_fmt, least_bits=10)


def describe_v1_form(bits: int, encode: EncodedFormat | None) -> dict[str, object]:
    """Returns the entries of a result that say in which form v1 measured, `bits` a sample."""
    return {"v1_bits": bits, "v1_encode": None if encode is None else list(encode)}
