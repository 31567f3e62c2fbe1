"""Lists of clips whose features were measured elsewhere: CSV, JSON Lines or Parquet."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import pydantic

from vmaf_jax.corpora.records import Number, Row, Whole, check_listed, parse_record, read_records
from vmaf_jax.corpora.votes import OpinionColumns, at_distance
from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import MAX_DISTANCE


class _ListRow(OpinionColumns, frozen=True, extra="ignore"):
    source: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    n_frames: Whole | None = pydantic.Field(default=None, ge=1)
    distance: Number | None = pydantic.Field(default=None, gt=0, le=MAX_DISTANCE)


class _ClipRow(_ListRow, frozen=True, extra="ignore"):
    clip: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)


class _LogRow(_ListRow, frozen=True, extra="ignore"):
    log: str = pydantic.Field(min_length=1)
    clip: str | None = pydantic.Field(default=None, min_length=1, coerce_numbers_to_str=True)
    bit_depth: Whole | None = pydantic.Field(default=None, ge=8, le=16)


@dataclasses.dataclass(frozen=True)
class ListedClip:
    """A clip that a file lists, whose features were measured elsewhere.

    Attributes:
        name, source: where it belongs; names are unique.
        measured_as: the name that its features have where they were measured.
        opinion: MOS, interval, experiment and scale, as the file has them.
        log: the file that holds its features, or None.
        n_frames: how many frames it must have, or None.
        bit_depth: of the videos that its log is of, or None where the list does not say.
        votes: raw scores by subject, on the opinion's scale, or None.
        distance: the viewers', in picture heights, or None.
    """

    name: str
    source: str
    opinion: OpinionColumns
    log: Path | None = None
    n_frames: int | None = None
    bit_depth: int | None = None
    votes: Mapping[str, Sequence[float]] | None = None
    distance: float | None = None
    measured_as: str = ""


def read_clip_list(path: Path) -> tuple[list[ListedClip], list[str]]:
    """Reads the clips of `--clips FILE`; returns them and the names of columns left alone.

    Columns: `clip, source`, and optionally `mos, mos_ci95, experiment, label_scale, distance,
    n_frames`. A clip that is listed at several distances is a clip of each, `park@3.2H`.

    Raises:
        InputError: a file or row that cannot be, no row, or a clip that is listed twice.
    """
    rows, unused = _read_rows(path, "list of clips", _ClipRow)
    listed = [
        ListedClip(row.clip, row.source, row, n_frames=row.n_frames, distance=row.distance)
        for row in rows
    ]
    clips = _name_by_distance(listed)
    check_names(clips, path)
    return clips, unused


def read_log_manifest(path: Path) -> tuple[list[ListedClip], list[str]]:
    """Reads the clips of `--logs MANIFEST`; returns them and the names of columns left alone.

    Columns: `log, source`, and optionally `clip` (by default the log's name without its ending),
    `mos, mos_ci95, experiment, label_scale, distance, n_frames, bit_depth`. Paths are relative to
    the manifest's folder.

    Raises:
        InputError: as `read_clip_list`.
    """
    rows, unused = _read_rows(path, "manifest of logs", _LogRow)
    listed = [
        ListedClip(
            row.clip or Path(row.log).stem,
            row.source,
            row,
            log=check_listed(path, number, row.log),
            n_frames=row.n_frames,
            bit_depth=row.bit_depth,
            distance=row.distance,
        )
        for number, row in enumerate(rows, 1)
    ]
    clips = _name_by_distance(listed)
    check_names(clips, path)
    return clips, unused


def _name_by_distance(clips: Sequence[ListedClip]) -> list[ListedClip]:
    """Returns the clips; those listed at several distances have the distance in their names."""
    count = collections.Counter(clip.name for clip in clips)
    return [
        dataclasses.replace(
            clip,
            name=clip.name
            if clip.distance is None or count[clip.name] == 1
            else at_distance(clip.name, clip.distance),
            measured_as=clip.name,
        )
        for clip in clips
    ]


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


def _read_rows(path: Path, what: str, model: type[Row]) -> tuple[list[Row], list[str]]:
    rows: list[Row] = []
    unused: set[str] = set()
    for number, values in enumerate(read_records(path, what, model), 1):
        rows.append(parse_record(model, path, number, values))
        if isinstance(values, dict):  # it is, or it could not be parsed
            unused |= set(values) - set(model.model_fields) - {""}
    return rows, sorted(unused)
