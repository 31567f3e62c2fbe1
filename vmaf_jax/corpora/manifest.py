"""A corpus listed in a file: CSV, JSON Lines or Parquet, or a dataset file as Netflix's (`.py`).

Columns `reference, distorted, source`, and optionally `clip` (its name, by default the distorted
file's as it stands), `width, height, pix_fmt` (raw files), `fps`,
`mos`, `mos_ci95`, `experiment`, `label_scale` (as `1 5`; 0-100 where it is not said). Paths are
relative to the manifest's folder.
"""

import dataclasses
from pathlib import Path

import pydantic

from vmaf_jax.corpora.netflix import read_dataset_records
from vmaf_jax.corpora.records import Number, Whole, hint_at_slashes, parse_record, read_records
from vmaf_jax.corpora.votes import OpinionColumns, map_opinions
from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import LabelScale
from vmaf_jax.video.inputs import Clip, Video, check_video


class _Row(OpinionColumns, frozen=True, extra="forbid"):
    reference: str = pydantic.Field(min_length=1)
    distorted: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)
    clip: str | None = pydantic.Field(default=None, min_length=1, coerce_numbers_to_str=True)
    width: Whole | None = pydantic.Field(default=None, ge=1)
    height: Whole | None = pydantic.Field(default=None, ge=1)
    pix_fmt: str | None = None
    fps: Number | None = pydantic.Field(default=None, gt=0)


def load_clips(path: Path, label_scale: LabelScale | None = None) -> list[Clip]:
    """Reads the clips that the manifest at `path` lists.

    Args:
        label_scale: what `mos` is on, by default what the manifest says, else 0-100.

    Raises:
        InputError: the manifest is missing, of another kind, broken or empty; a row lacks a value
            or has one out of range; a video fails `check_video`; a clip is listed twice.
    """
    clips: list[Clip] = []
    rows: list[_Row] = []
    first_row: dict[tuple[object, object], int] = {}
    owner: dict[Path, str] = {}
    dataset = path.suffix == ".py"
    records = read_dataset_records(path) if dataset else read_records(path, "manifest", _Row)
    for number, values in enumerate(records, start=1):
        row = parse_record(_Row, path, number, values)
        name = row.clip or row.distorted
        reference, distorted = _pair_of(path.parent, row)
        for video in (reference, distorted):
            try:
                check_video(video)
            except InputError as error:
                hint = hint_at_slashes(str(video.path))
                raise InputError(f"{path}: row {number}: {error}{hint}") from error
        place = reference.path.resolve()
        # A clip listed twice, under one name or as the same files, would count twice.
        for key in ((row.source, name), (place, distorted.path.resolve())):
            if (first := first_row.setdefault(key, number)) != number:
                raise InputError(f"{path}: row {number} repeats row {first}; remove one.")
        if owner.setdefault(place, row.source) != row.source:
            raise InputError(
                f"{path}: row {number} gives {row.reference} the source {row.source!r}, an earlier "
                f"row {owner[place]!r}; one reference is one source."
            )
        clips.append(Clip(path.stem, row.source, name, reference, distorted))
        rows.append(row)
    if not clips:
        raise InputError(f"{path}: lists no clip; add rows.")
    opinions = map_opinions(rows, path, label_scale)
    return [
        dataclasses.replace(clip, **vars(opinion))
        for clip, opinion in zip(clips, opinions, strict=True)
    ]


def _pair_of(folder: Path, row: _Row) -> list[Video]:
    """Returns the row's reference and distorted video.

    Size and format are of raw files; where neither is raw, the files must have that size.
    """
    names = [folder / row.reference, folder / row.distorted]
    raw = [Video(name).is_raw for name in names]
    return [
        Video(name, row.width, row.height, row.pix_fmt if is_raw else None, row.fps)
        if is_raw or not any(raw)
        else Video(name, fps=row.fps)
        for name, is_raw in zip(names, raw, strict=True)
    ]
