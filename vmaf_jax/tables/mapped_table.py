"""Tables of datasets that are larger than memory: numbers in a mapped file, names in memory.

Shards are read one at a time. What stays in memory of a row are its names, three pointers to texts
that rows share: 24 bytes.
"""

import dataclasses
import mmap
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import temporary_error
from vmaf_jax.tables.dataset import count_rows, read_shards, shards_of
from vmaf_jax.tables.locations import Place
from vmaf_jax.tables.table import KEYS, FeatureTable


def map_table(folder: Place) -> FeatureTable:
    """Reads a dataset into a table whose numbers are mapped, without opinions' columns but `mos`.

    Raises:
        InputError: as `shards_of` and `read_shards` do, or there is no room for the numbers.
    """
    shards = shards_of(folder)
    n = sum(map(count_rows, shards))
    row = 0
    table: FeatureTable | None = None
    texts: dict[str, str] = {}
    inputs: dict[str, str] = {}
    for shard in read_shards(shards):
        if table is None:
            table = _empty_table(shard, n)
        rows = slice(row, row + len(shard))
        table.features[rows], table.index[rows] = shard.features, shard.index
        for name, column in table.labels.items():
            column[rows] = shard.labels[name]
        for name in KEYS:
            of_shard = getattr(shard, name).tolist()
            getattr(table, name)[rows] = [texts.setdefault(text, text) for text in of_shard]
        inputs.update(shard.provenance.get("inputs", {}))
        release(table)
        row += len(shard)
    if table is None:
        raise InputError(f"{folder}: holds no rows; extract some clips into it.")
    return dataclasses.replace(table, provenance={**table.provenance, "inputs": inputs})


def release(table: FeatureTable) -> None:
    """Frees the memory of mapped numbers; what is read again comes back from their file."""
    columns: tuple[npt.NDArray[Any], ...] = (table.index, table.features, *table.labels.values())
    for column in columns:
        pages = column.base
        if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)  # of a shared map: nothing written is lost


def _empty_table(shard: FeatureTable, n: int) -> FeatureTable:
    """Returns a table with the columns of `shard` and `n` rows without content."""
    corpus, source, clip = (np.empty(n, dtype=object) for _ in KEYS)
    return dataclasses.replace(
        shard,
        corpus=corpus,
        source=source,
        clip=clip,
        index=map_array((n,), np.int32),
        features=map_array((n, len(shard.feature_set)), np.float64),
        labels={name: map_array((n,), np.float64) for name in shard.labels},
        mos_ci95=None,
        experiment=None,
        distance=None,
    )


def map_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Returns an array in a nameless temporary file, which goes when the array does.

    Raises:
        InputError: there is no room for it.
    """
    try:
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    except OSError as error:
        raise temporary_error(error) from error
