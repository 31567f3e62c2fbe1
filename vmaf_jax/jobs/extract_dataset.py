"""`vmaf-jax extract` that writes clips as they are measured: into a folder, or by a cluster."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Unpack

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.engines import Engine, check_engine, local_engine, write_shards
from vmaf_jax.extraction.shards import Shard, Work
from vmaf_jax.features.dataset_writer import Contents, check_dataset, is_dataset, writing
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.features.reading import read_file
from vmaf_jax.features.table import concatenate
from vmaf_jax.files import check_output
from vmaf_jax.jobs.extract import CorpusSource, make_request
from vmaf_jax.jobs.report import Report, silent
from vmaf_jax.video.comparison import ComparisonOptions


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
    report: Report = silent,
    **comparison: Unpack[ComparisonOptions],
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
    work = Work(request, folder, mean_pool)
    with _engine(engine, address, jobs) as measure, writing(folder) as writer:
        shards = write_shards(clips, work, measure, report.clips(clips))
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
    from vmaf_jax.extraction.ray_engine import ray_engine

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
