"""Clips of a feature table whose features cannot belong to their title or their ladder.

A title is one source in one test. Measurements that are in step have this in common:

- The clips of a reference have the same number of frames, and no two clips the same features.
- At every moment, encodes of different rates differ. Where a pair is out of step or out of place,
  the misalignment sets VIF and not the rate, so a rung above is no better.
- Where the same encodes were made of several titles, a title's features follow from the encodes'
  in other titles by a line a feature (Tukey's one degree of freedom for non-additivity).

Source of the robust weights: Holland and Welsch, "Robust regression using iteratively reweighted
least-squares", 1977 (Cauchy's).
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

OUT_OF_STEP = "out_of_step"
MISALIGNED = "misaligned"
WRONG_REFERENCE = "wrong_reference"
OTHER_LENGTH = "other_length"
DUPLICATE = "duplicate"

_USUAL = 0.4  # share of a reference's clips that must agree on a length
_PARTS = 16  # of a clip, in time
_REPEATS = 5  # frames: encodes of 15 frames/s repeat 4 at 60, and the best of them is in step
_LEAST_CLIPS = 5  # of one reference, for saturation
_GOOD_VIF = 0.95  # above it, encodes of different rates may be alike
_ALIKE = (
    0.6  # logits of VIF; 47 public ladders in step have 1.2 and more, six out of step 0.34 at most
)
_LEAST_LADDER = 20  # clips, for a covariance of five features
_LEAST_RUNGS = 6  # of a title, for its line
_LEAST_SCALE = 0.02  # of residuals, logits
_STEPS = 10  # of reweighting
_FAR = 20.0  # squared distance; five normal residuals are further off once in a thousand
_LEAST_FALL = 0.2  # logits


@dataclasses.dataclass(frozen=True)
class ClipFrames:
    """Frames of numbered clips, one clip after the other.

    Attributes:
        fidelity: Features that are 1 where the pictures are equal, the coarsest last, `[n, k]`.
        motion: The feature that is of the reference alone, `[n]`.
        start, count: First frame and number of frames of each clip, `[c]`.
        source: Number of each clip's source, `[c]`.
        title: Number of its source in its test, `[c]`.
        recipe: Number of its encode, the same in other titles, `[c]`.
    """

    fidelity: Floats
    motion: Floats
    start: Integers
    count: Integers
    source: Integers
    title: Integers
    recipe: Integers

    def members(self) -> list[Integers]:
        """Returns the clips of each title."""
        ends = np.cumsum(np.bincount(self.title))[:-1]
        return np.split(np.argsort(self.title, kind="stable"), ends)


class Fault(NamedTuple):
    """A clip that cannot be what it is said to be.

    Attributes:
        clip: Its number.
        kind: One of the kinds above.
        seen: The figures, for people.
        confidence: That it is so, 0-1.
        other: Number of the clip that it repeats, was exchanged with, or shares a wrong reference
            with; -1 for none.
    """

    clip: int
    kind: str
    seen: str
    confidence: float
    other: int = -1


def length_faults(clips: ClipFrames, reference: Integers) -> list[Fault]:
    """Finds clips that have another number of frames than most of their reference.

    Args:
        reference: Number of each clip's reference, `[c]`; of one that is cut, the cut's.
    """
    faults = []
    for number in np.unique(reference):
        members = np.flatnonzero(reference == number)
        lengths, counts = np.unique(clips.count[members], return_counts=True)
        most = int(counts.max())
        if most < 2 or most < _USUAL * len(members):
            continue
        usual = int(lengths[counts.argmax()])
        for k in members[clips.count[members] != usual]:
            seen = f"{clips.count[k]} frames, where {most} clips of its reference have {usual}"
            faults.append(Fault(int(k), OTHER_LENGTH, seen, 0.6))
    return faults


def duplicate_faults(clips: ClipFrames) -> list[Fault]:
    """Finds clips whose features are those of another clip, frame by frame.

    Tests may share an encode, so clips of one source in two tests may be alike.
    """
    first: dict[bytes, int] = {}
    faults = []
    for k, (start, count) in enumerate(zip(clips.start, clips.count, strict=True)):
        own = clips.fidelity[start : start + count]
        other = first.setdefault(own.tobytes(), k)
        shared = clips.source[k] == clips.source[other] and clips.title[k] != clips.title[other]
        if other == k or shared or np.ptp(own) == 0:  # features of equal pictures are all alike
            continue
        seen = f"all {count} frames have the features of the other clip"
        faults += [Fault(k, DUPLICATE, seen, 0.99, other), Fault(other, DUPLICATE, seen, 0.99, k)]
    return faults


def saturation_faults(clips: ClipFrames, reference: Integers) -> list[Fault]:
    """Finds references whose encodes all have the same low VIF, moment by moment.

    Args:
        reference: Number of each clip's reference, `[c]`; its clips are judged together.
    """
    level = _logit(_best_over_time(clips))
    good = float(_logit(np.array(_GOOD_VIF)))
    faults = []
    for number in np.unique(reference):
        members = np.flatnonzero(reference == number)
        if len(members) < _LEAST_CLIPS:
            continue
        best = level[members].max(0)
        spread = best - np.quantile(level[members], 0.25, axis=0)
        stuck = (best < good) & (spread < _ALIKE)
        if stuck.mean() < 0.5:
            continue
        vif = 1.002 / (1 + np.exp(-best[stuck].mean()))
        seen = (
            f"VIF stays at {vif:.2f} in all {len(members)} encodes of this reference in "
            f"{stuck.mean():.0%} of the time: between rates it differs by "
            f"{np.median(spread[stuck]):.2f} logits"
        )
        faults += [Fault(int(k), OUT_OF_STEP, seen, 0.95) for k in members]
    return faults


def _best_over_time(clips: ClipFrames) -> Floats:
    """Returns the mean over parts of each clip of the best VIF among a few frames, `[c, parts]`."""
    vif = clips.fidelity[:, -1]
    end = np.repeat(clips.start + clips.count, clips.count)
    at = np.arange(len(vif))
    best = vif.copy()
    for ahead in range(1, _REPEATS):
        later = np.minimum(at + ahead, end - 1)
        np.maximum(best, vif[later], out=best)
    parts = min(_PARTS, int(clips.count.min()))
    edges = clips.start[:, None] + clips.count[:, None] * np.arange(parts) // parts
    frames = np.diff(np.c_[edges, clips.start + clips.count], axis=1)
    return np.asarray(np.add.reduceat(best, edges.ravel()).reshape(frames.shape) / frames)


def ladder_faults(clips: ClipFrames, known_bad: npt.NDArray[np.bool_]) -> list[Fault]:
    """Finds clips whose features are worse than their encode gives on other titles.

    A feature's logit of title t and encode e is `a_t + b_t q_e`, with `q_e` the median over the
    other titles and the line of each title fitted robustly. Standardised residuals are compared
    with those of all clips by Mahalanobis's distance; misalignment lowers every feature.

    Args:
        known_bad: Clips that are left out, `[c]`, so that they do not move the lines.
    """
    residual = _ladder_residuals(clips, ~known_bad)
    known = np.flatnonzero(np.isfinite(residual).all(1))
    if len(known) < _LEAST_LADDER:
        return []
    distance = _robust_distance(residual[known])
    faults = []
    for k, square in zip(known, distance, strict=True):
        below = -residual[k]
        if square > _FAR and below.min() > 0 and below.mean() > _LEAST_FALL:
            seen = (
                f"its features lie {below.mean():.2f} logits below what this encode has on other "
                f"titles (squared distance {square:.0f}, limit {_FAR:.0f})"
            )
            faults.append(Fault(int(k), MISALIGNED, seen, float(1 - 0.2 * _FAR / square)))
    return faults


def _ladder_residuals(clips: ClipFrames, used: npt.NDArray[np.bool_]) -> Floats:
    """Returns logits of features less what title and encode predict, `[c, k]`; NaN if unknown."""
    sums = np.add.reduceat(clips.fidelity, clips.start, axis=0)
    level = _logit(sums / clips.count[:, None])
    n_features = level.shape[1]
    residual = np.full(level.shape, np.nan)
    shape = int(clips.title.max()) + 1, int(clips.recipe.max()) + 1, n_features
    table = np.full(shape, np.nan)
    table[clips.title[used], clips.recipe[used]] = level[used]
    present = np.isfinite(table[..., 0])
    for title, members in enumerate(clips.members()):
        shared = np.flatnonzero(present[title] & (present.sum(0) >= 3))
        if len(shared) < _LEAST_RUNGS:
            continue
        usual = np.nanmedian(np.delete(table[:, shared], title, axis=0), axis=0)
        errors = [_line_residuals(usual[:, f], table[title, shared, f]) for f in range(n_features)]
        at = members[used[members] & np.isin(clips.recipe[members], shared)]
        residual[at] = np.stack(errors, axis=1)[np.searchsorted(shared, clips.recipe[at])]
    return residual


def _line_residuals(x: Floats, y: Floats) -> Floats:
    """Returns the residuals of `y` over a robust line on `x`, standardised for their leverage."""
    design = np.stack([np.ones_like(x), x], axis=1)
    weight = np.ones_like(x)
    for _ in range(_STEPS):
        inverse = np.linalg.pinv(design.T @ (weight[:, None] * design))
        error = y - design @ (inverse @ (design.T @ (weight * y)))
        scale = 1.4826 * np.median(np.abs(error)) + _LEAST_SCALE
        weight = 1 / (1 + np.square(error / (2.385 * scale)))
    leverage = weight * np.einsum("ij,jk,ik->i", design, inverse, design)
    return np.asarray(error / np.sqrt(np.maximum(1 - leverage, 0.1)))


def _robust_distance(residual: Floats) -> Floats:
    """Returns squared Mahalanobis distances, by the covariance of the nearest nine tenths."""
    scale = 1.4826 * np.median(np.abs(residual), axis=0) + _LEAST_SCALE
    distance = np.square(residual / scale).sum(1)
    for _ in range(_STEPS):
        near = residual[distance <= np.quantile(distance, 0.9)]
        inverse = np.linalg.pinv(near.T @ near / len(near))
        distance = np.einsum("ci,ij,cj->c", residual, inverse, residual)
    # The trimming does not count where the median is that of chi squared, k - 2/3.
    return np.asarray(distance * (residual.shape[1] - 2 / 3) / max(np.median(distance), 1e-9))


def _logit(share: Floats) -> Floats:
    """Returns the logit of features, which reach from 0 to a little above 1."""
    bounded = np.clip(share, 1e-3, 1.0)
    return np.asarray(np.log(bounded / (1.002 - bounded)))
