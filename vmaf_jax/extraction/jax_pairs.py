"""Extraction by the JAX backend: features computed here, and teachers asked about them.

Pairs that were not measured before go to the device together, in the order given.
"""

import concurrent.futures
import json
from collections.abc import Callable, Sequence

import jax

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.cache import Cache
from vmaf_jax.extraction.jax_stream import Described, Measured, measure_in_jax
from vmaf_jax.extraction.libvmaf import resolve_teachers
from vmaf_jax.extraction.request import Outcome, Pair, Request, request_key
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.teacher import Teacher, load_teacher
from vmaf_jax.video.digest import file_digest, text_digest
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.video import check_video

RECIPE = 5  # of the computation: raised with every change of values, so that none is served old


def extract_pairs(
    pairs: Sequence[Pair], request: Request, on_pair: Callable[[int], None]
) -> list[Outcome]:
    """A table per pair, or why there is none; as `extract_pair`.

    Args:
        request: its teachers take the features that are extracted.
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: no ffmpeg, or a teacher is unknown or takes other features.
    """
    ffmpeg = find_ffmpeg()
    teachers = _load_teachers(request.teachers, request.feature_set)
    device = request.device or jax.devices()[0]
    backend = {
        "backend": "jax",
        "backend_version": jax.__version__,
        "ffmpeg_version": ffmpeg.version,
        "device": device.device_kind,
    }
    cache = _cache(request, teachers, backend)
    outcomes: dict[int, Outcome] = {}
    missing = []

    for index, pair in enumerate(pairs):
        try:
            for video in pair:
                check_video(video)
            cached = cache.find(pair)
        except InputError as error:
            outcomes[index] = error
            continue
        if cached is None:
            missing.append(index)
        else:
            outcomes[index] = cached
            on_pair(len(cached))

    def store(index: int, measured: Measured, how: Described, contents: list[str]) -> None:
        if isinstance(measured, InputError):
            outcomes[index] = measured
            return
        try:
            labels = {name: teacher(measured) for name, teacher in teachers.items()}
            columns = (measured, labels, request.feature_set)
            outcomes[index] = cache.store(pairs[index], *columns, backend, contents, how)
        except InputError as error:
            outcomes[index] = error
        else:
            on_pair(len(measured))

    _measure(ffmpeg, {index: pairs[index] for index in missing}, request, device, store)
    return [outcomes[index] for index in range(len(pairs))]


def _load_teachers(names: tuple[str, ...], feature_set: FeatureSet) -> dict[str, Teacher]:
    teachers = {
        model.name: load_teacher(model.path or model.name) for model in resolve_teachers(names)
    }
    for teacher in teachers.values():
        if not teacher.feature_set.is_alike_in_jax(feature_set):
            raise InputError(
                f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, "
                f"{feature_set.name} is measured; use --backend libvmaf, which runs any model."
            )
    return teachers


def _cache(request: Request, teachers: dict[str, Teacher], backend: dict[str, str]) -> Cache:
    models = [
        (name, text_digest(json.dumps(teacher.model.document, sort_keys=True)))
        for name, teacher in teachers.items()
    ]
    settings = {"recipe": RECIPE, **backend, **request_key(request, models)}
    return Cache(request.cache_folder, settings, list(teachers))


def _measure(
    ffmpeg: Ffmpeg,
    pairs: dict[int, Pair],
    request: Request,
    device: jax.Device,
    store: Callable[[int, Measured, Described, list[str]], None],
) -> None:
    """Measures the pairs; hands each one's outcome and its files' digests, taken meanwhile, on."""
    indices = list(pairs)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        digests = {
            index: [pool.submit(file_digest, video.path) for video in pair]
            for index, pair in pairs.items()
        }

        def on_pair(k: int, measured: Measured, how: Described) -> None:
            try:
                contents = [future.result() for future in digests[indices[k]]]
            except InputError as error:
                store(indices[k], error, how, [])
            else:
                store(indices[k], measured, how, contents)

        try:
            measure_in_jax(
                ffmpeg,
                list(pairs.values()),
                feature_set=request.feature_set,
                how=request.comparison,
                on_pair=on_pair,
                on_frames=request.on_frames,
                device=device,
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
