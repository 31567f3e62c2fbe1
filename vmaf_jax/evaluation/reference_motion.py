"""References told apart by their motion2, which libvmaf computes of the reference alone.

All clips of a title are measured against one reference, so frame by frame they have one motion2. A
clip whose motion2 is another title's was measured against that title; one whose motion2 is late
was measured against a reference that begins late; one whose motion2 parts from the others' lost or
repeats a frame there, and is out of step from there on if its features fall too.
"""

import itertools

import numpy as np

from vmaf_jax.evaluation.table_faults import (
    MISALIGNED,
    OUT_OF_STEP,
    WRONG_REFERENCE,
    ClipFrames,
    Fault,
    Floats,
    Integers,
)
from vmaf_jax.printable import format_count

_SAME = 5e-3  # of a frame's motion2; releases of libvmaf differ by 4e-4
_LEAST_MOTION = 0.1  # below it, differences count as if motion2 were this
_MAX_LAG = 12  # frames
_MIN_OVERLAP = 8  # frames
_MUCH_LOWER = 0.6  # share of features that a title has against another's reference, at most
_FALL = 0.02  # of adm2, below what the title's other clips do at the same frame


def number_references(clips: ClipFrames) -> Integers:
    """Returns a number for the reference of each clip, the same where motion2 is, `[c]`.

    References of different titles have different numbers; those of a title are numbered from the
    one that most of its clips have, ties by first appearance.
    """
    numbers = np.zeros(len(clips.start), np.int64)
    first = 0
    for title in range(int(clips.title.max()) + 1):
        members = np.flatnonzero(clips.title == title)
        motion = _motion_rows(clips, members)
        group = np.full(len(members), -1)
        while (left := np.flatnonzero(group < 0)).size:
            # The longest, so that a cut clip cannot stand for two references that part after it.
            model = left[np.argmax(clips.count[members[left]])]
            same = _departures(motion[left], motion[model]) == motion.shape[1]
            group[left[same | (left == model)]] = group.max() + 1
        order = np.argsort(-np.bincount(group), kind="stable")
        numbers[members] = first + np.argsort(order)[group]
        first += len(order)
    return numbers


def reference_faults(clips: ClipFrames, reference: Integers) -> list[Fault]:
    """Finds clips of a title that were measured against another reference than most.

    Args:
        reference: As `number_references` gives it.
    """
    leaders = np.flatnonzero(reference == _leader_numbers(clips, reference))
    title_rows = [leaders[clips.title[leaders] == t] for t in range(int(clips.title.max()) + 1)]
    models = [int(row[np.argmax(clips.count[row])]) for row in title_rows]
    faults: list[Fault] = []
    for number in np.unique(np.delete(reference, leaders)):
        members = np.flatnonzero(reference == number)
        title = int(clips.title[members[0]])
        if len(title_rows[title]) < 2:
            continue  # one clip against one: nothing says which is right
        faults += _explain(clips, members, title_rows[title], models[title], models)
    return faults + _shared_references(clips, title_rows, models)


def _shared_references(
    clips: ClipFrames, title_rows: list[Integers], models: list[int]
) -> list[Fault]:
    """Finds titles that were measured, as a whole, against the reference of another source."""
    faults = []
    for one, two in itertools.combinations(range(len(models)), 2):
        pair = np.array([models[one], models[two]])
        if clips.source[pair[0]] == clips.source[pair[1]]:
            continue
        if not _is_same(*_motion_rows(clips, pair)):
            continue
        level = [np.median(_mean_fidelity(clips, title_rows[title])) for title in (one, two)]
        if min(level) > _MUCH_LOWER * max(level):
            continue  # one content under two names, with a ladder of each
        wrong, right = (one, two) if level[0] < level[1] else (two, one)
        seen = (
            f"motion2 of the whole title is that of another title, and its features are lower, "
            f"{min(level):.2f} on average where that title has {max(level):.2f}"
        )
        faults += [
            Fault(int(k), WRONG_REFERENCE, seen, 0.97, models[right]) for k in title_rows[wrong]
        ]
    return faults


def _leader_numbers(clips: ClipFrames, reference: Integers) -> Integers:
    """Returns the number of the reference that most clips of each clip's title have, `[c]`."""
    least = np.full(int(clips.title.max()) + 1, len(reference))
    np.minimum.at(least, clips.title, reference)
    return np.asarray(least[clips.title])


