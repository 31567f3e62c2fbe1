"""From videos to a feature table: many pairs at once, resumable, with progress on standard error.

Each clip's result goes into the cache as soon as it is measured. A failing clip does not stop the
others, so what they cost is kept; then the first failure is raised and no table is made.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.features.cache import Pair
from vmaf_jax.features.extract import DEFAULT_TEACHER, extract_in_libvmaf
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.table import FeatureTable, concatenate, constant_text
from vmaf_jax.features.video import Video

BACKENDS = ("libvmaf", "jax")


def check_backend(backend: str) -> None:
    """Raises InputError unless there is such a backend."""
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r}: expected one of {', '.join(BACKENDS)}.")


def extract_pair(
    reference: str | os.PathLike[str] | Video,
    distorted: str | os.PathLike[str] | Video,
    *,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (DEFAULT_TEACHER,),
    feature_set: FeatureSet = FEATURES,
    shortest: bool = False,
    cache: Path | None = None,
) -> FeatureTable:
    """Features and teacher scores of every frame of a pair.

    Args:
        reference, distorted: files that ffmpeg decodes, or raw YUV with size and format.
        backend: `libvmaf`, or `jax`, which agrees with libvmaf's float extractors.
        width, height, pix_fmt: of raw files (both), unless they are given as `Video`.
        teachers: names or JSON files of models; libvmaf runs any, `jax` those over these features.
        feature_set: which features; their gain limits go with it.
        shortest: stop at the end of the shorter input instead of refusing unequal lengths.
        cache: folder of results, by default `features` in the user's cache.

    Returns:
        A table of one clip: features `[frames, features]` (float64, no unit), a label per teacher.

    Raises:
        InputError: a file is missing, cut, not decodable or of another length; a teacher or the
            backend is unknown; no ffmpeg has libvmaf; the cache entry is corrupted.
    """
    check_backend(backend)
    pair = _as_videos(reference, distorted, width, height, pix_fmt)
    if backend == "libvmaf":
        return extract_in_libvmaf(
            pair, teachers=teachers, feature_set=feature_set, shortest=shortest, cache=cache
        )
    from vmaf_jax.corpora.jax_extraction import extract_pairs_in_jax

    (found,) = extract_pairs_in_jax(
        [pair], teachers=teachers, feature_set=feature_set, shortest=shortest, cache=cache
    )
    if isinstance(found, InputError):
        raise found
    return found


def _as_videos(
    reference: str | os.PathLike[str] | Video,
    distorted: str | os.PathLike[str] | Video,
    width: int | None,
    height: int | None,
    pix_fmt: str | None,
) -> Pair:
    """The pair as `Video`; raw files take the size and format given, others say their own."""

    def one(each: str | os.PathLike[str] | Video) -> Video:
        if isinstance(each, Video):
            return each
        video = Video(Path(each))
        if not video.is_raw:
            return video
        return dataclasses.replace(video, width=width, height=height, pix_fmt=pix_fmt)

    return one(reference), one(distorted)


def extract_clips(
    clips: Sequence[Clip],
    *,
    backend: str = "libvmaf",
    teachers: tuple[str, ...] = (DEFAULT_TEACHER,),
    feature_set: FeatureSet = FEATURES,
    shortest: bool = False,
    jobs: int | None = None,
    device: Any = None,
    on_clip: Callable[[int], None] = lambda frames: None,
) -> FeatureTable:
    """Per-frame features and scores of all clips, in the order of `clips`.

    Args:
        clips: pairs to measure.
        backend, teachers, feature_set, shortest: as for `extract_pair`.
        jobs: clips that libvmaf measures at a time, by default one per core; the remaining cores
            go to its threads.
        device: the `jax.Device` that JAX computes on, by default its first.
        on_clip: called after each clip with its number of frames.

    Raises:
        InputError: of the first clip that failed, with how many others did; none is lost.
    """
    check_backend(backend)
    found: list[FeatureTable | InputError]
    if backend == "jax":
        from vmaf_jax.corpora.jax_extraction import extract_pairs_in_jax

        found = extract_pairs_in_jax(
            [(clip.reference, clip.distorted) for clip in clips],
            teachers=teachers,
            feature_set=feature_set,
            shortest=shortest,
            on_pair=on_clip,
            device=device,
        )
    else:
        found = _in_libvmaf(clips, teachers, feature_set, shortest, jobs, on_clip)
    failures = [each for each in found if isinstance(each, InputError)]
    if failures:
        more = f" ({len(failures) - 1} other clips failed too)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{more}")
    tables = [each for each in found if isinstance(each, FeatureTable)]
    return concatenate([_placed(table, clip) for table, clip in zip(tables, clips, strict=True)])


def _in_libvmaf(
    clips: Sequence[Clip],
    teachers: tuple[str, ...],
    feature_set: FeatureSet,
    shortest: bool,
    jobs: int | None,
    on_clip: Callable[[int], None],
) -> list[FeatureTable | InputError]:
    cores = os.cpu_count() or 1
    workers = max(1, min(jobs or cores, len(clips)))
    threads = max(1, cores // workers)

    def one(clip: Clip) -> FeatureTable | InputError:
        try:
            table = extract_in_libvmaf(
                (clip.reference, clip.distorted),
                teachers=teachers,
                feature_set=feature_set,
                shortest=shortest,
                threads=threads,
            )
        except InputError as error:
            return error
        on_clip(len(table))
        return table

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, clip) for clip in clips]
        try:
            concurrent.futures.wait(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _placed(table: FeatureTable, clip: Clip) -> FeatureTable:
    """The clip's rows with its place in the corpus, its opinion score, and its digests."""
    n = len(table)
    labels = dict(table.labels)
    if clip.mos is not None:
        labels["mos"] = np.full(n, clip.mos)
    digests = table.provenance["inputs"]
    inputs = {
        f"{clip.source} (reference)": digests["reference"],
        f"{clip.source}/{clip.name}": digests["distorted"],
    }
    return dataclasses.replace(
        table,
        corpus=constant_text(clip.corpus, n),
        source=constant_text(clip.source, n),
        clip=constant_text(clip.name, n),
        labels=labels,
        provenance={**table.provenance, "inputs": inputs},
    )
