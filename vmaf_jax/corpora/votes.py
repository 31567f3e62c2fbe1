"""Opinion scores and raw votes of subjective tests, read from files and put on the scale 0-100.

Long: columns `clip, subject, vote` (or `score`), a row a vote; a pair may recur. With a column
`distance`, votes are on the clip at that distance, as a list of clips has it. Wide: `clip` and a
column a subject; an empty cell is no vote, and columns that summarise or number rows (`mean`,
`std`, `id`) are no subjects. Scores are on the voters' scale.

MOS and intervals are read on the scale that people voted on, which is stated (`label_scale`), by a
flag, a setting or a column, and mapped linearly. A file of small numbers without a stated scale is
refused: 1 to 5 would pass as very bad quality on 0 to 100.

Votes on some clips of a table, which calibrate a model, are raw or means, `clip, mos, mos_ci95`,
and stay on the voters' scale. The doubt of a mean follows from its interval, or from its votes:
their variance within clips, pooled over all clips (with few votes one clip's own says little), over
the clip's number of votes.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import numpy.typing as npt
import pydantic
import scipy.special

from vmaf_jax.corpora.records import Number, parse_record, read_number, read_records, show
from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import (
    MAX_DISTANCE,
    MOS_RANGE,
    LabelScale,
    check_scale,
    to_hundred,
    width_to_hundred,
)

Votes = dict[str, list[float]]  # a clip's votes by subject
_LONG = ({"clip", "subject", "score"}, {"clip", "subject", "vote"})
_NO_SUBJECT = re.compile(
    r"source|experiment|content|distance|n_frames|log|id|index|unnamed: \d+|mos|dmos|"
    r"mos_ci95|ci|ci95|mean|average|avg|median|n|count|std|sd|stdev|stddev|sem|var|variance|min|max",
    re.IGNORECASE,
)
_Z95 = float(scipy.special.ndtri(0.975))
# One viewer's votes on one clip scatter by so much of the scale; it counts as so many votes do.
_SPREAD, _SPREAD_VOTES = 0.17, 10


class VoteRows(NamedTuple):
    """Votes, a row each.

    Attributes:
        clip, subject: Number of each vote's clip and subject, from 0 without gaps, `[n]`.
        score: The votes, on the voters' scale, `[n]`.
        names: Of the subjects, by number.
    """

    clip: npt.NDArray[np.int64]
    subject: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    names: list[str]


def vote_rows(votes: Sequence[Mapping[str, Sequence[float]]]) -> VoteRows:
    """Returns the votes of clips by subject as rows; subjects are numbered as they appear."""
    numbers: dict[str, int] = {}
    rows = [
        (k, numbers.setdefault(subject, len(numbers)), score)
        for k, by_subject in enumerate(votes)
        for subject, scores in by_subject.items()
        for score in scores
    ]
    clip, subject, score = zip(*rows, strict=True)
    return VoteRows(np.array(clip), np.array(subject), np.array(score, np.float64), list(numbers))


class _Vote(pydantic.BaseModel, frozen=True, extra="ignore", str_strip_whitespace=True):
    clip: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    subject: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    score: Number = pydantic.Field(validation_alias=pydantic.AliasChoices("score", "vote"))
    distance: Number | None = pydantic.Field(default=None, gt=0, le=MAX_DISTANCE)


def read_ratings(path: Path) -> dict[str, Votes]:
    """Reads the votes of each clip by subject, from CSV, JSON Lines or Parquet.

    Raises:
        InputError: a file or row that cannot be, no vote, or in a wide file a clip that recurs.
    """
    rows = list(read_records(path, "file of ratings"))
    if not rows:
        raise InputError(f"{path}: holds no vote; add rows.")
    columns = list(rows[0]) if isinstance(rows[0], dict) else []
    if "clip" not in columns:
        raise InputError(
            f"{path}: column 'clip' is missing; ratings are `clip, subject, vote`, or `clip` and "
            f"a column for each subject."
        )
    is_long = any(set(columns) >= names for names in _LONG)
    return _read_long(rows, path) if is_long else _read_wide(rows, path)


def at_distance(name: str, distance: float) -> str:
    """Returns the name of a clip that is rated at several distances, at one of them."""
    return f"{name}@{distance:g}H"


def _read_long(rows: list[object], path: Path) -> dict[str, Votes]:
    ratings: dict[str, Votes] = {}
    for number, values in enumerate(rows, 1):
        vote = parse_record(_Vote, path, number, values)
        name = vote.clip if vote.distance is None else at_distance(vote.clip, vote.distance)
        ratings.setdefault(name, {}).setdefault(vote.subject, []).append(vote.score)
    return ratings


def _read_wide(rows: list[object], path: Path) -> dict[str, Votes]:
    ratings: dict[str, Votes] = {}
    for number, values in enumerate(rows, 1):
        if not isinstance(values, dict):
            raise InputError(f"{path}: row {number} is no record; correct it.")
        clip = str(values.get("clip") or "").strip()
        if not clip or clip in ratings:
            raise InputError(
                f"{path}: row {number}, clip {clip!r}: in a wide file each clip has one row with "
                f"its name; for repeated votes use `clip, subject, vote`."
            )
        cells = {k: v for k, v in values.items() if k != "clip" and not _NO_SUBJECT.fullmatch(k)}
        votes = check_votes(cells, f"{path}: row {number}")
        if "" in votes:
            raise InputError(
                f"{path}: row {number}: a column without a name has votes; name its subject, or "
                f"drop it."
            )
        if not votes:
            raise InputError(f"{path}: row {number}: {clip!r} has no votes; drop the row.")
        ratings[clip] = votes
    return ratings


def check_votes(cells: Mapping[str, object], where: str) -> Votes:
    """Returns votes by subject out of cells by subject; empty ones and NaN are no votes.

    Raises:
        InputError: a cell is no number; the message begins with `where`.
    """
    votes: Votes = {}
    for subject, cell in cells.items():
        scores = []
        for value in cell if isinstance(cell, (list, tuple)) else [cell]:
            if _is_empty(value):
                continue
            try:
                scores.append(read_number(value))
            except ValueError as error:
                raise InputError(
                    f"{where}, subject {subject[:40]!r}: {show(value)} is no vote; expected a "
                    f"number, or an empty cell for none."
                ) from error
        if scores:
            votes[subject] = scores
    return votes


def _is_empty(value: object) -> bool:
    """Returns whether a cell holds no vote: nothing, blanks, or NaN as a number or as text."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and value != value)


