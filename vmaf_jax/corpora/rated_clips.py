"""Votes on some clips of a table: raw, `clip, subject, vote`, or means, `clip, mos, mos_ci95`.

Both are on the voters' scale. The doubt of a mean follows from its interval, or from its votes:
their variance within clips, pooled over all clips (with few votes one clip's own says little),
over the clip's number of votes.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydantic
import scipy.special

from vmaf_jax.corpora.numbers import Number
from vmaf_jax.corpora.records import parse_record, read_records
from vmaf_jax.corpora.votes import OpinionColumns
from vmaf_jax.errors import InputError
from vmaf_jax.tables.opinions import LabelScale, check_scale

_Z95 = float(scipy.special.ndtri(0.975))
# One viewer's votes on one clip scatter by so much of the scale; it counts as so many votes do.
_SPREAD, _SPREAD_VOTES = 0.17, 10


class _Row(OpinionColumns, frozen=True, extra="ignore"):
    clip: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    subject: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    vote: Number | None = None


@dataclasses.dataclass(frozen=True)
class RatedClip:
    """The mean vote on a clip, on the voters' scale.

    Attributes:
        clip: Its name.
        mos: Mean vote.
        variance: Of that mean, above 0; None where the file does not tell.
        viewers: How many voted; None where the file does not tell.
    """

    clip: str
    mos: float
    variance: float | None = None
    viewers: int | None = None


def read_rated_clips(path: Path, scale: LabelScale) -> list[RatedClip]:
    """Reads the votes on clips from CSV, JSON Lines or Parquet.

    Args:
        scale: The worst and the best vote.

    Raises:
        InputError: A file or row that cannot be, no vote, one viewer, votes beyond the scale or on
            another one, votes that are all the same, or a clip with two means.
    """
    rows = [
        parse_record(_Row, path, number, values)
        for number, values in enumerate(read_records(path, "file of votes"), 1)
    ]
    if not rows:
        raise InputError(f"{path}: holds no vote; add rows.")
    _check_scales(rows, scale, path)
    if all(row.vote is not None for row in rows):
        return _pool_votes(rows, scale, path)
    if any(row.vote is not None for row in rows) or any(row.mos is None for row in rows):
        raise InputError(
            f"{path}: votes are `clip, subject, vote` in every row, or `clip, mos, mos_ci95`; fill "
            f"in the columns of one of the two."
        )
    return _read_means(rows, scale, path)


def _check_scales(rows: Sequence[_Row], scale: LabelScale, path: Path) -> None:
    for number, row in enumerate(rows, 1):
        if row.label_scale is not None and check_scale(row.label_scale, str(path)) != scale:
            raise InputError(
                f"{path}: row {number} is on the scale {row.label_scale[0]:g} to "
                f"{row.label_scale[1]:g}, the others on {scale[0]:g} to {scale[1]:g}; bring all "
                f"votes to one scale."
            )
        value = row.mos if row.vote is None else row.vote
        if value is not None and not scale[0] <= value <= scale[1]:
            name = "mos" if row.vote is None else "vote"
            raise InputError(
                f"{path}: row {number}, column {name!r}: {value:g} is outside the label scale, "
                f"{scale[0]:g} to {scale[1]:g}; correct it, or state the scale with --label-scale."
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
        rated[row.clip] = RatedClip(row.clip, row.mos, variance)
    values = [clip.mos for clip in rated.values()]
    if len(values) > 2 and len(set(values)) == 1:  # two means may well be equal
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
    votes: dict[str, list[float]] = {}
    for row in rows:
        votes.setdefault(row.clip, []).append(float(row.vote or 0.0))
    if len(rows) > 2 and len({row.vote for row in rows}) == 1:
        raise _all_equal(path, len(rows), float(rows[0].vote or 0.0))
    typical = np.square(_SPREAD * (scale[1] - scale[0]))
    squares = sum(len(group) * float(np.var(group)) for group in votes.values())
    freedom = len(rows) - len(votes)
    spread = float((squares + _SPREAD_VOTES * typical) / (freedom + _SPREAD_VOTES))
    return [
        RatedClip(clip, float(np.mean(group)), spread / len(group), len(group))
        for clip, group in votes.items()
    ]


def _all_equal(path: Path, count: int, value: float) -> InputError:
    return InputError(
        f"{path}: all {count} rows say {value:g}, so that they show no difference between clips; "
        f"check them."
    )
