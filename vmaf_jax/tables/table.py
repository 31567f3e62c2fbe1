"""The feature table: a row per frame or clip, with features, teacher scores and opinion scores.

Columns: `corpus`, `source`, `clip` (text), `frame` (int32) or `n_frames` (int32), the features
(float64, no unit), one column per label (float64, teacher's points or `mos` on 0-100) and, where
people voted, `mos_ci95`, `distance` (float64) and `experiment` (text). Stored as Parquet; the
file's metadata holds the schema version, the backend and its version, the feature set, the scale
that people voted on, and a digest per input. The same rows and metadata give the same bytes. MOS is
mapped to 0-100 linearly: of a 5-point scale [1, 5], 1 to 0 and 5 to 100.

Clips are padded to arrays, a row of frames each, with a mask of the real ones. Of long clips a
limited number of frames is taken, evenly over the clip at `floor(k n / count)`. That spacing is no
whole number of frames in general, so it does not fall into step with encodes that repeat frames.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURE_SETS, FeatureSet
from vmaf_jax.files import atomic_path
from vmaf_jax.printable import format_count

if TYPE_CHECKING:
    import pyarrow as pa  # takes longer to load than a cached score otherwise does

SCHEMA_VERSION = 1
_SHOWN_ROWS = 5  # in a notebook
METADATA_KEY = b"vmaf_jax"
KEYS = ("corpus", "source", "clip")  # that tell clips apart
OPINIONS = ("mos", "mos_ci95", "experiment", "distance")  # of a clip, so equal on its frames
RESERVED_COLUMNS = frozenset(KEYS + OPINIONS).union({"frame", "n_frames"}, *FEATURE_SETS.values())
UNLIMITED = ("ciede2000", "psnr_hvs")  # labels in dB, infinite where two pictures are equal
MOS_RANGE = (0.0, 100.0)
MAX_DISTANCE = 100.0  # picture heights, of any viewer
_MOST_VOTE = 1e9  # of any scale
Codes = npt.NDArray[np.int64]
LabelScale = tuple[float, float]  # the worst and the best vote


@dataclasses.dataclass(frozen=True)
class FeatureTable:
    """Rows of features with their labels.

    Attributes:
        feature_set: names and order of the last axis of `features`.
        corpus, source, clip: text per row, `[n]`.
        index: frame number per row, or the number of frames pooled when `pooled`; int32 `[n]`.
        pooled: whether rows are clip means.
        features: float64 `[n, features]`, no unit.
        labels: float64 `[n]` per label name; teacher's points, or `mos` on 0-100.
        provenance: backend, its version, digests of the inputs, `label_scale`.
        mos_ci95: half-width of the 95 % interval of `mos`, on 0-100, `[n]`; None where unknown.
        experiment: the subjective test whose viewers voted, text `[n]`; None where unknown.
        distance: the viewers', picture heights, `[n]`; None where unknown.
    """

    feature_set: FeatureSet
    corpus: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]
    clip: npt.NDArray[np.object_]
    index: npt.NDArray[np.int32]
    features: npt.NDArray[np.float64]
    labels: Mapping[str, npt.NDArray[np.float64]]
    pooled: bool = False
    provenance: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mos_ci95: npt.NDArray[np.float64] | None = None
    experiment: npt.NDArray[np.object_] | None = None
    distance: npt.NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __repr__(self) -> str:
        rows = format_count(len(self), "clip" if self.pooled else "frame")
        return (
            f"FeatureTable({self.feature_set.name}, {rows} of {format_count(self.n_clips, 'clip')} "
            f"and {format_count(len(self.sources), 'source')}, labels: "
            f"{', '.join(self.labels) or 'none'})"
        )

    @property
    def sources(self) -> list[str]:
        """Distinct sources, sorted."""
        return sorted(set(self.source.tolist()))

    @property
    def n_clips(self) -> int:
        """Number of clips that the rows are of."""
        return len(set(zip(self.corpus, self.source, self.clip, strict=True)))

    @property
    def label_scale(self) -> LabelScale:
        """The worst and the best vote of the scale that people used, mapped to 0-100 in `mos`."""
        low, high = self.provenance.get("label_scale", MOS_RANGE)
        return float(low), float(high)

    def clip_groups(self) -> tuple[list[tuple[str, ...]], npt.NDArray[np.int64]]:
        """Returns clips (corpus, source, clip) by first appearance, and each row's clip, `[n]`."""
        clips, group = combine(self.corpus, self.source, self.clip)
        return [tuple(map(str, names)) for names in clips], group

    def label(self, name: str) -> npt.NDArray[np.float64]:
        """Returns one label column, `[n]`.

        Raises:
            InputError: the table has no such label; the message lists those it has.
        """
        if name not in self.labels:
            names = ", ".join(self.labels) or "none"
            mend = (
                "give the list of clips a mos column and extract or import again"
                if name == "mos"
                else f"extract or import again with --teacher {name}"
            )
            if self.labels:
                mend = f"take one of those (--teacher, --label), or {mend}"
            raise InputError(f"label {name!r} is not in this table (it has: {names}); {mend}.")
        return self.labels[name]

    def take(self, kept: npt.NDArray[np.bool_] | npt.NDArray[np.integer]) -> "FeatureTable":
        """Returns the rows where `kept` is true, `[n]`, or those of these numbers."""
        return dataclasses.replace(
            self,
            corpus=self.corpus[kept],
            source=self.source[kept],
            clip=self.clip[kept],
            index=self.index[kept],
            features=self.features[kept],
            labels={name: column[kept] for name, column in self.labels.items()},
            mos_ci95=None if self.mos_ci95 is None else self.mos_ci95[kept],
            experiment=None if self.experiment is None else self.experiment[kept],
            distance=None if self.distance is None else self.distance[kept],
        )

    def mean_pool(self) -> "FeatureTable":
        """Returns means of features and labels, a row per clip, in order of first appearance."""
        if self.pooled:
            return self
        _, group = self.clip_groups()
        first, count = self.take(first_rows(group)), np.bincount(group)

        def mean(column: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.bincount(group, weights=column) / count

        return dataclasses.replace(
            first,
            index=count.astype(np.int32),
            features=np.stack([mean(column) for column in self.features.T], axis=1),
            labels={
                name: first.labels[name] if name in OPINIONS else mean(column)
                for name, column in self.labels.items()
            },
            pooled=True,
        )

    def to_arrow(self) -> "pa.Table":
        """Returns the table as Arrow, with its metadata."""
        import pyarrow as pa

        columns: dict[str, object] = {
            "corpus": pa.array(self.corpus, pa.string()),
            "source": pa.array(self.source, pa.string()),
            "clip": pa.array(self.clip, pa.string()),
            "n_frames" if self.pooled else "frame": pa.array(self.index, pa.int32()),
        }
        for name, column in zip(self.feature_set, self.features.T, strict=True):
            columns[name] = pa.array(column, pa.float64())
        for name, column in self.labels.items():
            columns[name] = pa.array(column, pa.float64())
        if self.mos_ci95 is not None:
            columns["mos_ci95"] = pa.array(self.mos_ci95, pa.float64())
        if self.experiment is not None:
            columns["experiment"] = pa.array(self.experiment, pa.string())
        if self.distance is not None:
            columns["distance"] = pa.array(self.distance, pa.float64())
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "feature_set": self.feature_set.name,
            "labels": list(self.labels),
            **self.provenance,
        }
        return pa.table(columns).replace_schema_metadata(
            {METADATA_KEY: json.dumps(metadata, sort_keys=True)}  # sorted: the same bytes again
        )

    def to_pandas(self) -> Any:
        """Returns the rows as a pandas data frame.

        Raises:
            InputError: pandas is not installed.
        """
        return to_pandas(self.to_arrow())

    def _repr_html_(self) -> str:
        arrow = self.to_arrow().slice(0, _SHOWN_ROWS)
        rows = [[_cell(value) for value in row.values()] for row in arrow.to_pylist()]
        head = "".join(f"<th>{_cell(name)}</th>" for name in arrow.column_names)
        body = "".join(f"<tr><td>{'</td><td>'.join(row)}</td></tr>" for row in rows)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div><b>{_cell(repr(self))}</b>{table}</div>"

    def write(self, path: Path) -> None:
        """Writes Parquet atomically, with page checksums."""
        import pyarrow.parquet as pq

        arrow = self.to_arrow()
        with atomic_path(path) as temporary:
            # Readers check the sums, so that a damaged page is named instead of trained on.
            pq.write_table(arrow, temporary, compression="zstd", write_page_checksum=True)


