"""A corpus listed in a file: CSV, JSON Lines or Parquet.

Columns `reference, distorted, source`, and optionally `width, height, pix_fmt` (raw files), `fps`,
`mos` (0-100). Paths are relative to the manifest's folder.
"""

import csv
import difflib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.video.video import Video, check_video


class _Row(pydantic.BaseModel, frozen=True, extra="forbid", str_strip_whitespace=True):
    reference: str = pydantic.Field(min_length=1)
    distorted: str = pydantic.Field(min_length=1)
    source: str = pydantic.Field(min_length=1)
    width: pydantic.PositiveInt | None = None
    height: pydantic.PositiveInt | None = None
    pix_fmt: str | None = None
    fps: pydantic.PositiveFloat | None = None
    mos: float | None = pydantic.Field(default=None, ge=0, le=100, allow_inf_nan=False)


def load_clips(path: Path) -> list[Clip]:
    """The clips that the manifest at `path` lists.

    Raises:
        InputError: the manifest is missing, of another kind, broken or empty; a row lacks a value
            or has one out of range; a video fails `check_video`; a clip is listed twice.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such manifest; check the name.")
    clips = []
    seen: dict[tuple[str, str], int] = {}
    owner: dict[Path, str] = {}
    for number, values in enumerate(_rows(path), start=1):
        row = _parse(path, number, values)
        if first := seen.get((row.source, row.distorted)):
            raise InputError(f"{path}: row {number} repeats row {first}; remove one.")
        seen[row.source, row.distorted] = number
        reference, distorted = (
            Video(path.parent / name, row.width, row.height, row.pix_fmt, row.fps)
            if Video(Path(name)).is_raw
            else Video(path.parent / name)
            for name in (row.reference, row.distorted)
        )
        for video in (reference, distorted):
            check_video(video)
        place = reference.path.resolve()
        if owner.setdefault(place, row.source) != row.source:
            raise InputError(
                f"{path}: row {number} gives {row.reference} the source {row.source!r}, an earlier "
                f"row {owner[place]!r}; one reference is one source."
            )
        clips.append(Clip(path.stem, row.source, row.distorted, reference, distorted, row.mos))
    if not clips:
        raise InputError(f"{path}: lists no clip; add rows.")
    scored = sum(clip.mos is not None for clip in clips)
    if scored not in (0, len(clips)):
        raise InputError(
            f"{path}: {len(clips) - scored} of {len(clips)} rows have no mos; fill it in or drop "
            f"the column."
        )
    return clips


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        match path.suffix.lower():
            case ".csv":
                with path.open(newline="", encoding="utf-8-sig") as file:
                    yield from csv.DictReader(file)
            case ".jsonl":
                for line in path.read_text(encoding="utf-8").splitlines():
                    if line.strip():
                        yield json.loads(line)
            case ".parquet":
                yield from pq.read_table(path).to_pylist()
            case _:
                raise InputError(f"{path}: unknown kind; expected .csv, .jsonl or .parquet.")
    except (OSError, ValueError, RecursionError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error}); check the file.") from error


def _parse(path: Path, number: int, values: Any) -> _Row:
    if not isinstance(values, dict):
        raise InputError(f"{path}: row {number} is no record; give column names and values.")
    if None in values:
        raise InputError(f"{path}: row {number} has more cells than there are columns; correct it.")
    present = {
        key: value
        for key, value in values.items()
        if value not in (None, "") and not (isinstance(value, float) and math.isnan(value))
    }
    try:
        return _Row.model_validate(present)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        column = str(first["loc"][0])
        mend = "fill it in or correct it"
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(column, list(_Row.model_fields), 1)
            mend = f"did you mean {near[0]!r}?" if near else "remove that column"
        raise InputError(
            f"{path}: row {number}, column {column!r}: {first['msg']}; {mend}."
        ) from error
