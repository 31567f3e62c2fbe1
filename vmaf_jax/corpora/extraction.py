"""From clips to a feature table: many pairs at once, resumable, with progress on standard error.

Each clip's result goes into the cache as soon as it is measured. A failing clip does not stop the
others, so what they cost is kept; then the first failure is raised and no table is made.
"""

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Sequence

import numpy as np

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.features.extract import DEFAULT_TEACHER, extract_pair
from vmaf_jax.features.feature_set import FEATURES, FeatureSet
from vmaf_jax.features.table import FeatureTable, concatenate, constant_text


def extract_clips(
    clips: Sequence[Clip],
    *,
    teachers: tuple[str, ...] = (DEFAULT_TEACHER,),
    feature_set: FeatureSet = FEATURES,
    shortest: bool = False,
    jobs: int | None = None,
    on_clip: Callable[[int], None] = lambda frames: None,
) -> FeatureTable:
    """Per-frame features and scores of all clips, in the order of `clips`.

    Args:
        clips: pairs to measure.
        teachers: as for `extract_pair`.
        jobs: clips measured at a time, by default one per core; the remaining cores go to
            libvmaf's threads.
        on_clip: called after each clip with its number of frames.

    Raises:
        InputError: of the first clip that failed, with how many others did; none is lost.
    """
    cores = os.cpu_count() or 1
    workers = max(1, min(jobs or cores, len(clips)))
    threads = max(1, cores // workers)

    def one(clip: Clip) -> FeatureTable:
        table = extract_pair(
            clip.reference,
            clip.distorted,
            teachers=teachers,
            feature_set=feature_set,
            shortest=shortest,
            threads=threads,
        )
        on_clip(len(table))
        return _placed(table, clip)

    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(one, clip) for clip in clips]
        try:
            concurrent.futures.wait(futures)
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    failures = [error for future in futures if (error := future.exception())]
    bugs = [error for error in failures if not isinstance(error, InputError)]
    if bugs:
        raise bugs[0]
    if failures:
        more = f" ({len(failures) - 1} other clips failed too)" if len(failures) > 1 else ""
        raise InputError(f"{failures[0]}{more}")
    return concatenate([future.result() for future in futures])


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
