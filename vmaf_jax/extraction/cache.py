"""The cache of measured pairs: what an entry is called, and what may come out of it.

An entry's name is `<settings and sizes>-<contents>`. When no entry has the first part, the pair is
certainly new and can be measured at once, its contents being hashed meanwhile; otherwise the
contents are hashed first and looked up. Nothing of an entry depends on what the files are called.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.request import Pair
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.features.table import FeatureTable, constant_text, read_table
from vmaf_jax.video.digest import file_digest, text_digest


@dataclasses.dataclass(frozen=True)
class Cache:
    """Measurements of pairs under one kind of settings.

    Attributes:
        folder: where entries lie.
        settings: what a measurement depends on besides its pair, as JSON takes it.
        labels: names that every entry must have.
    """

    folder: Path
    settings: Mapping[str, Any]
    labels: Sequence[str]

    def find(self, pair: Pair) -> FeatureTable | None:
        """The pair's table, or None if it was not measured so before.

        Raises:
            InputError: a file cannot be read, or the entry is corrupted.
        """
        prefix = self._prefix(pair)
        if not self.folder.is_dir() or not any(self.folder.glob(f"{prefix}-*.parquet")):
            return None
        entry = self._entry(prefix, [file_digest(video.path) for video in pair])
        return _named(self._checked(entry), pair) if entry.exists() else None

    def store(
        self,
        pair: Pair,
        features: npt.NDArray[np.float64],
        labels: Mapping[str, npt.NDArray[np.float64]],
        feature_set: FeatureSet,
        backend: Mapping[str, str],
        contents: Sequence[str],
    ) -> FeatureTable:
        """Writes a new entry and returns its table.

        Args:
            backend: what measured, for the table's provenance.
            contents: digests of the two files, taken while they were measured.
        """
        n = len(features)
        blank = constant_text("", n)
        table = FeatureTable(
            feature_set=feature_set,
            corpus=blank,
            source=blank,
            clip=blank,
            index=np.arange(n, dtype=np.int32),
            features=features,
            labels=labels,
            provenance={
                **backend,
                "inputs": dict(zip(("reference", "distorted"), contents, strict=True)),
            },
        )
        table.write(self._entry(self._prefix(pair), contents))
        return _named(table, pair)

    def _prefix(self, pair: Pair) -> str:
        try:
            sizes = [video.path.stat().st_size for video in pair]
        except OSError as error:
            raise InputError(f"{error.filename}: no longer there; check the file.") from error
        videos = [
            [v.is_raw, v.width, v.height, v.pix_fmt, size]
            for v, size in zip(pair, sizes, strict=True)
        ]
        return text_digest(json.dumps({**self.settings, "videos": videos}))

    def _entry(self, prefix: str, contents: Sequence[str]) -> Path:
        return self.folder / f"{prefix}-{text_digest(' '.join(contents))}.parquet"

    def _checked(self, entry: Path) -> FeatureTable:
        try:
            table = read_table(entry)
        except InputError as error:
            raise InputError(
                f"{entry}: this cache entry is corrupted; delete it and run again."
            ) from error
        if list(table.labels) != list(self.labels):
            raise InputError(f"{entry}: this cache entry is corrupted; delete it and run again.")
        return table


def _named(table: FeatureTable, pair: Pair) -> FeatureTable:
    """The pair's rows under the names its files have now."""
    n = len(table)
    return dataclasses.replace(
        table,
        source=constant_text(pair[0].path.stem, n),
        clip=constant_text(pair[1].path.stem, n),
    )
