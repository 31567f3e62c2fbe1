"""The cache of measured pairs.

An entry's name is `<digest of settings and sizes>-<digest of contents>`. Where no entry has the
first part, the pair is new and can be measured at once, its contents being hashed meanwhile;
otherwise the contents are hashed first. Nothing of an entry depends on the names of the files.

Entries are NumPy's `.npz`: `index`, `features`, `labels` and a `description` in JSON.
"""

import dataclasses
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.request import video_key
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.files import atomic_path, open_regular
from vmaf_jax.tables.table import UNLIMITED, FeatureTable, constant_text
from vmaf_jax.video.comparison import Description
from vmaf_jax.video.inputs import Video, VideoPair, file_digest, text_digest

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

    def find(self, pair: VideoPair) -> FeatureTable | None:
        """Returns the pair's table, or None if it was not measured with these settings before.

        Raises:
            InputError: a file cannot be read, or the entry is corrupted.
        """
        if not self.folder.is_dir():
            return None
        prefix = self._prefix(pair)
        if not any(self.folder.glob(f"{prefix}-*.npz")):
            return None
        entry = self._entry(prefix, [file_digest(video.path) for video in pair])
        return name_rows(self._read(entry), pair) if entry.exists() else None

    def store(
        self,
        pair: VideoPair,
        features: npt.NDArray[np.float64],
        labels: Mapping[str, npt.NDArray[np.float64]],
        feature_set: FeatureSet,
        backend: Mapping[str, str],
        contents: Sequence[str],
        comparison: Description,
    ) -> FeatureTable:
        """Writes a new entry and returns its table.

        Args:
            backend: what measured, for the table's provenance.
            contents: digests of the two files.
            comparison: how the two were compared, for the table's provenance; where they were
                aligned, rows of frames without a partner are left out.
        """
        rows = _measured_rows(comparison)
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
            _write_entry(self._entry(self._prefix(pair), contents), table)
        except InputError as error:  # no reason to lose a measurement
            log.warning("%s Nothing is cached; point VMAF_JAX_CACHE at a writable folder.", error)
        return name_rows(table, pair)

    def _prefix(self, pair: VideoPair) -> str:
        try:
            sizes = [video.path.stat().st_size for video in pair]
        except OSError as error:
            raise InputError(f"{error.filename}: no longer there; check the file.") from error
        videos = [video_key(video) for video in pair]
        return text_digest(json.dumps({**self.settings, "videos": videos, "sizes": sizes}))

    def _entry(self, prefix: str, contents: Sequence[str]) -> Path:
        return self.folder / f"{prefix}-{text_digest(' '.join(contents))}.npz"

    def _read(self, entry: Path) -> FeatureTable:
        damage = InputError(f"{entry}: this cache entry is corrupted; delete it and run again.")
        try:
            table = _read_entry(entry)
            comparison = table.provenance["comparison"]
            rows = _measured_rows(comparison)
        except (InputError, *_DAMAGE) as error:
            raise damage from error
        in_order = np.array_equal(table.index, np.arange(len(table)) if rows is None else rows)
        is_whole = list(table.labels) == list(self.labels) and comparison["frames"] == len(table)
        if not (is_whole and in_order and _holds_numbers(table)):
            raise damage
        return table


# What NumPy, its zip files and JSON raise for a file that was cut or changed.
_DAMAGE = (OSError, ValueError, KeyError, TypeError, EOFError, NotImplementedError, zlib.error)


def _write_entry(path: Path, table: FeatureTable) -> None:
    """Writes an entry atomically; the same table gives the same bytes."""
    description = {
        "feature_set": table.feature_set.name,
        "labels": list(table.labels),
        "provenance": table.provenance,
    }
    with atomic_path(path) as temporary, temporary.open("xb") as file:
        np.savez_compressed(
            file,
            index=table.index,
            features=table.features,
            labels=np.array(list(table.labels.values()), np.float64),
            description=np.frombuffer(json.dumps(description, sort_keys=True).encode(), np.uint8),
        )


def _read_entry(path: Path) -> FeatureTable:
    """Reads an entry; raises one of `_DAMAGE` where it is none."""
    from zipfile import BadZipFile

    try:
        # Opened here: NumPy leaves a damaged file open. It checks sums of the content.
        with open_regular(path) as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("index", "features", "labels")}
            description = json.loads(stored["description"].tobytes())
    except BadZipFile as error:
        raise ValueError(str(error)) from error
    if [array.dtype.kind for array in arrays.values()] != ["i", "f", "f"]:
        raise ValueError("arrays of other types")
    index, features, labels = arrays.values()
    feature_set, names = FEATURE_SETS[description["feature_set"]], description["labels"]
    n = len(index)
    shapes = (n, len(feature_set)), (len(names), n) if names else (0,)
    if (features.shape, labels.shape) != shapes or n == 0:
        raise ValueError("arrays of other shapes")
    blank = constant_text("", n)
    return FeatureTable(
        feature_set=feature_set,
        corpus=blank,
        source=blank,
        clip=blank,
        index=index,
        features=features,
        labels=dict(zip(names, labels, strict=True)),
        provenance=description["provenance"],
    )


def _holds_numbers(table: FeatureTable) -> bool:
    """Returns whether all features and labels are numbers, infinite only where labels may be."""
    unlimited = [column for name, column in table.labels.items() if name in UNLIMITED]
    bounded = [column for name, column in table.labels.items() if name not in UNLIMITED]
    finite = np.isfinite([*table.features.T, *bounded]).all()
    return bool(finite and not np.isnan(unlimited).any())


def _measured_rows(comparison: Description) -> npt.NDArray[np.intp] | None:
    """Returns the rows of frames that belong together, where a pair was aligned; None for all."""
    if "alignment" not in comparison:
        return None
    from vmaf_jax.video.alignment import measured_rows

    return measured_rows(comparison)


def name_rows(table: FeatureTable, pair: VideoPair) -> FeatureTable:
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