def concatenate(tables: Sequence[FeatureTable]) -> FeatureTable:
    """Joins the rows of tables, in order, with the labels that all have and all input digests.

    Raises:
        InputError: no table, or tables of different feature sets, pooling or label scales.
    """
    if not tables:
        raise InputError("no clips: there is nothing to put into a table; name some clips.")
    first = tables[0]
    for other in tables:
        if (other.feature_set, other.pooled) != (first.feature_set, first.pooled):
            raise InputError("tables of different feature sets or pooling cannot be joined.")
    shared = [name for name in first.labels if all(name in table.labels for table in tables)]
    if "mos" in shared and len({table.label_scale for table in tables}) > 1:
        raise InputError("opinion scores of different label scales cannot be joined.")
    inputs: dict[str, str] = {}  # digests of all files, by name, as a run records them
    for table in tables:
        inputs.update(table.provenance.get("inputs", {}))

    def joined(column: Callable[[FeatureTable], np.ndarray]) -> np.ndarray:
        return np.concatenate([column(table) for table in tables])

    def joined_if_all(name: str) -> np.ndarray | None:
        columns = [getattr(table, name) for table in tables]
        return None if any(column is None for column in columns) else np.concatenate(columns)

    return dataclasses.replace(
        first,
        corpus=joined(lambda table: table.corpus),
        source=joined(lambda table: table.source),
        clip=joined(lambda table: table.clip),
        index=joined(lambda table: table.index),
        features=joined(lambda table: table.features),
        labels={n: joined(lambda table, n=n: table.labels[n]) for n in shared},  # type: ignore[misc]
        mos_ci95=joined_if_all("mos_ci95"),
        experiment=joined_if_all("experiment"),
        distance=joined_if_all("distance"),
        provenance={**first.provenance, "inputs": inputs},
    )


