"""The libvmaf backend: one ffmpeg run measures a pair, its JSON log gives features and scores.

Frames are paired by number, whatever their time stamps. Values are logged to six decimals. The
run's own report (`-v verbose`) says how many frames each input really had: ffmpeg itself exits
with 0 and repeats the last frame where an input is short or cut.

A re-run costs a hash of the files, and a first run costs libvmaf's time.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.request import (
    METRICS,
    Pair,
    Request,
    TableOrError,
    filter_option,
    request_key,
    too_small_for,
)
from vmaf_jax.extraction.v1_form import describe, libvmaf_keys, model_options, reads_banding
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.tables.reading import UNLIMITED
from vmaf_jax.tables.table import RESERVED_COLUMNS, FeatureTable
from vmaf_jax.teacher.model_file import (
    check_model_file,
    find_model_file,
    known_teachers,
    read_model_file,
    refuse_old_kinds,
)
from vmaf_jax.video.checks import check_run
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.ffmpeg import CompletedRun, Ffmpeg, find_ffmpeg, report_frames, run_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, file_digest
from vmaf_jax.video.pairing import PairPlan, check_chroma, filter_chains
from vmaf_jax.video.pixel_format import chroma_size, common_bits
from vmaf_jax.video.planning import run_comparison
from vmaf_jax.video.report import check_frame_counts, explain_failure, explain_libvmaf_error
from vmaf_jax.video.streams import DecodedStream

LIBVMAF = "86da14d"  # the build that the figures in the docs are of, that of ffmpeg 9.0.2
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class LibvmafModel:
    """A teacher for libvmaf to run: built in when `path` is None, else a JSON model file."""

    name: str
    path: Path | None = None


def resolve_teacher(name_or_path: str) -> LibvmafModel:
    """A built-in model's name, or a JSON model file whose stem becomes its name.

    Raises:
        InputError: the file is missing or no sound model, or the name has characters no model has.
    """
    refuse_old_kinds(name_or_path)
    if name_or_path.endswith(".json"):
        path = Path(name_or_path)
        name = path.stem
    else:
        path, name = None, name_or_path
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(f"teacher {name!r}: letters, digits, '.', '_' and '-' only; rename it.")
    if name in RESERVED_COLUMNS:
        raise InputError(f"teacher {name!r} has the name of another column; rename the file.")
    if path is not None:
        check_model_file(path)
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
    """What libvmaf measured, per frame.

    Attributes:
        features: float64 `[frames, features]`.
        labels: float64 `[frames]` per model name, in the model's points.
        version: libvmaf's version.
        description: of the comparison, for the result: the plan's, counts and damage.
    """

    features: npt.NDArray[np.float64]
    labels: dict[str, npt.NDArray[np.float64]]
    version: str
    description: dict[str, Any]


def measuring_arguments(
    reference: Video,
    distorted: Video,
    models: list[LibvmafModel],
    *,
    threads: int,
    shortest: bool,
    plan: PairPlan | None = None,
    one_thread: bool = False,
    extra_metrics: tuple[str, ...] = (),
) -> list[str]:
    """ffmpeg's arguments for a measurement; it writes `log0.json` into its working folder.

    Models of VMAF v1 see pictures of 10 bits. Where others or metrics are measured beside them, of
    the pictures as they are, libvmaf runs twice on what is decoded once; then `log1.json` is v1's.

    Args:
        plan: how the two are brought together; None before it is known what they are.
        one_thread: decode with one thread each, so that damage is concealed alike every time.
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
        plain.append(rf"version={FEATURES.libvmaf_model}\\:name=unused")  # the filter takes no none
    runs = [(plain, 8, filter_option(extra_metrics)), (deep, 10, "")]
    runs = [run for run in runs if run[0]]
    ending = ":shortest=1:repeatlast=0" if shortest else ""
    labels = ["".join(f"[{role}{k}]" for k in range(len(runs))) for role in "dr"]
    parts = [
        f"[0:{distorted.stream_specifier}]split={len(runs)}{labels[0]}",
        f"[1:{reference.stream_specifier}]split={len(runs)}{labels[1]}",
    ]
    for k, (entries, least_bits, metrics) in enumerate(runs):
        # Each brings the pictures together: nothing is rounded to 8 bits before it has 10.
        to_reference, to_distorted = filter_chains(plan, least_bits)
        parts += [f"[d{k}]{to_distorted}[e{k}]", f"[r{k}]{to_reference}[s{k}]"]
        parts.append(
            f"[e{k}][s{k}]libvmaf=log_fmt=json:log_path=log{k}.json:n_threads={threads}"
            f"{ending}:model={'|'.join(entries)}{metrics}"
        )
    graph = ";".join(parts)
    decoder = ("-threads", "1") if one_thread else ()
    return [
        *("-nostdin", "-nostats", "-v", "level+verbose"),
        *(*decoder, *distorted.arguments()),
        *(*decoder, *reference.arguments()),
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
    how: Comparison = DEFAULT_COMPARISON,
    extra_metrics: tuple[str, ...] = (),
    on_frames: Callable[[int], None] | None = None,
) -> Measurement:
    """Features and scores of one pair.

    Args:
        models: teachers to run besides the one that yields the features.
        threads: libvmaf's threads; changes no value.
        how: what is allowed where the two differ.
        on_frames: told how many more frames are measured.

    Raises:
        InputError: an input cannot be read or decoded whole, the two cannot be compared, or
            libvmaf refuses a model; the message names the file or the model.
    """
    videos = (reference, distorted)
    counts = [check_video(reference), check_video(distorted)]
    if None not in (reference.fps, distorted.fps) or how.fps is None:
        check_frame_counts(reference, distorted, counts, shortest=how.defers_length_check)
    anchor = LibvmafModel(feature_set.libvmaf_model)
    run_models = models if any(m == anchor for m in models) else [*models, anchor]
    teachers = known_teachers()
    names = {m.name: "" if m.path else did_you_mean(m.name, teachers) for m in run_models}
    with work_folder() as work:
        for k, model in enumerate(run_models):
            if model.path is not None:
                shutil.copyfile(model.path, work / f"model{k}.json")

        def run(pair: tuple[Video, Video], plan: PairPlan | None) -> CompletedRun:
            arguments = measuring_arguments(
                *pair,
                run_models,
                threads=threads,
                shortest=how.allows_unequal_lengths or how.fps is not None,
                plan=plan,
                one_thread=how.allow_damaged,
                extra_metrics=extra_metrics,
            )
            with report_frames(on_frames) as progress:
                return run_ffmpeg(ffmpeg, [*progress, *arguments], folder=work)

        result, videos, facts, plan = run_comparison(ffmpeg, videos, how, run, names)
        of_chroma = _sets_of_chroma(feature_set, models)
        if of_chroma:
            check_chroma(videos, facts)
        # Of these libvmaf leaves the column out, and ends as if all were well.
        if problem := too_small_for(extra_metrics, *plan.size[::-1]):
            raise InputError(f"{reference.path}: {problem}")
        if result.code != 0:
            _check_size(reference, facts[0], of_chroma)
            raise InputError(explain_failure(result.report, reference, distorted, names))
        description, expected = check_run(ffmpeg, videos, result, facts, plan, how)
        of_v1 = {reads_banding(model.name, model.path) for model in run_models}
        if len(list(work.glob("log?.json"))) < len(of_v1 | ({False} if extra_metrics else set())):
            _check_size(reference, facts[0], of_chroma)
        log = _read_logs(work, result.report)
    if True in of_v1:
        bits = common_bits(facts[0].pix_fmt, facts[1].pix_fmt, least_bits=10)
        description |= describe(bits, plan.encode)
    keys = libvmaf_keys(feature_set, plan.encode)
    features, labels = _parse(log, keys, models, extra_metrics)
    if expected is not None and len(features) != expected:
        raise InputError(
            f"{distorted.path}: libvmaf measured {len(features)} frames of {expected}; "
            f"re-encode the file without broken time stamps."
        )
    description["frames"] = len(features)
    version = str(log.get("version", "unknown"))
    if note := other_build(version):
        description["warnings"] = [*description["warnings"], note]
    return Measurement(features, labels, version, description)


