"""Datasets: feature tables as folders of Parquet shards.

A folder is one of this machine, or stands at an address of another filesystem, where it is only
read. Each shard is a feature table of its own; all have the same columns and metadata, but for
digests of inputs. A clip's rows stand in one shard, and rows are read in the order of the shards'
names. Names that begin with a dot or an underscore are no shards.

A folder that `DatasetWriter` made says in `_dataset.json` whether it is complete, and how many
shards it has. A writer that is killed leaves whole shards, which the next one takes up.

A dataset that is larger than memory is read with its numbers in a mapped file. What stays in memory
of a row are its names, three pointers to texts that rows share: 24 bytes.
"""

import contextlib
import dataclasses
import json
import mmap
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from vmaf_jax.errors import InputError
from vmaf_jax.files import (
    check_local,
    check_result_folder,
    is_folder,
    limit,
    make_dir,
    read_limited,
    take_lock,
    temporary_error,
    write_text,
)
from vmaf_jax.printable import format_count
from vmaf_jax.tables.locations import Place, for_pyarrow, locate, one_line_errors
from vmaf_jax.tables.reading import MAX_ROWS, read_file
from vmaf_jax.tables.table import KEYS, FeatureTable, LabelScale, concatenate

ABOUT = "_dataset.json"
_ABOUT_LIMIT = ("ABOUT_BYTES", 1 << 16)
_LOCK = ".lock"  # begins with a dot, so that it is no shard
# Names that `extract` and `import` give.
_WRITTEN_SHARD = re.compile(r"(?:[0-9a-f]{2}/[0-9a-f]+|part-\d{6,})\.parquet")
_OF_A_SHARD = ("inputs", "files")  # metadata that differs from shard to shard


def read_table(place: str | Path) -> FeatureTable:
    """Reads and validates a feature table: a Parquet file, or a folder of shards, whole.

    Args:
        place: its path, or its address on another filesystem, as `s3://bucket/folder`.

    Raises:
        InputError: the place, a file or a shard is bad, or a folder has more rows than a table in
            memory may have.
    """
    path = locate(place)
    if not path.is_dir():
        return read_file(path)
    shards = shards_of(path)
    if (n := sum(map(count_rows, shards))) > (most := limit("ROWS", MAX_ROWS)):
        raise InputError(
            f"{path}: {n} rows, at most {most} are read into memory; set data.buffer_rows to train "
            f"from the disk, or set VMAF_JAX_MAX_ROWS."
        )
    return concatenate(list(read_shards(shards)))


def shards_of(folder: Place) -> Sequence[Place]:
    """Lists the shards of a dataset, in the order of their names.

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
            f"{folder}: holds {format_count(len(shards), 'shard')} of {about.get('shards')}; run "
            f"the command that writes it again."
        )
    if not shards:
        raise InputError(f"{folder}: holds no shard (*.parquet); extract some clips into it.")
    return shards


def shard_files(folder: Path) -> list[Path]:
    """Lists the files that are named as shards, of a dataset that is complete or not, in order."""
    named = (path for path in folder.rglob("*.parquet") if path.is_file())
    return sorted(
        path
        for path in named
        if not any(part[0] in "._" for part in path.relative_to(folder).parts)
    )


def read_shards(shards: Sequence[Place]) -> Iterator[FeatureTable]:
    """Reads shards one at a time, validated, so that no more than one is held.

    Raises:
        InputError: a shard that is damaged or of another schema, or a clip that two shards have;
            the message names the shard.
    """
    schema: dict[str, object] | None = None
    owner: dict[tuple[str, ...], Place] = {}
    for path in shards:
        table = read_file(path)
        found = _schema(table)
        schema = schema or found
        for name, value in found.items():
            if value != schema[name]:
                raise InputError(
                    f"{path}: of another schema than {shards[0]}: {name} is {value!r}, there "
                    f"{schema[name]!r}; take it out, or extract it as the others."
                )
        for clip in set(zip(table.corpus, table.source, table.clip, strict=True)):
            if (first := owner.setdefault(clip, path)) != path:
                raise InputError(
                    f"{path}: holds the clip {clip[-1]!r}, as {first} does; remove one of them."
                )
        yield table


def count_rows(path: Place) -> int:
    """Returns the number of rows that a shard's footer tells, 0 where it is damaged."""
    where, filesystem = for_pyarrow(path)
    with one_line_errors(path):
        try:
            return int(pq.read_metadata(where, filesystem=filesystem).num_rows)
        except (OSError, pa.ArrowException):
            return 0  # `read_file` will say what is wrong with it


