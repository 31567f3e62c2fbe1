"""A feature table whose numbers lie in a mapped file: read from the disk where they are used.

Shards are read one at a time, so that no more than one is held. What stays in memory of a row are
its names, three pointers to texts that rows share: 24 bytes.
"""

import dataclasses
import mmap
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.dataset import n_rows, read_shards, shards_of
from vmaf_jax.features.places import Place
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import no_temporary

_TEXTS = ("corpus", "source", "clip")


def map_table(folder: Place) -> FeatureTable:
    """The table of a dataset, without intervals and experiments; its numbers are mapped.

    Raises:
        InputError: as `shards_of` and `read_shards` do, or there is no room for the numbers.
    """
    shards = shards_of(folder)
    n = sum(map(n_rows, shards))
    row = 0
    table: FeatureTable | None = None
    texts: dict[str, str] = {}
    inputs: dict[str, str] = {}
    for shard in read_shards(shards):
        if table is None:
            table = _blank(shard, n)
        rows = slice(row, row + len(shard))
        table.features[rows], table.index[rows] = shard.features, shard.index
        for name, column in table.labels.items():
            column[rows] = shard.labels[name]
        for name in _TEXTS:
            of_shard = getattr(shard, name).tolist()
            getattr(table, name)[rows] = [texts.setdefault(text, text) for text in of_shard]
        inputs.update(shard.provenance.get("inputs", {}))
        release(table)
        row += len(shard)
    if table is None:
        raise InputError(f"{folder}: holds no rows; extract some clips into it.")
    return dataclasses.replace(table, provenance={**table.provenance, "inputs": inputs})


def release(table: FeatureTable) -> None:
    """Lets the mapped numbers go from this process's memory; what is read again comes back.

    They stay in their file and, as long as there is room, in the system's cache of it.
    """
    columns: tuple[npt.NDArray[Any], ...] = (table.index, table.features, *table.labels.values())
    for column in columns:
        pages = column.base
        if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            pages.madvise(mmap.MADV_DONTNEED)  # of a shared map: nothing written is lost


def _blank(shard: FeatureTable, n: int) -> FeatureTable:
    """A table as `shard`, of `n` rows without content."""
    corpus, source, clip = (np.empty(n, dtype=object) for _ in _TEXTS)
    return dataclasses.replace(
        shard,
        corpus=corpus,
        source=source,
        clip=clip,
        index=mapped((n,), np.int32),
        features=mapped((n, len(shard.feature_set)), np.float64),
        labels={name: mapped((n,), np.float64) for name in shard.labels},
        mos_ci95=None,
        experiment=None,
    )


def mapped(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array in a file without a name in the temporary folder, which goes when the array does.

    Raises:
        InputError: there is no room for it.
    """
    try:
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    except OSError as error:
        raise no_temporary(error) from error
