"""Features measured elsewhere: logs of libvmaf, tables of frames, and lists of their clips.

Tables have the columns `clip`, `frame` and the features; lists are CSV, JSON Lines or Parquet.
ffmpeg, `vmaf`, vmafossexec, libvmaf's Python package and others write logs.

A file's name says little: libvmaf 1 writes XML where CSV is requested. What differs between the
programs are the names of features. Today's integer extractors log `integer_adm2`, the float ones
and every libvmaf before 2.0 log `adm2`, the Python package `VMAF_integer_feature_adm2_score`; an
option that changes a feature is part of its name (`integer_adm2_egl_1`: enhancement gain limit 1,
of the NEG models). libvmaf writes no digit for a value that it does not have: CSV rows are then
shorter, JSON has null or a bare `nan`, which is no JSON; such values are refused where they are
needed. Source: libvmaf's `src/output.c` and `src/feature/alias.c`.
"""

import collections
import csv
import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pydantic

from vmaf_jax.corpora.records import (
    CsvFormat,
    Number,
    Row,
    Whole,
    check_listed,
    check_size,
    decode,
    encoding_of,
    parse_record,
    read_csv_format,
    read_csv_rows,
    read_number,
    read_records,
    read_whole,
    show,
)
from vmaf_jax.corpora.votes import OpinionColumns, at_distance
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import unique_keys
from vmaf_jax.tables.reading import coded_text_column, missing_column, number_column, read_parquet
from vmaf_jax.tables.table import MAX_DISTANCE, METADATA_KEY

MAX_BYTES = 512 * 2**20
Frames = list[tuple[object, Mapping[str, object]]]  # number of each frame, and its values by name
# Prefix and suffix of names of the integer extractors, and of the float ones.
_INTEGER_NAMES = (("integer_", ""), ("VMAF_integer_feature_", "_score"))
_FLOAT_NAMES = (("", ""), ("VMAF_feature_", "_score"))
_FRAME_COLUMNS = ("Frame", "frame", "frameNum", "n")
_SUBTITLE = re.compile(r"\{[0-9]+\}\{[0-9]+\}frame: ([0-9]+)\|((?:.*\|)?)")  # one cut has no end
# Values that libvmaf logs and JSON does not have, and commas after a last entry. Texts are matched
# too, so that what stands in them is left alone.
_NO_JSON = re.compile(
    r'("(?:[^"\\]|\\.)*")|[-+]?\b(?:nan(?:\(\w*\))?|inf(?:inity)?|1\.#\w+)|,(?=\s*[}\]])', re.I
)
MAX_FRAMES_BYTES = 4 * 2**30
_MAX_FRAMES = 50_000_000
_MAX_NAME = 1024  # characters
_MAX_LINE = 2**16


@dataclasses.dataclass(frozen=True)
class FeatureLog:
    """Features of one feature set that a log holds.

    Attributes:
        features: `[frames, features]`, in the order of the log's frames.
        version: libvmaf's, as the log names it; None where it does not.
    """

    features: npt.NDArray[np.float64]
    version: str | None

    @property
    def is_of_libvmaf_1(self) -> bool:
        """Whether libvmaf 1 wrote it, to which ffmpeg's filter gave 10-bit samples unscaled."""
        return self.version is not None and bool(re.match(r"v?[01]\.", self.version))