def constant_text(value: str, n: int) -> npt.NDArray[np.object_]:
    """Returns `value` repeated, `[n]`, as a text column of one clip's rows."""
    return np.full(n, value, dtype=object)


def to_pandas(arrow: "pa.Table") -> Any:
    """Returns an Arrow table as a pandas data frame.

    Raises:
        InputError: pandas is not installed.
    """
    try:
        return arrow.to_pandas()
    except ImportError as error:
        raise InputError("pandas is not installed; pip install pandas.") from error


def _cell(value: object) -> str:
    """Returns a value as HTML, escaped, and without characters that hide or reverse others."""
    import html  # for notebooks alone

    text = f"{value:.4f}" if isinstance(value, float) else str(value)[:200]
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text))


@dataclasses.dataclass(frozen=True)
class PaddedClips:
    """Clips in order of first appearance, `[c]`, with at most `t` frames each.

    Attributes:
        features: float64 `[c, t, d]`, no unit; 0 where there is no frame.
        frames: float32 `[c, t]`, 1 on real frames, which come first, and 0 behind them.
        means: the clips' means over all of their frames, taken or not, with labels, in this order.
    """

    features: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float32]
    means: FeatureTable

    def __len__(self) -> int:
        return len(self.features)


def pad_clips(table: FeatureTable, most_frames: int | None = None) -> PaddedClips:
    """Pads the clips of a table to one length; those of a table of clip means have one frame each.

    Args:
        most_frames: frames taken of a clip at the most, >= 1; by default all of them.
    """
    rows = rows_by_clip(table)
    strided = [_take_evenly(clip_rows, most_frames) for clip_rows in rows]
    longest = max(len(clip_rows) for clip_rows in strided)
    features = np.zeros((len(rows), longest, len(table.feature_set)))
    frames = np.zeros((len(rows), longest), np.float32)
    for k, clip_rows in enumerate(strided):
        features[k, : len(clip_rows)] = table.features[clip_rows]
        frames[k, : len(clip_rows)] = 1.0
    return PaddedClips(features, frames, table.mean_pool())


def rows_by_clip(table: FeatureTable) -> list[npt.NDArray[np.int64]]:
    """Returns the indices of each clip's rows, frames in order, clips by first appearance."""
    if table.pooled:
        return list(np.arange(len(table))[:, None])
    clips, group = table.clip_groups()
    by_clip = np.lexsort((table.index, group))
    starts = np.searchsorted(group[by_clip], np.arange(1, len(clips)))
    return list(np.split(by_clip, starts))


