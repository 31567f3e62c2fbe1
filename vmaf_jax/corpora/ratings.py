"""Raw votes of a subjective test: who gave which clip what, long or wide.

Long: columns `clip, subject, score`, a row a vote; a pair may recur. Wide: `clip` and a column a
subject; an empty cell is no vote, and columns that summarise or number rows (`mean`, `std`, `id`)
are no subjects. Scores are on the voters' scale.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic

from vmaf_jax.corpora.numbers import Number, read_number, show
from vmaf_jax.corpora.records import parse_record, read_records
from vmaf_jax.errors import InputError

Votes = dict[str, list[float]]  # a clip's votes by subject
_LONG = {"clip", "subject", "score"}
_NO_SUBJECT = re.compile(
    r"source|experiment|content|n_frames|log|id|index|unnamed: \d+|mos|dmos|mos_ci95|ci|ci95|"
    r"mean|average|avg|median|n|count|std|sd|stdev|stddev|sem|var|variance|min|max",
    re.IGNORECASE,
)


class _Vote(pydantic.BaseModel, frozen=True, extra="ignore", str_strip_whitespace=True):
    clip: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    subject: str = pydantic.Field(min_length=1, coerce_numbers_to_str=True)
    score: Number


def read_ratings(path: Path) -> dict[str, Votes]:
    """The votes of each clip by subject, from CSV, JSON Lines or Parquet.

    Raises:
        InputError: a file or row that cannot be, no vote, or in a wide file a clip that recurs.
    """
    rows = list(read_records(path, "file of ratings"))
    if not rows:
        raise InputError(f"{path}: holds no vote; add rows.")
    columns = list(rows[0]) if isinstance(rows[0], dict) else []
    if "clip" not in columns:
        raise InputError(
            f"{path}: column 'clip' is missing; ratings are `clip, subject, score`, or `clip` and "
            f"a column for each subject."
        )
    return _long(rows, path) if set(columns) >= _LONG else _wide(rows, path)


def _long(rows: list[Any], path: Path) -> dict[str, Votes]:
    ratings: dict[str, Votes] = {}
    for number, values in enumerate(rows, 1):
        vote = parse_record(_Vote, path, number, values)
        ratings.setdefault(vote.clip, {}).setdefault(vote.subject, []).append(vote.score)
    return ratings


def _wide(rows: list[Any], path: Path) -> dict[str, Votes]:
    ratings: dict[str, Votes] = {}
    for number, values in enumerate(rows, 1):
        if not isinstance(values, dict):
            raise InputError(f"{path}: row {number} is no record; correct it.")
        clip = str(values.get("clip") or "").strip()
        if not clip or clip in ratings:
            raise InputError(
                f"{path}: row {number}, clip {clip!r}: in a wide file each clip has one row with "
                f"its name; for repeated votes use `clip, subject, score`."
            )
        cells = {k: v for k, v in values.items() if k != "clip" and not _NO_SUBJECT.fullmatch(k)}
        votes = check_votes(cells, f"{path}: row {number}")
        if "" in votes:
            raise InputError(
                f"{path}: row {number}: a column without a name has votes; name its subject, or "
                f"drop it."
            )
        if not votes:
            raise InputError(f"{path}: row {number}: nobody voted on {clip!r}; drop the row.")
        ratings[clip] = votes
    return ratings


def check_votes(cells: Mapping[Any, Any], where: str) -> Votes:
    """Votes by subject out of cells by subject; empty ones and NaN are no votes.

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
                    f"{where}, subject {str(subject)[:40]!r}: {show(value)} is no vote; expected a "
                    f"number, or an empty cell for none."
                ) from error
        if scores:
            votes[str(subject)] = scores
    return votes


def _is_empty(value: object) -> bool:
    """Whether a cell holds no vote: nothing, blanks, or NaN as a number or as text."""
    if isinstance(value, str):
        return value.strip().lower() in ("", "nan")
    return value is None or (isinstance(value, float) and value != value)