_SMALL = 10.0  # no corpus on 0-100 has all its MOS below; those on 1-5, 1-7 and 0-10 have
_CLIPS_TO_TELL = 3  # one or two clips may be as bad as votes below that say


def _split_scale(value: object) -> object:
    """Splits `1 5` or `[1, 5]` into its two numbers."""
    if isinstance(value, str):
        value = value.replace(",", " ").strip("[]() ").split()
    if value is None or (isinstance(value, (list, tuple)) and len(value) == 2):
        return value if value is None else tuple(value)
    raise ValueError(f"expected the worst and the best vote, as 1 5, received {show(value)}")


_Scale = Annotated[tuple[Number, Number] | None, pydantic.BeforeValidator(_split_scale)]


class OpinionColumns(pydantic.BaseModel, frozen=True, str_strip_whitespace=True):
    """Columns of a row that hold an opinion; each is filled in all rows of a file or in none.

    Attributes:
        mos, mos_ci95: mean opinion score, and half-width of its 95 % interval, on `label_scale`.
        experiment: the test whose viewers voted.
        label_scale: the worst and the best vote; one for the file.
    """

    mos: Number | None = None
    mos_ci95: Number | None = pydantic.Field(default=None, ge=0)
    experiment: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    label_scale: _Scale = None


@dataclasses.dataclass(frozen=True)
class Opinion:
    """An opinion on 0-100.

    Attributes:
        mos, mos_ci95: on 0-100, or None.
        experiment: whose viewers, or None.
        label_scale: what it was mapped from; without `mos`, what was declared.
    """

    mos: float | None = None
    mos_ci95: float | None = None
    experiment: str | None = None
    label_scale: LabelScale | None = None