def read_log(path: Path, feature_set: FeatureSet, *, bit_depth: int | None = None) -> FeatureLog:
    """Reads the features of every frame that a log has.

    Args:
        path: JSON, XML, CSV or libvmaf's `sub`, whatever its name ends in.
        feature_set: which; those of a NEG set are the ones logged with a gain limit of 1.
        bit_depth: of the videos that were measured, if it is known.

    Raises:
        InputError: missing, too large, not such a log, a feature it does not have, a frame that is
            missing, comes twice or lacks a value, a value that no such feature can have, or over 8
            bits measured by libvmaf 1.
    """
    check_size(path, MAX_BYTES, "log")
    try:
        version, frames = _read_any(path)
    # LookupError: an XML declaration names an encoding that Python does not have.
    except (OSError, ValueError, LookupError, RecursionError, csv.Error, expat.ExpatError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not readable ({error}); log again.") from error
    if not frames:
        raise InputError(f"{path}: holds no frame of a libvmaf log; log again.")
    numbers = [_frame_number(number, path) for number, _ in frames]
    check_numbers(np.array(numbers, dtype=np.float64), str(path))
    names = [_logged_name(key, frames[0][1], feature_set, path) for key in feature_set.libvmaf_keys]
    values = [
        [_value(frame, name, k, path) for name in names] for k, (_, frame) in enumerate(frames)
    ]
    log = FeatureLog(np.array(values, dtype=np.float64), version)
    if log.is_of_libvmaf_1 and bit_depth is not None and bit_depth > 8:
        raise InputError(
            f"{path}: libvmaf {version} measured {bit_depth} bits, for which ffmpeg's filter of "
            f"that age gives motion2 four times too large and VIF too low; log again with libvmaf "
            f"2 or newer (docs/traps.md)."
        )
    check_possible(log.features, feature_set, str(path))
    return log


def check_numbers(numbers: npt.NDArray[np.float64], where: str) -> None:
    """Raises InputError, beginning with `where`, unless frames count up by one from 0 or 1."""
    expected = np.arange(len(numbers)) + (numbers[0] == 1)
    if (odd := np.flatnonzero(numbers != expected)).size:
        k = odd[0]
        before = f"after frame {numbers[k - 1]:g}" if k else "at the start"
        raise InputError(
            f"{where}: frame {numbers[k]:g} stands {before}, expected {expected[k]}; frames are "
            f"missing or mixed up, measure every frame (no n_subsample; docs/traps.md)."
        )


def check_possible(features: npt.NDArray[np.float64], feature_set: FeatureSet, where: str) -> None:
    """Raises InputError, beginning with `where`, for a value that no pair of videos can have."""
    for k, (name, (low, high)) in enumerate(feature_set.possible.items()):
        column = features[:, k]
        if (beyond := np.flatnonzero((column < low) | (column > high))).size:
            frame = beyond[0]
            raise InputError(
                f"{where}: frame {frame} has the {name} {column[frame]:g}, which can be {low:g} to "
                f"{high:g}; check what wrote it, and measure again."
            )


def _read_any(path: Path) -> tuple[str | None, Frames]:
    """Returns libvmaf's version, if it is said, and the frames, read as the first bytes show."""
    with path.open("rb") as file:
        content = file.read(4096)
    start = content.decode(encoding_of(content), errors="ignore").lstrip()
    if start.startswith("<"):
        return _read_xml(path)
    if re.match(r"\{[0-9]+\}\{", start):
        return None, _read_subtitle(path)
    if start.startswith(("{", "[")):
        return _read_json(path)
    return None, _read_csv(path)


def _read_json(path: Path) -> tuple[str | None, Frames]:
    text = decode(path.read_bytes())
    try:
        document = json.loads(text, object_pairs_hook=unique_keys)
    except json.JSONDecodeError:
        document = json.loads(
            _NO_JSON.sub(lambda match: match[1] or ("" if match[0] == "," else "null"), text),
            object_pairs_hook=unique_keys,
        )
    values = document if isinstance(document, dict) else {}
    frames = values.get("frames")
    if frames is None and isinstance(values.get("vmaf"), list):
        frames = values["vmaf"]  # of ffmpeg-quality-metrics
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        held = ", ".join(map(str, values))[:80]
        has = f"it has {held}" if held else "no object"
        raise InputError(f"{path}: no log of libvmaf's (no list of frames; {has}); log again.")
    rows = [
        (frame.get("frameNum", frame.get("n")), frame.get("metrics", frame)) for frame in frames
    ]
    if not all(isinstance(metrics, dict) for _, metrics in rows):
        raise InputError(f"{path}: a frame's metrics are no object of names and values; log again.")
    version = values.get("version")
    return (version if isinstance(version, str) else None), rows


def _read_xml(path: Path) -> tuple[str | None, Frames]:
    rows: Frames = []
    versions: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "frame":
            rows.append((attributes.get("frameNum"), attributes))
        elif name == "VMAF" and "version" in attributes:
            versions.append(attributes["version"])

    def refuse(*_: object) -> None:
        raise InputError(f"{path}: declares a document type, which no log does; log again.")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.StartDoctypeDeclHandler = refuse  # no entities, so nothing expands
    with path.open("rb") as file:
        parser.ParseFile(file)
    return next(iter(versions), None), rows


def _read_subtitle(path: Path) -> Frames:
    """Reads the log format `sub`, of lines `{0}{1}frame: 0|integer_adm2: 0.962084|`."""
    rows: Frames = []
    for line in decode(path.read_bytes()).split("\n"):
        if not line.strip():
            continue
        if (match := _SUBTITLE.fullmatch(line.strip())) is None:
            raise InputError(
                f"{path}: line {len(rows) + 1} is cut, or none of libvmaf's; log again."
            )
        cells = [cell.partition(": ") for cell in match[2].split("|") if cell]
        rows.append((match[1], unique_keys([(name, value) for name, _, value in cells])))
        if len(rows[-1][1]) < len(rows[0][1]):
            raise InputError(
                f"{path}: frame {match[1]} has {len(rows[-1][1])} values, the first has "
                f"{len(rows[0][1])}; values are missing, log again, best as JSON."
            )
    return rows


def _read_csv(path: Path) -> Frames:
    form = read_csv_format(path)
    number = next((name for name in _FRAME_COLUMNS if name in form.columns), None)
    if number is None:
        raise InputError(
            f"{path}: no log of libvmaf's (JSON, XML or CSV with a column Frame; its first line "
            f"begins with {show(', '.join(form.columns))})."
        )
    rows: Frames = []
    at = form.columns.index(number)
    for line in read_csv_rows(path, form):
        if len(line) != len(form.columns):
            raise InputError(
                f"{path}: frame {line[at] if at < len(line) else ''} has {len(line)} cells for "
                f"{len(form.columns)} columns, so values are missing; log again, best as JSON."
            )
        rows.append((line[at], dict(zip(form.columns, line, strict=True))))
    return rows


def _frame_number(value: object, path: Path) -> int:
    try:
        number = read_whole(value)
    except ValueError:
        number = -1
    if not 0 <= number < 2**31:
        raise InputError(f"{path}: frame number {show(value)}: expected 0, 1, ...; log again.")
    return number


def _logged_name(key: str, frame: Mapping[str, object], feature_set: FeatureSet, path: Path) -> str:
    """Returns the name under which a log has the feature that libvmaf's JSON calls `key`."""
    stem = key.removeprefix("integer_")
    stems = (stem,) if "_egl_" in stem else (stem, f"{stem}_egl_100")
    # Logs of libvmaf 1 have the integer features' values under the float names.
    styles = (*_INTEGER_NAMES, *_FLOAT_NAMES) if key.startswith("integer_") else _FLOAT_NAMES
    for prefix, suffix in styles:
        for variant in stems:
            if (name := prefix + variant + suffix) in frame:
                return name
    base = stem.removesuffix("_egl_1")
    near = sorted(name for name in frame if re.search(rf"(^|_){base}(_|$)", name))
    mend = f"it has {', '.join(near)[:200]}" if near else "log features and no scores alone"
    if any(name.removesuffix("_score").endswith("_egl_1") for name in near):
        mend += "; NEG features are read with --features vmaf_neg"
    raise InputError(f"{path}: has no {base} of the feature set {feature_set.name}; {mend}.")


def _value(frame: Mapping[str, object], name: str, k: int, path: Path) -> float:
    value = frame.get(name)
    try:
        return read_number(value)
    except ValueError as error:
        raise InputError(
            f"{path}: frame {k} has no {name} ({str(value)[:20]}), expected a number; log again."
        ) from error


def read_frames(path: Path, feature_set: FeatureSet) -> dict[str, npt.NDArray[np.float64]]:
    """Reads the features of each clip, `[frames, features]`, by its name, in the file's order.

    Raises:
        InputError: missing, of another kind, too large or broken; a column that is missing or of
            another type; a value that is missing or not finite; a clip whose rows are apart, or
            whose frames do not count up by one.
    """
    names = ["clip", "frame", *feature_set]
    check_size(path, MAX_FRAMES_BYTES, "file of frames")
    try:
        match path.suffix.lower():
            case ".parquet":
                arrow = read_parquet(path, columns=names, max_rows=_MAX_FRAMES)
            case ".csv" | ".tsv" | ".txt":
                arrow = _read_frames_csv(path, names)
            case _:
                raise InputError(f"{path}: unknown kind; expected .parquet, .csv or .tsv.")
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        if isinstance(error, InputError):
            raise
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable ({reason}); check the file.") from error
    _check_origin(arrow, feature_set, path)
    if arrow.num_rows == 0:
        raise InputError(f"{path}: holds no frame; add rows.")
    frame = number_column(arrow, path, "frame")
    features = np.stack([number_column(arrow, path, name) for name in feature_set], axis=1)
    clips = {}
    for name, rows in _rows_by_clip(arrow, path).items():
        check_numbers(frame[rows], f"{path}: clip {name!r}")
        check_possible(features[rows], feature_set, f"{path}: clip {name!r}")
        clips[name] = features[rows]
    return clips


def _read_frames_csv(path: Path, names: list[str]) -> pa.Table:
    """Reads columns of a CSV file, with the types that they must have."""
    types = {name: pa.float64() for name in names} | {"clip": pa.string()}
    form = read_csv_format(path)
    if missing := [name for name in names if name not in form.columns]:
        raise missing_column(path, missing[0], form.columns)
    if form.encoding != "utf-8-sig":
        raise InputError(f"{path}: is {form.encoding}; save it as UTF-8.")
    # Blank names, as of a trailing delimiter, are told apart by number; Arrow wants them unique.
    columns = [name or f"\0{k}" for k, name in enumerate(form.columns)]
    options = pyarrow.csv.ConvertOptions(
        include_columns=names,
        column_types=types,
        strings_can_be_null=True,
        null_values=[""],
        decimal_point="," if _has_decimal_commas(path, form) else ".",
    )
    try:
        return pyarrow.csv.read_csv(
            path,
            read_options=pyarrow.csv.ReadOptions(column_names=columns, skip_rows=form.rows_from),
            parse_options=pyarrow.csv.ParseOptions(delimiter=form.delimiter),
            convert_options=options,
        )
    except pa.ArrowInvalid as error:
        if (column := re.match(r"In CSV column #(\d+): (.*)", str(error))) is None:
            raise
        name = form.columns[int(column[1])]
        raise ValueError(f"column {name!r}: {column[2]}") from error


def _has_decimal_commas(path: Path, form: CsvFormat) -> bool:
    """Returns whether the first row's numbers have decimal commas; Arrow refuses a mixture."""
    if form.delimiter == ",":
        return False
    with path.open(newline="", encoding=form.encoding) as file:
        line = [file.readline(_MAX_LINE) for _ in range(form.rows_from + 1)][-1]
    cells = next(csv.reader([line], delimiter=form.delimiter), [])
    named = zip(form.columns, cells, strict=False)
    return any(re.search(r"[0-9],[0-9]", cell) for name, cell in named if name != "clip")


def _check_origin(arrow: pa.Table, feature_set: FeatureSet, path: Path) -> None:
    """Refuses a feature table of another feature set, whose columns may have the same names."""
    if METADATA_KEY not in (arrow.schema.metadata or {}):
        return
    try:
        origin = json.loads(arrow.schema.metadata[METADATA_KEY])["feature_set"]
    except (KeyError, TypeError, ValueError, RecursionError):
        origin = None
    if origin != feature_set.name:
        raise InputError(
            f"{path}: a table of the feature set {str(origin)[:40]}, not {feature_set.name}; pass "
            f"--features of that name."
        )


def _rows_by_clip(arrow: pa.Table, path: Path) -> dict[str, slice]:
    """Returns the rows of each clip by its name, in order."""
    names, codes = coded_text_column(arrow, path, "clip")
    if max(map(len, names)) > _MAX_NAME:
        raise InputError(f"{path}: a clip's name has over {_MAX_NAME} characters; shorten it.")
    starts = np.flatnonzero(np.r_[True, codes[1:] != codes[:-1]])
    clips: dict[str, slice] = {}
    for start, end in zip(starts, np.r_[starts[1:], len(codes)], strict=True):
        if (name := names[codes[start]]) in clips:
            raise InputError(
                f"{path}: the rows of clip {name!r} are not together; sort by clip and frame."
            )
        clips[name] = slice(start, end)
    return clips


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