def _take_evenly(rows: npt.NDArray[np.int64], count: int | None) -> npt.NDArray[np.int64]:
    if count is None or len(rows) <= count:
        return rows
    return rows[np.arange(count) * len(rows) // count]


def encode(names: npt.NDArray[np.object_]) -> tuple[list[str], Codes]:
    """Returns the distinct names in order of appearance, and the number of each row's, `[n]`."""
    # Names stay objects that rows share, 8 bytes a row: NumPy's own text would take four bytes a
    # character and row.
    numbers: dict[str, int] = {}
    number = (numbers.setdefault(name, len(numbers)) for name in names)
    codes = np.fromiter(number, np.int64, len(names))
    return list(numbers), codes


def encode_sorted(names: npt.NDArray[np.object_]) -> tuple[list[str], Codes]:
    """Returns the distinct names, sorted, and the number of each row's, `[n]`."""
    texts, codes = encode(names)
    order = sorted(range(len(texts)), key=texts.__getitem__)
    return [texts[k] for k in order], np.argsort(np.array(order, np.int64))[codes]


def combine(
    *columns: npt.NDArray[np.object_] | npt.NDArray[np.integer],
) -> tuple[list[tuple[object, ...]], Codes]:
    """Returns distinct combinations in order of appearance, and the number of each row's, `[n]`.

    Args:
        columns: names or whole numbers, `[n]` each.
    """
    # One pass over all columns, since ten million rows need 80 MB for each column of numbers.
    numbers: dict[tuple[object, ...], int] = {}
    values = [c if c.dtype == object else c.tolist() for c in columns]
    number = (numbers.setdefault(row, len(numbers)) for row in zip(*values, strict=True))
    codes = np.fromiter(number, np.int64, len(columns[0]))
    return list(numbers), codes


def first_rows(group: Codes) -> Codes:
    """Returns the first row of each group, `[groups]`, numbered by first appearance."""
    # A group begins where the highest number so far rises.
    return np.flatnonzero(np.diff(np.maximum.accumulate(group), prepend=-1))


def check_scale(scale: object, where: str) -> LabelScale:
    """Returns `scale` as two numbers, the worst and the best vote.

    Raises:
        InputError: not two finite numbers that increase; the message begins with `where`.
    """
    pair = scale if isinstance(scale, Sequence) and not isinstance(scale, str) else ()
    if (
        len(pair) != 2
        # By type, since True is an int to `isinstance`.
        or not all(type(end) in (int, float) and abs(end) <= _MOST_VOTE for end in pair)
        or not pair[0] < pair[1]
    ):
        raise InputError(
            f"{where}: label scale {scale!r}: expected two numbers, the worst vote and the best, "
            f"as 1 and 5."
        )
    return float(pair[0]), float(pair[1])


def to_hundred(votes: npt.NDArray[np.float64], scale: LabelScale) -> npt.NDArray[np.float64]:
    """Maps votes on `scale` to points on 0-100, `100 (v - lo) / (hi - lo)`; any shape."""
    low, high = scale
    return 100.0 * (votes - low) / (high - low)


def from_hundred(points: npt.NDArray[np.float64], scale: LabelScale) -> npt.NDArray[np.float64]:
    """Maps points on 0-100 to votes on `scale`, the inverse of `to_hundred`; any shape."""
    low, high = scale
    return low + points / 100.0 * (high - low)


def votes_a_point(scale: LabelScale) -> float:
    """Returns the length of a point of 0-100 on `scale`, votes."""
    return (scale[1] - scale[0]) / 100


def width_to_hundred(widths: npt.NDArray[np.float64], scale: LabelScale) -> npt.NDArray[np.float64]:
    """Maps widths of intervals, or deviations, on `scale` to widths on 0-100; any shape."""
    return 100.0 * widths / (scale[1] - scale[0])


def check_within_clips(
    column: np.ndarray, name: str, clips: Sequence[str], group: npt.NDArray[np.int64], where: str
) -> None:
    """Checks that a label of clips is equal on all frames of a clip.

    Args:
        column: the label per row, `[n]`.
        name: the column's name, for the message.
        clips: the clips' names.
        group: the clip of each row, an index into `clips`, `[n]`.
        where: the file, for the message.

    Raises:
        InputError: it differs within a clip; names the clip, the row and both values.
    """
    _, first = np.unique(group, return_index=True)
    expected = column[first][group]
    if (odd := np.flatnonzero(column != expected)).size:
        row = odd[0]
        raise InputError(
            f"{where}: column {name!r}, row {row} is {column[row]}, earlier rows of its clip "
            f"({clips[group[row]]}) say {expected[row]}; a clip has one, correct it."
        )
