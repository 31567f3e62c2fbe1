"""Extraction by the JAX backend: features computed here, and teachers asked about them.

Pairs that were not measured before go to the device together, in the order given.
"""

import concurrent.futures
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from vmaf_jax.errors import InputError
from vmaf_jax.features.cache import Cache, Pair
from vmaf_jax.features.digest import file_digest, text_digest
from vmaf_jax.features.extract import features_cache
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.features.jax_backend import Outcome, measure_in_jax
from vmaf_jax.features.libvmaf import resolve_models
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.features.video import check_video
from vmaf_jax.teacher import Teacher, load_teacher

RECIPE = 1  # of the computation; a change that moves a value must not be served old results


def extract_pairs_in_jax(
    pairs: Sequence[Pair],
    *,
    teachers: tuple[str, ...],
    feature_set: FeatureSet,
    shortest: bool = False,
    cache: Path | None = None,
    on_pair: Callable[[int], None] = lambda frames: None,
    device: jax.Device | None = None,
) -> list[FeatureTable | InputError]:
    """A table per pair, or why there is none; as `extract_pair`, with `device` of JAX's.

    Args:
        teachers: models over these features, whose scores of them become labels.
        on_pair: called after each pair with its number of frames.

    Raises:
        InputError: no ffmpeg, or a teacher is unknown or takes other features.
    """
    ffmpeg = find_ffmpeg()
    asked = {
        model.name: load_teacher(model.path or model.name) for model in resolve_models(teachers)
    }
    for teacher in asked.values():
        _check_teacher(teacher, feature_set)
    device = device or jax.devices()[0]
    backend = {
        "backend": "jax",
        "backend_version": jax.__version__,
        "ffmpeg_version": ffmpeg.version,
        "device": device.device_kind,
    }
    settings: dict[str, Any] = {
        "recipe": RECIPE,
        **backend,
        "features": feature_set.name,
        "models": [
            [name, text_digest(json.dumps(teacher.model.document, sort_keys=True))]
            for name, teacher in asked.items()
        ],
        "shortest": shortest,
    }
    kept = Cache(features_cache(cache), settings, list(asked))
    results: dict[int, FeatureTable | InputError] = {}

    def settle(index: int, outcome: Outcome) -> None:
        if isinstance(outcome, InputError):
            results[index] = outcome
            return
        try:
            labels = {name: teacher(outcome) for name, teacher in asked.items()}
            contents = [future.result() for future in digests[index]]
            results[index] = kept.store(
                pairs[index], outcome, labels, feature_set, backend, contents
            )
        except InputError as error:
            results[index] = error
        else:
            on_pair(len(outcome))

    missing = []
    for index, pair in enumerate(pairs):
        try:
            for video in pair:
                check_video(video)
            found = kept.find(pair)
        except InputError as error:
            results[index] = error
            continue
        if found is None:
            missing.append(index)
        else:
            results[index] = found
            on_pair(len(found))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        digests = {
            index: [pool.submit(file_digest, video.path) for video in pairs[index]]
            for index in missing
        }
        try:
            measure_in_jax(
                ffmpeg,
                [pairs[index] for index in missing],
                gain_limit=feature_set.gain_limit,
                shortest=shortest,
                on_pair=lambda k, outcome: settle(missing[k], outcome),
                device=device,
            )
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [results[index] for index in range(len(pairs))]


def _check_teacher(teacher: Teacher, feature_set: FeatureSet) -> None:
    if teacher.feature_set != feature_set:
        raise InputError(
            f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, "
            f"{feature_set.name} is extracted; pass --features {teacher.feature_set.name}, or use "
            f"--backend libvmaf, which runs any model."
        )
