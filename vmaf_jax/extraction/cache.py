"""The cache of measured pairs.

An entry's name is `<digest of settings and sizes>-<digest of contents>`. Where no entry has the
first part, the pair is new and can be measured at once, its contents being hashed meanwhile;
otherwise the contents are hashed first. Nothing of an entry depends on the names of the files.
"""

import dataclasses
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.request import Pair, video_key
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.tables.reading import read_file
from vmaf_jax.tables.table import FeatureTable, constant_text
from vmaf_jax.video.alignment import measured_rows
from vmaf_jax.video.inputs import Video, file_digest, text_digest

log = logging.getLogger("vmaf_jax")


@dataclasses.dataclass(frozen=True)
class Cache:
    """Results of pairs that were measured with the same settings.

    Attributes:
        folder: where entries lie.
        settings: all that a result depends on besides its pair, for JSON.
        labels: names that every entry must have.
    """

    folder: Path
    settings: Mapping[str, object]
    labels: Sequence[str]

    def find(self, pair: Pair) -> FeatureTable | None:
        """Returns the pair's table, or None if it was not measured with these settings before.

        Raises:
            InputError: a file cannot be read, or the entry is corrupted.
        """
        if not self.folder.is_dir():
            return None
        prefix = self._prefix(pair)
        if not any(self.folder.glob(f"{prefix}-*.parquet")):
            return None
        entry = self._entry(prefix, [file_digest(video.path) for video in pair])
        return name_rows(self._read(entry), pair) if entry.exists() else None

    def store(
        self,
        pair: Pair,
        features: npt.NDArray[np.float64],
        labels: Mapping[str, npt.NDArray[np.float64]],
        feature_set: FeatureSet,
        backend: Mapping[str, str],
        contents: Sequence[str],
        comparison: Mapping[str, object],
    ) -> FeatureTable:
        """Writes a new entry and returns its table.

        Args:
            backend: what measured, for the table's provenance.
            contents: digests of the two files.
            comparison: how the two were compared, for the table's provenance; where they were
                aligned, rows of frames without a partner are left out.
        """
        rows = measured_rows(comparison)
        if rows is not None:
            features, labels = features[rows], {name: v[rows] for name, v in labels.items()}
            comparison = {**comparison, "frames": len(rows)}
        n = len(features)
        blank = constant_text("", n)
        table = FeatureTable(
            feature_set=feature_set,
            corpus=blank,
            source=blank,
            clip=blank,
            index=np.arange(n, dtype=np.int32) if rows is None else rows.astype(np.int32),
            features=features,
            labels=labels,
            provenance={
                **backend,
                "inputs": dict(zip(("reference", "distorted"), contents, strict=True)),
                "comparison": dict(comparison),
            },
        )
        try:
            table.write(self._entry(self._prefix(pair), contents))
        except InputError as error:  # no reason to lose a measurement
            log.warning("%s Nothing is cached; point VMAF_JAX_CACHE at a writable folder.", error)
        return name_rows(table, pair)

    def _prefix(self, pair: Pair) -> str:
        try:
            sizes = [video.path.stat().st_size for video in pair]
        except OSError as error:
            raise InputError(f"{error.filename}: no longer there; check the file.") from error
        videos = [video_key(video) for video in pair]
        return text_digest(json.dumps({**self.settings, "videos": videos, "sizes": sizes}))

    def _entry(self, prefix: str, contents: Sequence[str]) -> Path:
        return self.folder / f"{prefix}-{text_digest(' '.join(contents))}.parquet"

    def _read(self, entry: Path) -> FeatureTable:
        try:
            table = read_file(entry)
        except InputError as error:
            raise InputError(
                f"{entry}: this cache entry is corrupted; delete it and run again."
            ) from error
        frames = table.provenance.get("comparison", {}).get("frames")
        rows = measured_rows(table.provenance.get("comparison", {}))
        in_order = np.array_equal(table.index, np.arange(len(table)) if rows is None else rows)
        if list(table.labels) != list(self.labels) or frames != len(table) or not in_order:
            raise InputError(f"{entry}: this cache entry is corrupted; delete it and run again.")
        return table


def name_rows(table: FeatureTable, pair: Pair) -> FeatureTable:
    """Returns rows under the names that the pair's files have now, and logs the pair's warnings."""
    for text in table.provenance["comparison"]["warnings"]:
        log.warning("%s: %s", pair[1].path, text)
    n = len(table)
    return dataclasses.replace(
        table,
        source=constant_text(readable_name(pair[0]), n),
        clip=constant_text(readable_name(pair[1]), n),
    )


def readable_name(video: Video) -> str:
    """Returns a file's name without its ending; bytes that are no UTF-8 are escaped."""
    return video.path.stem.encode("utf-8", "backslashreplace").decode()