def other_build(version: str) -> str:
    """What to know of scores of a libvmaf other than the documented one; "" of that one itself."""
    if version == LIBVMAF:
        return ""
    return (
        f"libvmaf {version} is not {LIBVMAF}, which the documented figures are of: scores may "
        f"differ by 1e-3, and 2.3 and older have no VMAF v1 and a CAMBI 9 times as large"
    )


def libvmaf_version(ffmpeg: Ffmpeg) -> str:
    """The version of an ffmpeg's libvmaf, which it says in its logs alone.

    Raises:
        InputError: it cannot measure.
    """
    inputs = ["-f", "lavfi", "-i", "color=gray:size=64x64:rate=1:duration=1"] * 2
    graph = "[0:v][1:v]libvmaf=log_fmt=json:log_path=log.json"
    line = ["-nostdin", "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
    with work_folder() as work:
        result = run_ffmpeg(ffmpeg, line, folder=work)
        return str(_read_log(work / "log.json", result.report).get("version", "unknown"))


def _sets_of_chroma(feature_set: FeatureSet, models: list[LibvmafModel]) -> list[FeatureSet]:
    """The feature sets, of what is measured and of the models beside it, that read chroma."""
    sets = [feature_set]
    for model in models:
        with contextlib.suppress(InputError):  # a model over features of its own: libvmaf knows
            sets.append(read_model_file(model.path or find_model_file(model.name)).feature_set)
    return [reader for reader in dict.fromkeys(sets) if reader.planes > 1]


def _check_size(reference: Video, facts: DecodedStream, sets: list[FeatureSet]) -> None:
    """Raises InputError where libvmaf failed since pictures are too small, which it says badly."""
    if not sets:
        return
    from vmaf_jax.features.v1 import too_small  # imports JAX, which libvmaf needs for nothing else

    chroma = chroma_size(facts.height, facts.width, facts.pix_fmt)
    for feature_set in sets:
        if problem := too_small((facts.height, facts.width), chroma, feature_set):
            raise InputError(f"{reference.path}: {problem}")


def _read_logs(folder: Path, report: str) -> dict[str, Any]:
    """libvmaf's log, with the metrics of a second run on the same frames."""
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
        reason = explain_libvmaf_error(report) or "libvmaf wrote no log; free space."
        raise InputError(reason) from error


def _parse(
    log: dict[str, Any],
    keys: tuple[str, ...],
    models: list[LibvmafModel],
    extra_metrics: tuple[str, ...] = (),
) -> tuple[npt.NDArray[np.float64], dict[str, npt.NDArray[np.float64]]]:
    """Features `[frames, features]` and each model's scores `[frames]` out of libvmaf's log."""
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
        # Of equal pictures these are infinite, and a log of JSON has no word for that but null.
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


RECIPE = 6  # of the measurement: raised with every change of values, so that none is served old


def extract_by_libvmaf(
    pairs: Sequence[Pair], request: Request, on_pair: Callable[[int], None]
) -> list[TableOrError]:
    """A table per pair, or why there is none; as `extract_pair`.

    Args:
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: no ffmpeg, or a teacher's name or file is bad.
    """
    models = resolve_teachers(request.teachers)
    ffmpeg = find_ffmpeg()
    cores = os.cpu_count() or 1
    workers = max(1, min(request.jobs or cores, len(pairs)))
    threads = request.threads or max(1, cores // workers)

    def extract(pair: Pair) -> TableOrError:
        try:
            table = _extract(pair, request, ffmpeg, models, threads)
        except InputError as error:
            return error
        on_pair(len(table))
        return table

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(extract, pair) for pair in pairs]
        try:
            concurrent.futures.wait(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def measurement_settings(request: Request, models: Sequence[LibvmafModel]) -> dict[str, Any]:
    """What a measurement depends on besides pair and program, as JSON takes it."""
    teachers = [(m.name, file_digest(m.path) if m.path else None) for m in models]
    return {"recipe": RECIPE, **request_key(request, teachers)}


def _extract(
    pair: Pair, request: Request, ffmpeg: Ffmpeg, models: list[LibvmafModel], threads: int
) -> FeatureTable:
    for video in pair:
        check_video(video)
    how = request.comparison
    settings = {
        "program": [ffmpeg.path, ffmpeg.version],
        **measurement_settings(request, models),
    }
    cache = Cache(
        request.cache_folder, settings, [*(model.name for model in models), *request.extra_metrics]
    )
    if (cached := cache.find(pair)) is not None:
        return cached
    with concurrent.futures.ThreadPoolExecutor(len(pair)) as pool:
        digests = [pool.submit(file_digest, video.path) for video in pair]
        how_much: dict[str, Any] = {
            "threads": threads,
            "how": how,
            "extra_metrics": request.extra_metrics,
        }
        how_much |= {"on_frames": request.on_frames}
        measurement = measure(ffmpeg, *pair, request.feature_set, models, **how_much)
        contents = [future.result() for future in digests]
    backend = {
        "backend": "libvmaf",
        "backend_version": measurement.version,
        "ffmpeg_version": ffmpeg.version,
    }
    columns = (measurement.features, measurement.labels, request.feature_set)
    return cache.store(pair, *columns, backend, contents, measurement.description)
