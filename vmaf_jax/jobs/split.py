"""Splits of a feature table by source: no source is in two of them.

`test`, `val` and `train` are made of whole sources, in the order of the SHA-256 of their names, so
that nothing need be stored and every machine makes the same ones: the first tenth (at least one) is
`test`, the next `val`, the rest `train`. `all` is every row, and a source's name that source alone.
A split says which rows are judged; whether a model has seen them is for its own record to say.
"""

import dataclasses
import hashlib

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.table import FeatureTable

_SHARE = 10  # one source of so many is test, and one is val
_PARTS = ("test", "val", "train")


def split_of(table: FeatureTable, split: str) -> FeatureTable:
    """The rows of a split.

    Args:
        split: `all`, `train`, `val`, `test`, or the name of a source.

    Raises:
        InputError: no such split, or too few sources to make it.
    """
    sources = table.sources
    if split == "all":
        return table
    if split in sources:
        return _rows(table, table.source == split)
    if split not in _PARTS:
        raise InputError(
            f"split {split!r}: expected all, train, val, test or a source of the table "
            f"({', '.join(sources[:8])}{', ...' if len(sources) > 8 else ''})."
        )
    if len(sources) < len(_PARTS):
        raise InputError(
            f"split {split!r}: the table has {len(sources)} sources, three parts need at least "
            f"{len(_PARTS)}; use all, or the name of a source."
        )
    return _rows(table, np.isin(table.source.astype(str), _part(sources, split)))


def _part(sources: list[str], split: str) -> list[str]:
    ordered = sorted(sources, key=lambda name: hashlib.sha256(name.encode()).digest())
    count = max(1, len(sources) // _SHARE)
    parts = {"test": ordered[:count], "val": ordered[count : 2 * count]}
    return parts.get(split, ordered[2 * count :])


def _rows(table: FeatureTable, rows: npt.NDArray[np.bool_]) -> FeatureTable:
    return dataclasses.replace(
        table,
        corpus=table.corpus[rows],
        source=table.source[rows],
        clip=table.clip[rows],
        index=table.index[rows],
        features=table.features[rows],
        labels={name: column[rows] for name, column in table.labels.items()},
        mos_ci95=None if table.mos_ci95 is None else table.mos_ci95[rows],
        experiment=None if table.experiment is None else table.experiment[rows],
    )