def map_opinions(
    rows: Sequence[OpinionColumns], path: Path, declared: LabelScale | None = None
) -> list[Opinion]:
    """Maps the opinions of a file's rows to 0-100.

    Args:
        rows: on their scale, in the order of the file.
        path: the file, for messages.
        declared: the scale, by default the rows' own `label_scale`, else 0-100.

    Raises:
        InputError: a column that is filled in some rows only, scales that contradict each other, a
            MOS outside the scale, small numbers without a scale, or labels that are all the same.
    """
    for name in ("mos", "mos_ci95", "experiment"):
        missing = [k for k, row in enumerate(rows, 1) if getattr(row, name) is None]
        if missing and len(missing) < len(rows):
            raise InputError(
                f"{path}: {len(missing)} of {len(rows)} rows have no {name}, row {missing[0]} "
                f"first; fill it in or drop the column."
            )
    if not rows or rows[0].mos is None:
        if rows and rows[0].mos_ci95 is not None:
            raise InputError(f"{path}: mos_ci95 without mos; add the scores.")
        return [Opinion(experiment=row.experiment, label_scale=declared) for row in rows]
    mos = np.array([row.mos for row in rows], dtype=np.float64)
    scale = agreed_scale(rows, path, declared, mos.max())
    _check_mos(mos, scale, path)
    mapped = to_hundred(mos, scale).clip(*MOS_RANGE)  # rounding may leave it by an ulp
    widths: Sequence[float | None] = [None] * len(rows)
    if rows[0].mos_ci95 is not None:
        ci95 = np.array([row.mos_ci95 for row in rows], dtype=np.float64)
        if (wide := np.flatnonzero(ci95 > scale[1] - scale[0])).size:
            raise InputError(
                f"{path}: row {wide[0] + 1}, column 'mos_ci95': {ci95[wide[0]]:g} is wider than "
                f"the label scale, {scale[0]:g} to {scale[1]:g}; give half of the interval's width."
            )
        widths = width_to_hundred(ci95, scale).tolist()
    return [
        Opinion(value, width, row.experiment, scale)
        for row, value, width in zip(rows, mapped.tolist(), widths, strict=True)
    ]


def agreed_scale(
    rows: Sequence[OpinionColumns], path: Path, declared: LabelScale | None, highest: float
) -> LabelScale:
    """Returns the scale that is declared, or that the rows state, else 0-100.

    Args:
        highest: the largest score, on the scale.

    Raises:
        InputError: scales that contradict each other, no scale, or none where `highest` is small.
    """
    stated = {row.label_scale for row in rows} | ({declared} if declared else set())
    if declared:
        stated -= {None}
    if len(stated) > 1:
        raise InputError(
            f"{path}: label scales {', '.join(sorted(map(str, stated)))}; state one for all rows."
        )
    (scale,) = stated
    if scale is not None:
        return check_scale(scale, str(path))
    if highest <= _SMALL:
        raise InputError(
            f"{path}: mos is at most {highest:g} and no scale is stated; pass --label-scale 1 5 "
            f"(the worst and the best vote), or --label-scale 0 100 if it is on 0-100."
        )
    return MOS_RANGE


def _check_mos(mos: npt.NDArray[np.float64], scale: LabelScale, path: Path) -> None:
    low, high = scale
    if (beyond := np.flatnonzero((mos < low) | (mos > high))).size:
        raise InputError(
            f"{path}: row {beyond[0] + 1}, column 'mos': {mos[beyond[0]]:g} is outside the label "
            f"scale, {low:g} to {high:g}; correct it or state the scale with --label-scale LO HI."
        )
    if len(mos) > 1 and np.ptp(mos) == 0:
        raise InputError(
            f"{path}: all {len(mos)} rows have the mos {mos[0]:g}; labels that are the same teach "
            f"and show nothing, check them."
        )