def _explain(
    clips: ClipFrames, members: Integers, leaders: Integers, model: int, models: list[int]
) -> list[Fault]:
    """Says how the reference of `members` differs from that of `leaders`; none if it may."""
    own = int(members[np.argmax(clips.count[members])])
    theirs, ours = _motion_rows(clips, np.array([model, own]))
    for other in models:
        row, mine = _motion_rows(clips, np.array([other, own]))
        if clips.source[other] != clips.source[own] and _is_same(row, mine):
            seen = f"motion2 is that of another title, {_mean(ours)}; its own has {_mean(theirs)}"
            return [Fault(int(k), WRONG_REFERENCE, seen, 0.99, other) for k in members]
    at_rest = _deviation(theirs, ours)
    if not np.isfinite(at_rest):
        return []  # too few frames to tell references apart
    lag, deviation = _best_lag(theirs, ours)
    if lag and deviation < min(_SAME, 0.2 * at_rest):
        when = f"{format_count(abs(lag), 'frame')} {'late' if lag > 0 else 'early'}"
        seen = f"its reference begins {when} by motion2"
        return [Fault(int(k), OUT_OF_STEP, seen, 0.95) for k in members]
    parting = int(_departures(ours[None], theirs)[0])
    if parting >= _MIN_OVERLAP:
        fall = _fall_after(clips, members, parting) - np.median(
            _fall_after(clips, leaders, parting)
        )
        seen = f"its reference parts from the title's at frame {parting}, and adm2 falls by"
        return [
            Fault(int(k), OUT_OF_STEP, f"{seen} {value:.3f} more than theirs", 0.97)
            for k, value in zip(members, fall, strict=True)
            if np.median(fall) > _FALL
        ]
    ratio = ours / np.maximum(theirs, 1e-9)
    middle = float(np.nanmedian(ratio))
    if np.nanmax(np.abs(ratio / middle - 1)) < 0.1:
        seen = f"motion2 is {middle:.3f} times the title's on every frame"
        return [Fault(int(k), MISALIGNED, seen, 0.9) for k in members]
    if len(members) <= max(1, 0.2 * len(leaders)):
        seen = f"motion2 of its reference, {_mean(ours)}, is not the title's, {_mean(theirs)}"
        return [Fault(int(k), WRONG_REFERENCE, seen, 0.8) for k in members]
    return []  # many clips: another cut of the same source


def _motion_rows(clips: ClipFrames, members: Integers) -> Floats:
    """Returns motion2 of clips, `[k, t]`; NaN past the end, and where there is a neighbour less."""
    count = clips.count[members]
    at = np.arange(int(count.max()))
    inside = (at > 0) & (at < count[:, None] - 1)
    rows = clips.start[members][:, None] + np.where(inside, at, 0)
    return np.where(inside, clips.motion[rows], np.nan)


def _departures(motion: Floats, model: Floats) -> Integers:
    """Returns the first frame at which each row differs from `model`; its length for none."""
    error = np.abs(motion - model) > _SAME * np.maximum(model, _LEAST_MOTION)
    return np.where(error.any(1), error.argmax(1), motion.shape[1])


def _deviation(first: Floats, second: Floats) -> float:
    """Returns the mean difference of two motions over the frames that both have, as a share."""
    both = np.isfinite(first) & np.isfinite(second)
    if both.sum() < _MIN_OVERLAP:
        return np.inf
    return float(np.abs(first - second)[both].mean() / max(first[both].mean(), _LEAST_MOTION))


def _is_same(first: Floats, second: Floats) -> bool:
    return _deviation(first, second) < _SAME and bool(np.nanstd(first) > _SAME * np.nanmean(first))


def _best_lag(first: Floats, second: Floats) -> tuple[int, float]:
    """Returns by how many frames `second` begins later than `first`, and what then differs."""
    best = 0, _deviation(first, second)
    for lag in range(1, min(_MAX_LAG, len(first) - _MIN_OVERLAP) + 1):
        late, early = _deviation(first[lag:], second[:-lag]), _deviation(first[:-lag], second[lag:])
        best = min(best, (lag, late), (-lag, early), key=lambda pair: pair[1])
    return best


def _mean_fidelity(clips: ClipFrames, members: Integers) -> Floats:
    """Returns the mean over frames and features of each clip."""
    spans = ((clips.start[k], clips.start[k] + clips.count[k]) for k in members)
    return np.array([clips.fidelity[first:end].mean() for first, end in spans])


def _fall_after(clips: ClipFrames, members: Integers, frame: int) -> Floats:
    """Returns how far adm2's mean falls from before `frame` to behind it, of each clip."""
    falls = []
    for k in members:
        adm2 = clips.fidelity[clips.start[k] : clips.start[k] + clips.count[k], 0]
        falls.append(adm2[:frame].mean() - adm2[frame:].mean() if len(adm2) > frame else 0.0)
    return np.array(falls)


def _mean(motion: Floats) -> str:
    return f"{float(np.nanmean(motion)):.3f} on average"
