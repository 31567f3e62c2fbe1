"""`vmaf-jax import --logs MANIFEST --out FOLDER`: any number of logs, a shard of rows at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.features.dataset_writer import Contents, writing
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.features.opinions import LabelScale
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.jobs.import_features import (
    ImportSource,
    Listed,
    assemble,
    list_clips,
    read_clip_log,
    remark,
    remark_old_logs,
    with_teachers,
)
from vmaf_jax.jobs.report import Report, silent

SHARD_ROWS = 200_000  # of a shard, but for its last clip


def import_dataset(
    source: ImportSource,
    out: Path,
    *,
    label_scale: LabelScale | None = None,
    features: str = FEATURES.name,
    teachers: Sequence[str] = (),
    name: str | None = None,
    shard_rows: int = SHARD_ROWS,
    report: Report = silent,
) -> Contents:
    """Puts a list of logs into the dataset `out`, never holding more than a shard of them.

    Args:
        source: its `logs`; the rest as for `import_features`.
        shard_rows: a shard ends with the clip that brings it to so many rows.

    Returns:
        What the dataset holds.

    Raises:
        InputError: as `import_features`, a source that is no list of logs, or a folder that has
            another writer or holds other things.
    """
    if source.logs is None:
        raise InputError(f"{out}: a folder takes --logs; name a .parquet file for other sources.")
    with writing(out) as writer:
        listed = list_clips(source, label_scale=label_scale, features=features, report=report)
        on_clip = report.clips(listed.clips)
        corpus = name or listed.path.stem
        contents: Contents | None = None
        shards: list[Path] = []
        old: list[Path] = []
        for table in _tables(listed, corpus, shard_rows, old):
            scored = with_teachers(table, teachers)
            shards.append(out / f"part-{len(shards):06d}.parquet")
            scored.write(shards[-1])
            held = Contents.of(scored)
            contents = held if contents is None else contents + held
            for frames in np.unique(table.clip_groups()[1], return_counts=True)[1].tolist():
                on_clip(frames)
        writer.finish(shards)
    if contents is None:
        raise InputError(f"{listed.path}: lists no clip; add rows.")
    remark(contents.sources, contents.labels, report)
    remark_old_logs(old, len(listed.clips), report)
    return contents


def _tables(
    listed: Listed, corpus: str, shard_rows: int, old: list[Path]
) -> Iterator[FeatureTable]:
    """The clips' tables, several clips in each; `old` as in `read_clip_log`."""
    first, rows, measured = 0, 0, {}
    for k, clip in enumerate(listed.clips, 1):
        measured[clip.name] = read_clip_log(clip, listed.feature_set, old)
        rows += len(measured[clip.name])
        if rows >= shard_rows or k == len(listed.clips):
            yield assemble(listed[first:k], measured, corpus)
            first, rows, measured = k, 0, {}