def compose(name: str) -> str:
    """Returns a name in the form that is compared: a letter and its accent are one character."""
    return unicodedata.normalize("NFC", name)


class _Row(OpinionColumns, frozen=True, extra="ignore"):
    clip: Annotated[str, pydantic.AfterValidator(compose)] = pydantic.Field(
        min_length=1, coerce_numbers_to_str=True
    )
    subject: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    vote: Number | None = None
    distance: Number | None = pydantic.Field(default=None, gt=0, le=MAX_DISTANCE)


@dataclasses.dataclass(frozen=True)
class RatedClip:
    """The mean vote on a clip, on the voters' scale.

    Attributes:
        clip: Its name.
        mos: Mean vote.
        variance: Of that mean, above 0; None where the file does not tell.
        viewers: How many voted; None where the file does not tell.
        distance: Theirs, picture heights; None where the file does not tell.
    """

    clip: str
    mos: float
    variance: float | None = None
    viewers: int | None = None
    distance: float | None = None


def read_rated_clips(path: Path, scale: LabelScale) -> list[RatedClip]:
    """Reads the votes on clips from CSV, JSON Lines or Parquet.

    Args:
        scale: The worst and the best vote.

    Raises:
        InputError: A file or row that cannot be, no vote, one viewer, votes beyond the scale or
            that must be on another one, votes on three or more clips that are all equal, or a clip
            with two means.
    """
    rows = [
        parse_record(_Row, path, number, values)
        for number, values in enumerate(read_records(path, "file of votes"), 1)
    ]
    if not rows:
        raise InputError(f"{path}: holds no vote; add rows.")
    _check_scales(rows, scale, path)
    if scale[1] > _SMALL and any(row.label_scale is None for row in rows):
        _check_small(rows, scale, path)
    rows = _name_distances(rows)
    if all(row.vote is not None for row in rows):
        return _pool_votes(rows, scale, path)
    if any(row.vote is not None for row in rows) or any(row.mos is None for row in rows):
        raise InputError(
            f"{path}: votes are `clip, subject, vote` in every row, or `clip, mos, mos_ci95`; fill "
            f"in the columns of one of the two."
        )
    return _read_means(rows, scale, path)


def _name_distances(rows: Sequence[_Row]) -> list[_Row]:
    """Returns rows under the names that clips have at a distance, where one has several."""
    seen_from: dict[str, set[float | None]] = {}
    for row in rows:
        seen_from.setdefault(row.clip, set()).add(row.distance)
    if max(map(len, seen_from.values())) < 2:
        return list(rows)
    return [
        row
        if row.distance is None
        else row.model_copy(update={"clip": at_distance(row.clip, row.distance)})
        for row in rows
    ]


def _check_scales(rows: Sequence[_Row], scale: LabelScale, path: Path) -> None:
    for number, row in enumerate(rows, 1):
        if row.label_scale is not None and check_scale(row.label_scale, str(path)) != scale:
            raise InputError(
                f"{path}: row {number} is on the scale {row.label_scale[0]:g} to "
                f"{row.label_scale[1]:g}, the table or --label-scale says {scale[0]:g} to "
                f"{scale[1]:g}; bring all votes to one scale."
            )
        value = row.mos if row.vote is None else row.vote
        if value is not None and not scale[0] <= value <= scale[1]:
            name = "mos" if row.vote is None else "vote"
            raise InputError(
                f"{path}: row {number}, column {name!r}: {value:g} is outside the label scale, "
                f"{scale[0]:g} to {scale[1]:g}; correct it, or state the scale with --label-scale."
            )


