"""Clips of a table as padded arrays: every clip a row of frames, with a mask of the real ones.

Long clips are strided: a limited number of frames is taken, evenly spaced over the clip's length
at `floor(k n / count)`. That spacing is no whole number of frames in general, so it does not fall
into step with encodes that repeat frames.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vmaf_jax.tables.table import FeatureTable


@dataclasses.dataclass(frozen=True)
class PaddedClips:
    """Clips in order of first appearance, `[c]`, with at most `t` frames each.

    Attributes:
        features: float64 `[c, t, d]`, no unit; 0 where there is no frame.
        frames: float32 `[c, t]`, 1 on real frames, which come first, and 0 behind them.
        source, clip: text, `[c]`.
        n_frames: frames of the clip in the table, taken or not; int32 `[c]`.
        labels: float64 `[c]` per label name, the mean over the clip's frames; points, 0-100.
        mos_ci95: half-width of the 95 % interval of `mos`, points, `[c]`, or None.
        experiment: the subjective test, text, `[c]`, or None.
        distance: the viewers', picture heights, `[c]`, or None.
    """

    features: npt.NDArray[np.float64]
    frames: npt.NDArray[np.float32]
    source: npt.NDArray[np.object_]
    clip: npt.NDArray[np.object_]
    n_frames: npt.NDArray[np.int32]
    labels: Mapping[str, npt.NDArray[np.float64]]
    mos_ci95: npt.NDArray[np.float64] | None
    experiment: npt.NDArray[np.object_] | None
    distance: npt.NDArray[np.float64] | None

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
    means = table.mean_pool()  # in the same order
    return PaddedClips(
        features=features,
        frames=frames,
        source=means.source,
        clip=means.clip,
        n_frames=means.index,
        labels=means.labels,
        mos_ci95=means.mos_ci95,
        experiment=means.experiment,
        distance=means.distance,
    )


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
