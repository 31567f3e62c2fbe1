"""A clip whose features are measured already: what a list of clips says of it, on its own scale."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from vmaf_jax.corpora.opinions import OpinionColumns
from vmaf_jax.corpora.records import parse_record, read_records
from vmaf_jax.errors import InputError


class ListRow(OpinionColumns, frozen=True, extra="ignore"):
    """A row of a list of clips; other columns are left alone."""

    clip: str | None = pydantic.Field(default=None, min_length=1, coerce_numbers_to_str=True)
    log: str | None = pydantic.Field(default=None, min_length=1)
    source: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    n_frames: pydantic.PositiveInt | None = None


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """One clip of a list.

    Attributes:
        name, source: where it belongs; names are unique.
        opinion: MOS, interval, experiment and scale, as the file has them.
        log: the file that holds its features, or None.
        n_frames: how many frames it must have, or None.
        votes: raw scores by subject, on the opinion's scale, or None.
    """

    name: str
    source: str
    opinion: OpinionColumns
    log: Path | None = None
    n_frames: int | None = None
    votes: Mapping[str, Sequence[float]] | None = None


def read_clip_list(path: Path) -> tuple[list[ListedClip], list[str]]:
    """The clips of `--clips FILE` (CSV, JSON Lines or Parquet), and the columns left alone.

    Columns: `clip, source`, and optionally `mos, mos_ci95, experiment, label_scale, n_frames`.

    Raises:
        InputError: a file or row that cannot be, no row, or a clip that is listed twice.
    """
    rows, unused = _rows(path, "list of clips")
    clips = []
    for number, row in enumerate(rows, 1):
        if row.clip is None:
            raise InputError(f"{path}: row {number}, column 'clip' is empty; name the clip.")
        clips.append(ListedClip(row.clip, row.source, row, n_frames=row.n_frames))
    check_names(clips, path)
    return clips, unused


def read_log_manifest(path: Path) -> tuple[list[ListedClip], list[str]]:
    """The clips of `--logs MANIFEST` (CSV, JSON Lines or Parquet), and the columns left alone.

    Columns: `log, source`, and optionally `clip` (by default the log's name without its ending),
    `mos, mos_ci95, experiment, label_scale, n_frames`. Paths are relative to the manifest's folder.

    Raises:
        InputError: as `read_clip_list`.
    """
    rows, unused = _rows(path, "manifest of logs")
    clips = []
    for number, row in enumerate(rows, 1):
        if row.log is None:
            raise InputError(f"{path}: row {number}, column 'log' is empty; name the clip's log.")
        name = row.clip or Path(row.log).stem
        log = path.parent / row.log
        clips.append(ListedClip(name, row.source, row, log=log, n_frames=row.n_frames))
    check_names(clips, path)
    return clips, unused


def check_names(clips: Sequence[ListedClip], path: Path) -> None:
    """Raises InputError where there is no clip, or two of a name."""
    if not clips:
        raise InputError(f"{path}: lists no clip; add rows.")
    first_row: dict[str, int] = {}
    for number, clip in enumerate(clips, 1):
        if (first := first_row.setdefault(clip.name, number)) != number:
            raise InputError(
                f"{path}: rows {first} and {number} are both of the clip {clip.name!r}; a clip has "
                f"one, name or remove them."
            )


def _rows(path: Path, what: str) -> tuple[list[ListRow], list[str]]:
    rows, unused = [], set()
    for number, values in enumerate(read_records(path, what), 1):
        rows.append(parse_record(ListRow, path, number, values))
        unused |= set(values) - set(ListRow.model_fields)
    return rows, sorted(unused)