def _check_small(rows: Sequence[_Row], scale: LabelScale, path: Path) -> None:
    """Raises InputError where votes, or those of some viewers, look like votes on a small scale."""
    said = f"while the scale is {scale[0]:g} to {scale[1]:g}"
    mend = (
        f"bring all votes to one scale and state it with --label-scale, or say in a column "
        f"label_scale that each is on {scale[0]:g} {scale[1]:g}."
    )
    values = np.array([row.mos if row.vote is None else row.vote for row in rows], np.float64)
    if len({row.clip for row in rows}) >= _CLIPS_TO_TELL and np.nanmax(values) <= _SMALL:
        raise InputError(f"{path}: no vote is above {np.nanmax(values):g}, {said}; {mend}")
    viewers = np.array([row.subject or "" for row in rows], object)
    clips = np.array([row.clip for row in rows], object)
    for viewer in dict.fromkeys(viewers[[row.vote is not None for row in rows]].tolist()):
        own = viewers == viewer
        others = values[~own & np.isin(clips, clips[own])]
        few = len(set(clips[own].tolist())) < _CLIPS_TO_TELL or not len(others)
        if not few and values[own].max() <= _SMALL and np.mean(others) > 3 * _SMALL:
            raise InputError(
                f"{path}: subject {viewer!r} votes {values[own].max():g} at most where others vote "
                f"{np.mean(others):.0f} on average, {said}; {mend}"
            )


def _read_means(rows: Sequence[_Row], scale: LabelScale, path: Path) -> list[RatedClip]:
    rated: dict[str, RatedClip] = {}
    for number, row in enumerate(rows, 1):
        if row.clip in rated:
            raise InputError(f"{path}: row {number}: a second mos of {row.clip!r}; drop one.")
        # An interval of 0 says that all viewers agreed, not that no other would differ.
        variance = (row.mos_ci95 / _Z95) ** 2 if row.mos_ci95 else None
        if row.mos_ci95 is not None and row.mos_ci95 > scale[1] - scale[0]:
            raise InputError(
                f"{path}: row {number}, column 'mos_ci95': {row.mos_ci95:g} is wider than the "
                f"scale, {scale[0]:g} to {scale[1]:g}; give half of the interval's width."
            )
        assert row.mos is not None  # noqa: S101 (read_rated_clips has looked)
        rated[row.clip] = RatedClip(row.clip, row.mos, variance, distance=row.distance)
    values = [clip.mos for clip in rated.values()]
    if len(values) > 2 and len(set(values)) == 1:
        raise _all_equal(path, len(values), values[0])
    return list(rated.values())


def _pool_votes(rows: Sequence[_Row], scale: LabelScale, path: Path) -> list[RatedClip]:
    if missing := [number for number, row in enumerate(rows, 1) if row.subject is None]:
        raise InputError(f"{path}: row {missing[0]}: has no subject; say who voted.")
    if len({row.subject for row in rows}) == 1:
        raise InputError(
            f"{path}: one viewer ({rows[0].subject}), who stands for no other; add the votes of "
            f"more."
        )
    # Who votes twice on a clip is one viewer still, with the mean of both: 20 votes of ten viewers
    # say less than those of twenty.
    repeated: dict[tuple[str, str | None], list[float]] = {}
    for row in rows:
        repeated.setdefault((row.clip, row.subject), []).append(float(row.vote or 0.0))
    votes: dict[str, list[float]] = {}
    for (clip, _), own in repeated.items():
        votes.setdefault(clip, []).append(float(np.mean(own)))
    if len(votes) > 2 and len({row.vote for row in rows}) == 1:  # one or two clips may well agree
        raise _all_equal(path, len(rows), float(rows[0].vote or 0.0))
    typical = np.square(_SPREAD * (scale[1] - scale[0]))
    squares = sum(len(group) * float(np.var(group)) for group in votes.values())
    freedom = len(repeated) - len(votes)
    spread = float((squares + _SPREAD_VOTES * typical) / (freedom + _SPREAD_VOTES))
    distance = {row.clip: row.distance for row in rows}
    return [
        RatedClip(clip, float(np.mean(group)), spread / len(group), len(group), distance[clip])
        for clip, group in votes.items()
    ]


def _all_equal(path: Path, count: int, value: float) -> InputError:
    return InputError(
        f"{path}: all {count} rows say {value:g}, so that they show no difference between clips; "
        f"check them."
    )
