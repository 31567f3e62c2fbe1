"""What people said of clips: the columns that say it, and their way to 0-100.

MOS and intervals are read on the scale that people voted on, which is stated (`label_scale`), by a
flag, a setting or a column, and mapped linearly. A file of small numbers without a stated scale is
refused: 1 to 5 would pass as very bad quality on 0 to 100.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.corpora.numbers import Number, show
from vmaf_jax.errors import InputError
from vmaf_jax.features.opinions import (
    MOS_RANGE,
    LabelScale,
    check_scale,
    to_hundred,
    width_to_hundred,
)

_SMALL = 10.0  # no corpus on 0-100 has all its MOS below; those on 1-5, 1-7 and 0-10 have


def _scale(value: Any) -> Any:
    """`1 5` or `[1, 5]` as two numbers."""
    if isinstance(value, str):
        value = value.replace(",", " ").strip("[]() ").split()
    if value is None or (isinstance(value, (list, tuple)) and len(value) == 2):
        return value if value is None else tuple(value)
    raise ValueError(f"expected the worst and the best vote, as 1 5, received {show(value)}")


class OpinionColumns(pydantic.BaseModel, frozen=True, str_strip_whitespace=True):
    """The columns of a row that hold an opinion; all optional, all or none of a file's rows.

    Attributes:
        mos, mos_ci95: mean opinion score, and half-width of its 95 % interval, on `label_scale`.
        experiment: the test whose viewers voted.
        label_scale: the worst and the best vote; one for the file.
    """

    mos: Number | None = None
    mos_ci95: Number | None = pydantic.Field(default=None, ge=0)
    experiment: str | None = pydantic.Field(default=None, coerce_numbers_to_str=True)
    label_scale: Annotated[tuple[Number, Number] | None, pydantic.BeforeValidator(_scale)] = None


@dataclasses.dataclass(frozen=True)
class Opinion:
    """An opinion on 0-100.

    Attributes:
        mos, mos_ci95: on 0-100, or None.
        experiment: whose viewers, or None.
        label_scale: what it was mapped from; None where there is no `mos`.
    """

    mos: float | None = None
    mos_ci95: float | None = None
    experiment: str | None = None
    label_scale: LabelScale | None = None


def map_opinions(
    rows: Sequence[OpinionColumns], path: Path, declared: LabelScale | None = None
) -> list[Opinion]:
    """The rows' opinions on 0-100.

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
        return [Opinion(experiment=row.experiment) for row in rows]
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
    """The scale that is declared, or that the rows state, else 0-100.

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
