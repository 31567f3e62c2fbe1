"""The job `extract`: a corpus to a feature table or a dataset of shards."""

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path

from vmaf_jax.errors import InputError, check_choice
from vmaf_jax.extraction.corpus import CorpusSource, measure_corpus
from vmaf_jax.extraction.extract import check_backend
from vmaf_jax.extraction.request import Request, check_engine
from vmaf_jax.extraction.shards import (
    Engine,
    Shard,
    ShardSettings,
    local_engine,
    write_shards,
)
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES
from vmaf_jax.files import check_output
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.dataset import TableSummary, check_dataset, is_dataset, open_writer
from vmaf_jax.tables.reading import read_file
from vmaf_jax.tables.table import concatenate
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.inputs import Clip


@dataclasses.dataclass(frozen=True)
class ExtractSettings:
    """Settings of `extract`.

    Attributes:
        features: Name of a feature set.
        teachers: Models whose scores become label columns, by name or JSON file; by default the
            feature set's own.
        mean_pool: Clip means instead of frames.
        backend: `libvmaf` or `jax`.
        jobs: Clips that libvmaf measures at a time.
        engine: `local`, or `ray`: libvmaf on a cluster, a clip a core.
        address: Of the Ray cluster, `HOST:PORT` or `auto`.
        comparison: What is allowed where the two videos of a pair differ.

    Raises:
        InputError: There is no such feature set or backend, or settings exclude each other.
    """

    features: str = FEATURES.name
    teachers: tuple[str, ...] | None = None
    mean_pool: bool = False
    backend: str = "libvmaf"
    jobs: int | None = None
    engine: str = "local"
    address: str | None = None
    comparison: Comparison = DEFAULT_COMPARISON

    def __post_init__(self) -> None:
        check_backend(self.backend)
        if self.jobs is not None and self.backend == "jax":
            raise InputError("--jobs is for libvmaf; JAX takes clips together, drop it.")
        check_choice(f"--features {self.features}", self.features, FEATURE_SETS)
        check_engine(self.engine, self.address)
        if self.jobs is not None and self.engine == "ray":
            raise InputError("--jobs is for one machine; a cluster takes a clip a core, drop it.")

    @property
    def request(self) -> Request:
        """The extraction of each clip."""
        feature_set = FEATURE_SETS[self.features]
        teachers = (feature_set.teacher,) if self.teachers is None else self.teachers
        return Request(teachers, feature_set, self.comparison, jobs=self.jobs)


DEFAULT_SETTINGS = ExtractSettings()


def extract(
    source: CorpusSource,
    out: Path,
    settings: ExtractSettings = DEFAULT_SETTINGS,
    *,
    progress: Progress = NO_PROGRESS,
) -> TableSummary:
    """Measures a corpus and writes its features; an interrupted extraction resumes.

    Args:
        out: A `.parquet` file, or a folder, which becomes a dataset with a shard a clip. On a
            cluster a file is put together at the end from a dataset beside it, `<out>.parts`, and
            has the bytes that one machine writes.

    Returns:
        A summary of what is written.

    Raises:
        InputError: Bad settings, clips that failed (after all others are measured), a cluster that
            cannot be used, or a place that cannot be written.
    """
    if is_dataset(out):
        return _write_dataset(source, out, settings, progress)
    check_output(out, ".parquet", [source.manifest] if source.manifest else [])
    if settings.engine == "local":
        table = measure_corpus(
            source, settings.request, backend=settings.backend, progress=progress
        )
        table = table.mean_pool() if settings.mean_pool else table
        table.write(out)
        return TableSummary.of(table)
    # Nodes write shards, so that a killed extraction resumes; they are joined at the end.
    folder = out.with_name(f"{out.name}.parts")
    if folder.is_symlink():
        raise InputError(f"{folder}: a link, in the place of the clips' folder; remove it.")
    return _write_dataset(source, folder, settings, progress, table=out)


def _write_dataset(
    source: CorpusSource,
    folder: Path,
    settings: ExtractSettings,
    progress: Progress,
    *,
    table: Path | None = None,
) -> TableSummary:
    """Measures a corpus by libvmaf into the dataset `folder`, a shard a clip.

    Args:
        table: A file to put the shards together in; the dataset is removed then.
    """
    if settings.backend != "libvmaf":
        raise InputError(
            f"{table or folder}: shards are measured by libvmaf; drop --backend {settings.backend}."
        )
    if source.corpus == "support_vectors":
        raise InputError("support_vectors are no videos; name a .parquet file, drop --engine.")
    check_dataset(folder)
    clips = source.clips()
    shard_settings = ShardSettings(settings.request, folder, settings.mean_pool)
    with _open_engine(settings) as engine, open_writer(folder) as writer:
        shards = write_shards(clips, shard_settings, engine, progress.clips(clips))
        writer.finish(folder / shard.path.relative_to(folder.absolute()) for shard in shards)
        if table is not None:
            concatenate([read_file(shard.path) for shard in shards]).write(table)
            writer.remove()
    return _summarise(clips, shards)


@contextlib.contextmanager
def _open_engine(settings: ExtractSettings) -> Iterator[Engine]:
    if settings.engine == "local":
        yield local_engine
        return
    from vmaf_jax.extraction.ray import ray_engine

    with ray_engine(settings.address) as engine:
        yield engine


def _summarise(clips: list[Clip], shards: list[Shard]) -> TableSummary:
    scales = {clip.label_scale for clip in clips}
    return TableSummary(
        rows=sum(shard.rows for shard in shards),
        n_clips=len(clips),
        sources=sorted({clip.source for clip in clips}),
        labels=shards[0].labels,
        label_scale=next(iter(scales)) if len(scales) == 1 else None,
    )
