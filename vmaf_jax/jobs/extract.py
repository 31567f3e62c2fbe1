"""The job `extract`: a corpus to a feature table or a dataset of shards."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.extraction.corpus import CorpusSource, measure_corpus
from vmaf_jax.extraction.extract import check_backend
from vmaf_jax.extraction.request import Request
from vmaf_jax.extraction.shards import (
    Engine,
    Shard,
    ShardSettings,
    check_engine,
    local_engine,
    write_shards,
)
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES
from vmaf_jax.files import check_output
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.dataset import Contents, check_dataset, is_dataset, writing
from vmaf_jax.tables.reading import read_file
from vmaf_jax.tables.table import FeatureTable, concatenate
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison


def extract(
    source: CorpusSource,
    out: Path,
    *,
    teachers: tuple[str, ...] | None = None,
    features: str = FEATURES.name,
    mean_pool: bool = False,
    backend: str = "libvmaf",
    jobs: int | None = None,
    comparison: Comparison = DEFAULT_COMPARISON,
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """Measures a corpus and writes its feature table to `out`.

    Args:
        teachers: models whose scores become label columns, by name or JSON file; by default the
            feature set's own.
        features: name of a feature set.
        mean_pool: clip means instead of frames.
        backend: `libvmaf` or `jax`.
        jobs: clips that libvmaf measures at a time.
        comparison: what is allowed where the two videos of a pair differ, as for `extract_pair`.

    Raises:
        InputError: bad settings, a clip that cannot be measured, or a place that cannot be written.
    """
    check_backend(backend)
    if jobs is not None and backend == "jax":
        raise InputError("--jobs is for libvmaf; JAX takes clips together, drop it.")
    request = make_request(features, teachers, comparison, jobs)
    check_output(out, ".parquet", [source.manifest] if source.manifest else [])
    table = measure_corpus(source, request, backend=backend, progress=progress)
    if mean_pool:
        table = table.mean_pool()
    table.write(out)
    return table


def make_request(
    features: str,
    teachers: tuple[str, ...] | None,
    comparison: Comparison,
    jobs: int | None = None,
) -> Request:
    """What `extract` and `extract_dataset` ask for; arguments as theirs.

    Raises:
        InputError: there is no such feature set, or a setting that cannot be.
    """
    if features not in FEATURE_SETS:
        raise InputError(
            f"--features {features}: expected one of {', '.join(FEATURE_SETS)}."
            f"{did_you_mean(features, FEATURE_SETS)}"
        )
    feature_set = FEATURE_SETS[features]
    names = (feature_set.teacher,) if teachers is None else teachers
    return Request(names, feature_set, comparison, jobs=jobs)


def extract_dataset(
    source: CorpusSource,
    out: Path,
    *,
    teachers: tuple[str, ...] | None = None,
    features: str = FEATURES.name,
    mean_pool: bool = False,
    jobs: int | None = None,
    backend: str = "libvmaf",
    engine: str = "local",
    address: str | None = None,
    comparison: Comparison = DEFAULT_COMPARISON,
    progress: Progress = NO_PROGRESS,
) -> Contents:
    """Measures a corpus by libvmaf, a shard a clip; run again, it goes on where it was ended.

    Args:
        source: a corpus of videos.
        out: a folder, which becomes a dataset; or a `.parquet` file, which is put together at the
            end from a dataset beside it, `<out>.parts`, and has the bytes that `extract` writes.
        backend: `libvmaf`.
        engine: `local`, or `ray`.
        address: of the Ray cluster, as `ray_cluster` has it.
        teachers, features, mean_pool, jobs, comparison: as for `extract`.

    Returns:
        What is written.

    Raises:
        InputError: bad settings, clips that failed (after all others are written), a cluster that
            cannot be used, or a place that cannot be written.
    """
    if backend != "libvmaf":
        raise InputError(f"{out}: shards are measured by libvmaf; drop --backend {backend}.")
    request = make_request(features, teachers, comparison, jobs)
    if source.corpus == "support_vectors":
        raise InputError("support_vectors are no videos; name a .parquet file, drop --engine.")
    to_file = not is_dataset(out)
    folder = out.with_name(f"{out.name}.parts") if to_file else out
    if to_file:
        check_output(out, ".parquet", [source.manifest] if source.manifest else [])
        if folder.is_symlink():
            raise InputError(f"{folder}: a link, in the place of the clips' folder; remove it.")
    check_dataset(folder)
    clips = source.clips()
    settings = ShardSettings(request, folder, mean_pool)
    with _engine(engine, address, jobs) as measure, writing(folder) as writer:
        shards = write_shards(clips, settings, measure, progress.clips(clips))
        writer.finish(folder / shard.path.relative_to(folder.absolute()) for shard in shards)
        contents = _contents(clips, shards)
        if to_file:
            concatenate([read_file(shard.path) for shard in shards]).write(out)
            writer.remove()
    return contents


@contextlib.contextmanager
def _engine(engine: str, address: str | None, jobs: int | None) -> Iterator[Engine]:
    check_engine(engine, address)
    if engine == "local":
        yield local_engine
        return
    if jobs is not None:
        raise InputError("--jobs is for one machine; a cluster takes a clip a core, drop it.")
    from vmaf_jax.extraction.ray import ray_engine

    with ray_engine(address) as measure:
        yield measure


def _contents(clips: list[Clip], shards: list[Shard]) -> Contents:
    scales = {clip.label_scale for clip in clips}
    return Contents(
        rows=sum(shard.rows for shard in shards),
        n_clips=len(clips),
        sources=sorted({clip.source for clip in clips}),
        labels=shards[0].labels,
        label_scale=next(iter(scales)) if len(scales) == 1 else None,
    )
