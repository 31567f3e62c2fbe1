"""Feature tables as folders of Parquet shards: read, written, and mapped into memory.

The folder is one of this machine, or stands at an address of another filesystem.

Each shard is a feature table of its own; all have the same columns and metadata, but for digests
of inputs. A clip's rows stand in one shard. Rows are read in the order of the shards' names. Names
that begin with a dot or an underscore are no shards. A folder that a writer of ours made says in
`_dataset.json` whether it is complete, and how many shards it has.

A writer that is killed leaves whole shards and a dataset that says that it is not complete; the
next writer takes them up.

Shards are read one at a time, so that no more than one is held. What stays in memory of a row are
its names, three pointers to texts that rows share: 24 bytes.
"""

import contextlib
import dataclasses
import json
import mmap
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

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
    no_temporary,
    read_limited,
    take_lock,
    write_text,
)
from vmaf_jax.tables.locations import Place, find, on_filesystem, refused_in_a_line
from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.tables.reading import MAX_ROWS, read_file
from vmaf_jax.tables.table import FeatureTable, concatenate

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


_LOCK = ".lock"
_OWN_SHARD = re.compile(r"(?:[0-9a-f]{2}/[0-9a-f]+|part-\d{6,})\.parquet")


def is_dataset(path: Path) -> bool:
    """Whether an output is to be a dataset: it is one, or a folder's name without an ending."""
    if is_folder(path):
        return not path.suffix or (path / ABOUT).is_file()
    return not path.suffix and not path.exists()


def check_dataset(folder: Path) -> None:
    """Finds out before long work whether a dataset can be written.

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
        if not _OWN_SHARD.fullmatch(path.relative_to(folder).as_posix()):
            raise InputError(
                f"{path}: no shard that was written here, and would be removed; move it away, or "
                f"choose another folder."
            )


@contextlib.contextmanager
def writing(folder: Path) -> Iterator["DatasetWriter"]:
    """The writer of the dataset at `folder`, new or taken up; no other has it meanwhile.

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
class Contents:
    """What a table or dataset holds, for people.

    Attributes:
        rows, n_clips: how many.
        sources, labels: their names; sources sorted.
        label_scale: the worst and the best vote; None where nobody voted.
    """

    rows: int
    n_clips: int
    sources: list[str]
    labels: list[str]
    label_scale: LabelScale | None

    @classmethod
    def of(cls, table: FeatureTable) -> "Contents":
        """What a table holds."""
        scale = table.label_scale if "mos" in table.labels else None
        return cls(len(table), table.n_clips, table.sources, list(table.labels), scale)

    def __add__(self, other: "Contents") -> "Contents":
        """Of both; labels and scale are those of the first."""
        return dataclasses.replace(
            self,
            rows=self.rows + other.rows,
            n_clips=self.n_clips + other.n_clips,
            sources=sorted({*self.sources, *other.sources}),
        )

    def to_dict(self) -> dict[str, Any]:
        """As commands print them in JSON."""
        return {
            "rows": self.rows,
            "clips": self.n_clips,
            "sources": self.sources,
            "labels": self.labels,
            "label_scale": None if self.label_scale is None else list(self.label_scale),
        }


class DatasetWriter:
    """A dataset that is being written.

    Attributes:
        folder: where it lies.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finish(self, shards: Iterable[Path]) -> None:
        """Says that the dataset is complete with `shards`; others, of earlier writers, go."""
        own = set(shards)
        for path in shard_files(self.folder):
            if path not in own:
                path.unlink()
        write_text(self.folder / ABOUT, _about_json(complete=True, shards=len(own)))

    def remove(self) -> None:
        """Removes the dataset; what else lies in its folder stays."""
        shards = shard_files(self.folder)
        for path in (*shards, self.folder / ABOUT, self.folder / _LOCK):
            path.unlink(missing_ok=True)
        for folder in (*{path.parent for path in shards} - {self.folder}, self.folder):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()


def shard_path(folder: Path, digest: str) -> Path:
    """Where the shard of a digest lies: folders of two digits, so that none holds too many."""
    return folder / digest[:2] / f"{digest}.parquet"


def _about_json(**values: bool | int) -> str:
    return json.dumps({"kind": "vmaf-jax dataset", **values}, sort_keys=True) + "\n"


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
