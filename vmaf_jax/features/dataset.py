"""A feature table as a partitioned dataset: a folder of Parquet files, its shards.

The folder is one of this machine, or stands at an address of another filesystem.

Each shard is a feature table of its own; all have the same columns and metadata, but for digests
of inputs. A clip's rows stand in one shard. Rows are read in the order of the shards' names. Names
that begin with a dot or an underscore are no shards. A folder that a writer of ours made says in
`_dataset.json` whether it is complete, and how many shards it has.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.features.parquet import MAX_ROWS
from vmaf_jax.features.places import Place, find, on_filesystem, refused_in_a_line
from vmaf_jax.features.reading import read_file
from vmaf_jax.features.table import FeatureTable, concatenate
from vmaf_jax.limits import limit, read_limited

ABOUT = "_dataset.json"
_ABOUT_LIMIT = ("ABOUT_BYTES", 1 << 16)
_OF_A_SHARD = ("inputs", "files")  # metadata that differs from shard to shard


def read_table(place: str | Path) -> FeatureTable:
    """Reads and validates a feature table: a Parquet file, or a folder of shards, whole.

    Args:
        place: its path, or its address on another filesystem, as `s3://bucket/folder`.

    Raises:
        InputError: as `find`, `read_file`, `shards_of` and `read_shards` do, or more rows in a
            folder than a table in memory may have.
    """
    path = find(place)
    if not path.is_dir():
        return read_file(path)
    shards = shards_of(path)
    if (n := sum(map(n_rows, shards))) > (most := limit("ROWS", MAX_ROWS)):
        raise InputError(
            f"{path}: {n} rows, at most {most} are read into memory; set data.buffer_rows to train "
            f"from the disk, or set VMAF_JAX_MAX_ROWS."
        )
    return concatenate(list(read_shards(shards)))


def shards_of(folder: Place) -> Sequence[Place]:
    """The shards of a dataset, in the order of their names.

    Raises:
        InputError: there is none, or the dataset is not complete.
    """
    shards = shard_files(folder) if isinstance(folder, Path) else folder.files(".parquet")
    about = _about(folder)
    if about is not None and not about.get("complete"):
        raise InputError(
            f"{folder}: not complete, clips are missing; run the command that writes it again."
        )
    if about is not None and about.get("shards") != len(shards):
        raise InputError(
            f"{folder}: holds {len(shards)} shards of {about.get('shards')}; run the command that "
            f"writes it again."
        )
    if not shards:
        raise InputError(f"{folder}: holds no shard (*.parquet); extract some clips into it.")
    return shards


def shard_files(folder: Path) -> list[Path]:
    """Every file of the folder that is named as a shard, complete or not, in order."""
    named = (path for path in folder.rglob("*.parquet") if path.is_file())
    return sorted(
        path
        for path in named
        if not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )


def read_shards(shards: Sequence[Place]) -> Iterator[FeatureTable]:
    """The shards' tables, one at a time, validated.

    Raises:
        InputError: a shard that is damaged or of another schema, or a clip that two shards have;
            the message names the shard.
    """
    schema: dict[str, Any] | None = None
    owner: dict[tuple[str, ...], Place] = {}
    for path in shards:
        table = read_file(path)
        own = _schema(table)
        schema = schema or own
        if differing := [name for name in schema if own[name] != schema[name]]:
            name = differing[0]
            raise InputError(
                f"{path}: of another schema than {shards[0]}: {name} is {own[name]!r}, there "
                f"{schema[name]!r}; take it out, or extract it as the others."
            )
        for clip in set(zip(table.corpus, table.source, table.clip, strict=True)):
            if (first := owner.setdefault(clip, path)) != path:
                raise InputError(
                    f"{path}: holds the clip {clip[-1]!r}, as {first} does; remove one of them."
                )
        yield table


def n_rows(path: Place) -> int:
    """The rows of a shard by its footer; one that has none is refused when it is read."""
    where, filesystem = on_filesystem(path)
    with refused_in_a_line(path):
        try:
            return int(pq.read_metadata(where, filesystem=filesystem).num_rows)
        except (OSError, pa.ArrowException):
            return 0


def _schema(table: FeatureTable) -> dict[str, Any]:
    """What all shards of a dataset share."""
    return {
        "feature_set": table.feature_set.name,
        "labels": list(table.labels),
        "n_frames": table.pooled,
        "mos_ci95": table.mos_ci95 is not None,
        "experiment": table.experiment is not None,
        "metadata": {k: v for k, v in table.provenance.items() if k not in _OF_A_SHARD},
    }


def _about(folder: Place) -> dict[str, Any] | None:
    """What the dataset's writer says of it; None where no writer of ours made it."""
    if isinstance(folder, Path):
        path = folder / ABOUT
        content = read_limited(path, *_ABOUT_LIMIT) if path.is_file() else None
    else:
        content = folder.read_below(ABOUT, limit(*_ABOUT_LIMIT))
    if content is None:
        return None
    try:
        return dict(json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{folder}/{ABOUT}: damaged ({error}); write the dataset again."
        ) from error