def _schema(table: FeatureTable) -> dict[str, object]:
    """Returns what all shards of a dataset share."""
    return {
        "feature_set": table.feature_set.name,
        "labels": list(table.labels),
        "n_frames": table.pooled,
        "mos_ci95": table.mos_ci95 is not None,
        "experiment": table.experiment is not None,
        "distance": table.distance is not None,
        "metadata": {k: v for k, v in table.provenance.items() if k not in _OF_A_SHARD},
    }


def _about(folder: Place) -> dict[str, object] | None:
    """Returns what its `DatasetWriter` says of a dataset; None where another program made it."""
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


def is_dataset(path: Path) -> bool:
    """Returns whether an output is a dataset: a folder that is one, or a name without an ending."""
    if is_folder(path):
        return not path.suffix or (path / ABOUT).is_file()
    return not path.suffix and not path.exists()


def check_dataset(folder: Path) -> None:
    """Checks before long work that a dataset can be written.

    Raises:
        InputError: the folder holds other things, or cannot be written.
    """
    check_local(folder)
    check_result_folder(folder.resolve(), ABOUT, overwrite=True)  # it is taken up, not replaced
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_symlink():
            raise InputError(f"{path}: a link, which a dataset is not written through; remove it.")
    for path in shard_files(folder):
        if not _WRITTEN_SHARD.fullmatch(path.relative_to(folder).as_posix()):
            raise InputError(
                f"{path}: no shard that was written here, and would be removed; move it away, or "
                f"choose another folder."
            )


@contextlib.contextmanager
def open_writer(folder: Path) -> Iterator["DatasetWriter"]:
    """Opens a dataset for writing, new or taken up, for this program alone.

    Raises:
        InputError: the folder holds other things, cannot be written, or has another writer.
    """
    check_dataset(folder)
    busy = (
        f"{folder}: another program writes into this dataset; wait for it, or choose another "
        f"folder."
    )
    with take_lock(make_dir(folder) / _LOCK, busy):
        write_text(folder / ABOUT, _about_json(complete=False))
        yield DatasetWriter(folder)


@dataclasses.dataclass(frozen=True)
class TableSummary:
    """Counts and names of a table or dataset, for people.

    Attributes:
        rows, n_clips: how many.
        sources, labels: their names; sources sorted.
        label_scale: the worst and the best vote; None without votes.
    """

    rows: int
    n_clips: int
    sources: list[str]
    labels: list[str]
    label_scale: LabelScale | None

    @classmethod
    def of(cls, table: FeatureTable) -> "TableSummary":
        """Summarises a table."""
        scale = table.label_scale if "mos" in table.labels else None
        return cls(len(table), table.n_clips, table.sources, list(table.labels), scale)

    def __add__(self, other: "TableSummary") -> "TableSummary":
        """Returns the summary of both together; labels and scale are those of the first."""
        return dataclasses.replace(
            self,
            rows=self.rows + other.rows,
            n_clips=self.n_clips + other.n_clips,
            sources=sorted({*self.sources, *other.sources}),
        )

    def to_dict(self) -> dict[str, object]:
        """Returns the summary as commands print it in JSON."""
        return {
            "rows": self.rows,
            "clips": self.n_clips,
            "sources": self.sources,
            "labels": self.labels,
            "label_scale": None if self.label_scale is None else list(self.label_scale),
        }


@dataclasses.dataclass(frozen=True)
class DatasetWriter:
    """A dataset that is being written, in `folder`."""

    folder: Path

    def finish(self, shards: Iterable[Path]) -> None:
        """Marks the dataset as complete with `shards`; removes others, of earlier writers."""
        kept = set(shards)
        for path in shard_files(self.folder):
            if path not in kept:
                path.unlink()
        write_text(self.folder / ABOUT, _about_json(complete=True, shards=len(kept)))

    def remove(self) -> None:
        """Removes the dataset; what else lies in its folder stays."""
        shards = shard_files(self.folder)
        for path in (*shards, self.folder / ABOUT, self.folder / _LOCK):
            path.unlink(missing_ok=True)
        for folder in (*{path.parent for path in shards} - {self.folder}, self.folder):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def shard_path(folder: Path, digest: str) -> Path:
    """Returns the path of a shard: in folders of two digits, so that none holds too many files."""
    return folder / digest[:2] / f"{digest}.parquet"


def _about_json(**values: bool | int) -> str:
    return json.dumps({"kind": "vmaf-jax dataset", **values}, sort_keys=True) + "\n"


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
    columns: tuple[np.ndarray, ...] = (table.index, table.features, *table.labels.values())
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


def map_array(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """Returns an array in a nameless temporary file, which goes when the array does.

    Raises:
        InputError: there is no room for it.
    """
    try:
        with tempfile.TemporaryFile() as file:
            return np.memmap(file, dtype=dtype, mode="w+", shape=shape)
    except OSError as error:
        raise temporary_error(error) from error
