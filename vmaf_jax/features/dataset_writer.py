"""Writing a partitioned dataset: one writer at a time, whole shards, and an end that says so.

A writer that is killed leaves whole shards and a dataset that says that it is not complete; the
next writer takes them up.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.dataset import ABOUT, shard_files
from vmaf_jax.features.opinions import LabelScale
from vmaf_jax.features.table import FeatureTable
from vmaf_jax.files import (
    check_local,
    check_result_folder,
    is_folder,
    make_dir,
    take_lock,
    write_text,
)

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
        write_text(folder / ABOUT, _about(complete=False))
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
        write_text(self.folder / ABOUT, _about(complete=True, shards=len(own)))

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


def _about(**values: bool | int) -> str:
    return json.dumps({"kind": "vmaf-jax dataset", **values}, sort_keys=True) + "\n"
