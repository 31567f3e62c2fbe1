"""Opinion scores of a table's clips, and the scale that people voted on.

Tables hold MOS on 0-100; a 5-point scale [1, 5] is mapped to it linearly, 1 to 0 and 5 to 100.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError

MOS_RANGE = (0.0, 100.0)
MAX_DISTANCE = 100.0  # picture heights, of any viewer
LabelScale = tuple[float, float]
_MOST_VOTE = 1e9  # of any scale


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
