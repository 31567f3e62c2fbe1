"""Raw votes of listed clips become MOS with intervals, experiment by experiment."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.listed import ListedClip
from vmaf_jax.corpora.opinions import OpinionColumns, agreed_scale
from vmaf_jax.corpora.ratings import Votes
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.subjects import SubjectModel, recover_quality
from vmaf_jax.features.opinions import LabelScale
from vmaf_jax.jobs.report import Report, silent


def with_ratings(
    clips: Sequence[ListedClip], ratings: dict[str, Votes], path: Path
) -> list[ListedClip]:
    """The clips with the votes of a file of ratings.

    Raises:
        InputError: a clip without votes, votes on no clip, or clips that have a MOS already.
    """
    names = {clip.name for clip in clips}
    if any(clip.opinion.mos is not None or clip.votes for clip in clips):
        raise InputError(f"{path}: the clips have scores already; drop their mos, or --ratings.")
    if strange := [name for name in ratings if name not in names]:
        raise InputError(
            f"{path}: votes on {len(strange)} clips that have no features, {strange[0]!r} first; "
            f"list them or drop the votes."
        )
    if silent_ones := [clip.name for clip in clips if clip.name not in ratings]:
        raise InputError(
            f"{path}: no vote on {len(silent_ones)} of {len(clips)} clips, {silent_ones[0]!r} "
            f"first; add votes or drop the clips."
        )
    return [dataclasses.replace(clip, votes=ratings[clip.name]) for clip in clips]


def recover_opinions(
    clips: Sequence[ListedClip],
    path: Path,
    label_scale: LabelScale | None = None,
    report: Report = silent,
) -> list[ListedClip]:
    """The clips with MOS and intervals in place of votes; those without votes as they are.

    Each experiment has subjects of its own: its model is fitted alone. A quality that the model
    puts beyond the ends of the scale, as all votes there may, is the end.

    Args:
        path: where the votes are from, for messages.
        label_scale: what votes are on, by default what the clips say, else 0-100.

    Raises:
        InputError: votes on some clips only, a vote outside the scale, one subject, or votes that
            the model cannot tell anything from.
    """
    voted = [clip for clip in clips if clip.votes]
    if not voted:
        return list(clips)
    if len(voted) < len(clips) or any(clip.opinion.mos is not None for clip in clips):
        raise InputError(f"{path}: {len(voted)} of {len(clips)} clips have votes; add the others'.")
    _, _, scores = _arrays(voted)
    scale = agreed_scale([clip.opinion for clip in clips], path, label_scale, scores.max())
    recovered: dict[str, OpinionColumns] = {}
    for experiment in dict.fromkeys(clip.opinion.experiment for clip in voted):
        group = [clip for clip in voted if clip.opinion.experiment == experiment]
        title = f"experiment {experiment}" if experiment else "votes"
        model = _fit(group, path, scale, title)
        quality = model.quality.clip(*scale)
        beyond = int(np.sum(quality != model.quality))
        report.say(
            f"{title}: {len(group)} clips, {len(model.bias)} subjects, bias "
            f"{model.bias.min():.2f} to {model.bias.max():.2f}, inconsistency "
            f"{model.inconsistency.min():.2f} to {model.inconsistency.max():.2f}"
            + (" (too few subjects to tell theirs apart: one for all)" if model.equal else "")
            + (f"; {beyond} clips put at the end of the scale" if beyond else "")
        )
        for clip, value, width in zip(group, quality, model.half_width, strict=True):
            mean = {"mos": float(value), "mos_ci95": float(width)}
            recovered[clip.name] = clip.opinion.model_copy(update=mean)
    return [dataclasses.replace(clip, opinion=recovered[clip.name], votes=None) for clip in clips]


def _arrays(
    clips: Sequence[ListedClip],
) -> tuple[npt.NDArray[np.int64], list[str], npt.NDArray[np.float64]]:
    """Clip, subject and score of every vote, `[n]`."""
    triples = [
        (k, subject, score)
        for k, clip in enumerate(clips)
        for subject, scores in (clip.votes or {}).items()
        for score in scores
    ]
    numbers, subjects, scores = zip(*triples, strict=True)
    return np.array(numbers), list(subjects), np.array(scores, dtype=np.float64)


def _fit(clips: Sequence[ListedClip], path: Path, scale: LabelScale, title: str) -> SubjectModel:
    clip, names, score = _arrays(clips)
    low, high = scale
    if (beyond := np.flatnonzero((score < low) | (score > high))).size:
        k = beyond[0]
        raise InputError(
            f"{path}: subject {names[k]!r} gave clip {clips[clip[k]].name!r} {score[k]:g}, outside "
            f"the label scale, {low:g} to {high:g}; correct it or state --label-scale LO HI."
        )
    order = {name: k for k, name in enumerate(dict.fromkeys(names))}
    if len(order) < 2:
        raise InputError(
            f"{path}: {title}: one subject ({names[0]}); bias and inconsistency need several, "
            f"or give that one's scores as mos."
        )
    subject = np.array([order[name] for name in names])
    count = np.bincount(subject)
    if count.min() < 2:
        few = list(order)[int(count.argmin())]
        raise InputError(
            f"{path}: {title}: subject {few!r} voted once, which shows no inconsistency; drop that "
            f"vote."
        )
    try:
        return recover_quality(clip, subject, score)
    except ValueError as error:
        raise InputError(
            f"{path}: {title}: {error}, so opinions cannot be recovered; add votes."
        ) from error
