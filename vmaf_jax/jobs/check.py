"""The job `check`: what in a feature table, or in the votes behind it, deserves no belief."""

import dataclasses
import itertools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.votes import VoteRows, Votes, read_ratings, vote_rows
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import reference_motion, table_faults
from vmaf_jax.evaluation.table_faults import ClipFrames, Fault, Integers
from vmaf_jax.printable import format_count
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.table import FeatureTable, combine, encode
from vmaf_jax.teacher import load_teacher
from vmaf_jax.teacher.model_file import known_teachers

_SAMPLE = 8  # frames of a clip, on which label columns are held to their models
_AGREES = 1.5  # deviations of quality from what is usual at the clip's votes

FIXES: Mapping[str, str] = {
    table_faults.OUT_OF_STEP: "measure it again with --sync auto, or --fps match where frames are "
    "dropped on the way; else leave it out",
    table_faults.MISALIGNED: "look at both pictures for crop, bars, scaling and a shift in time, "
    "and measure it again; else leave it out",
    table_faults.WRONG_REFERENCE: "measure it against its own reference",
    table_faults.OTHER_LENGTH: "measure it again, whole; if frames are missing in the encode, with "
    "--sync auto",
    table_faults.DUPLICATE: "find which of the two it belongs to, and measure or rate the other",
    table_faults.SWAPPED: "compare both names with the votes or logs, and exchange the labels",
    table_faults.SUBJECT: "leave the subject out, or turn the scale round where it was read "
    "upside down",
    table_faults.OTHER_MODEL: "drop the column, or import again with --teacher",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """A clip or a subject that deserves no belief.

    Attributes:
        clip: Name of the clip; None of a subject.
        source: Of the clip; None of a subject.
        kind: What is wrong with it, one of `FIXES`.
        seen: The figures that say so.
        confidence: That it is so, 0-1.
        fix: What to do.
        subject: Name of the subject; None of a clip.
        experiment: The test, where the table or the votes name one.
    """

    clip: str | None
    source: str | None
    kind: str
    seen: str
    confidence: float
    fix: str
    subject: str | None = None
    experiment: str | None = None

    def __str__(self) -> str:
        of = f"{self.source}, {self.clip}" if self.clip else f"subject {self.subject}"
        test = "" if self.clip or self.experiment is None else f" of {self.experiment}"
        kind = self.kind.replace("_", " ")
        return f"{of}{test}: {kind} ({self.confidence:.0%} sure): {self.seen}"


@dataclasses.dataclass(frozen=True)
class Checked:
    """What was looked at, and what was found.

    Attributes:
        n_clips: How many clips were looked at.
        findings: By clip, in the order of the table; subjects at the end.
        skipped: Looks that this table does not allow, and why.
    """

    n_clips: int
    findings: tuple[Finding, ...]
    skipped: tuple[str, ...] = ()

    @property
    def suspects(self) -> set[tuple[str | None, str | None]]:
        """Clips that were found, as (source, clip)."""
        return {(f.source, f.clip) for f in self.findings if f.clip is not None}

    def summary(self) -> str:
        """Returns in words how many clips and subjects were found."""
        subjects = sum(finding.clip is None for finding in self.findings)
        more = f" and {format_count(subjects, 'subject')}" if subjects else ""
        return f"suspect: {len(self.suspects)} of {format_count(self.n_clips, 'clip')}{more}"


def check(table: FeatureTable | str | Path, ratings: Path | None = None) -> Checked:
    """Looks for clips and subjects of a feature table that deserve no belief.

    Args:
        table: The table, or its path or address.
        ratings: Raw votes of its clips, `clip, subject, vote`, or wide; subjects are judged too.

    Raises:
        InputError: A file that cannot be read, or votes on clips that are not in the table.
    """
    read = table if isinstance(table, FeatureTable) else read_table(table)
    votes = None if ratings is None else _votes_of(read, read_ratings(ratings), ratings)
    return check_rows(read, votes)


def find_subjects(votes: VoteRows, experiment: str | None) -> list[Finding]:
    """Looks for subjects of one test who vote at random or upside down."""
    return [
        Finding(
            clip=None,
            source=None,
            kind=table_faults.SUBJECT,
            seen=fault.seen,
            confidence=fault.confidence,
            fix=FIXES[table_faults.SUBJECT],
            subject=votes.names[fault.subject],
            experiment=experiment,
        )
        for fault in table_faults.subject_faults(votes.clip, votes.subject, votes.score)
    ]


def check_rows(table: FeatureTable, votes: Sequence[Votes] | None = None) -> Checked:
    """Looks for clips and subjects that deserve no belief.

    Args:
        votes: Raw votes by subject of each clip of the table, in its order, or None.
    """
    clips, names, order = _number_clips(table)
    means = table.mean_pool()
    skipped: list[str] = []
    faults: list[Fault] = []
    if table.pooled:
        skipped.append("clip means: references, moments and lengths show in tables of frames alone")
    else:
        faults += _look_at_frames(table, clips, skipped)
        faults += _look_at_teachers(table, clips, order)
    experiment = _number_panels(means)
    explained = np.zeros(len(names), bool)
    if "mos" in means.labels:
        of_scores, explained = _look_at_scores(means, clips, experiment, _are_in(faults, clips))
        faults += of_scores
    if table.feature_set.ordered:
        ladder = table_faults.ladder_faults(clips, _are_in(faults, clips))
        faults += [fault for fault in ladder if not explained[fault.clip]]
    subjects: list[Finding] = []
    if votes is not None:
        repeated, subjects = _look_at_votes(means, votes, experiment)
        faults += repeated
    findings = [_finding(fault, means) for fault in _strongest(faults)]
    return Checked(len(names), (*findings, *subjects), tuple(skipped))


def _number_clips(table: FeatureTable) -> tuple[ClipFrames, list[str], Integers]:
    """Returns the frames of numbered clips, the clips' names, and the rows in that order."""
    named, group = table.clip_groups()
    order = np.lexsort((table.index, group))
    count = np.bincount(group)
    start = np.cumsum(count) - count
    first = order[start]
    source = encode(table.source[first])[1]
    title = combine(table.corpus[first], source, _number_panels(table)[first])[1]
    names = [clip for _, _, clip in named]
    features = table.features[order]
    equal = np.flatnonzero(np.array(table.feature_set.identical) == 1.0)
    still = table.feature_set.names.index(table.feature_set.reference_only[0])
    clips = ClipFrames(
        fidelity=features[:, equal],
        motion=features[:, still],
        start=start,
        count=count,
        source=source,
        title=title,
        recipe=_number_recipes(names, title),
    )
    return clips, names, order


def _number_recipes(names: Sequence[str], title: Integers) -> Integers:
    """Numbers the encodes by what is left of a clip's name without what its title's share."""
    recipes = np.array(names, dtype=object)
    for t in range(int(title.max()) + 1):
        members = np.flatnonzero(title == t).tolist()
        if len(members) > 1:
            # The letters that the first and the last have in common; back to the last mark, or
            # 360p and 3840p would lose their 3.
            ends = min(names[k] for k in members), max(names[k] for k in members)
            alike = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
            shared = re.sub(r"[A-Za-z0-9]*$", "", "".join(letter for letter, _ in alike))
            recipes[members] = [names[k][len(shared) :] for k in members]
    return encode(recipes)[1]


def _look_at_frames(table: FeatureTable, clips: ClipFrames, skipped: list[str]) -> list[Fault]:
    """Looks at lengths, references and moments."""
    reference = reference_motion.number_references(clips)
    faults = reference_motion.reference_faults(clips, reference)
    faults += table_faults.duplicate_faults(clips)
    faults += table_faults.length_faults(clips, reference)
    if table.feature_set.ordered:
        return faults + table_faults.saturation_faults(clips, reference)
    skipped.append(f"{table.feature_set.name} has no VIF: saturation and ladders are not looked at")
    return faults


def _look_at_teachers(table: FeatureTable, clips: ClipFrames, order: Integers) -> list[Fault]:
    """Holds the label columns of known models to these models, on a few frames of each clip."""
    known = known_teachers()
    if not (columns := [name for name in table.labels if name in known]):
        return []
    teachers = [load_teacher(name) for name in known]
    spaced = clips.count[:, None] * np.arange(_SAMPLE) // _SAMPLE
    rows = order[clips.start[:, None] + spaced]
    features = table.features[rows.ravel()]
    scores = {
        teacher.name: teacher(features).reshape(rows.shape)
        for teacher in teachers
        if teacher.feature_set == table.feature_set
    }
    return [
        fault
        for name in columns
        if name in scores
        for fault in table_faults.teacher_faults(table.labels[name][rows], name, scores)
    ]


def _number_panels(table: FeatureTable) -> Integers:
    """Returns the number of each row's test and distance, `[n]`; one where there is neither."""
    panel = np.zeros(len(table), np.int64)
    if table.experiment is not None:
        panel = encode(table.experiment)[1]
    if table.distance is not None:
        panel = combine(panel, np.unique(table.distance, return_inverse=True)[1])[1]
    return panel


def _look_at_scores(
    means: FeatureTable, clips: ClipFrames, experiment: Integers, known_bad: npt.NDArray[np.bool_]
) -> tuple[list[Fault], npt.NDArray[np.bool_]]:
    """Holds opinion scores to features; returns faults, and whose votes are as low, `[c]`."""
    quality = load_teacher(means.feature_set.teacher)(means.features)
    mos = means.labels["mos"]
    fit = table_faults.fit_votes(quality, mos, experiment, clips.title)
    faults = table_faults.shortfall_faults(quality, mos, fit)
    faults += table_faults.swap_faults(mos, fit, experiment, clips.title, known_bad)
    return faults, fit.deviations < _AGREES


def _are_in(faults: Sequence[Fault], clips: ClipFrames) -> npt.NDArray[np.bool_]:
    """Returns which clips have a fault, `[c]`."""
    return np.isin(np.arange(len(clips.start)), [fault.clip for fault in faults])


def _strongest(faults: Sequence[Fault]) -> list[Fault]:
    """Returns the surest fault of each clip, in the order of the clips."""
    best: dict[int, Fault] = {}
    for fault in faults:
        if fault.clip not in best or fault.confidence > best[fault.clip].confidence:
            best[fault.clip] = fault
    return [best[clip] for clip in sorted(best)]


def _finding(fault: Fault, means: FeatureTable) -> Finding:
    """Names the clip of a fault, and the other one."""
    other = "" if fault.other < 0 else f" ({means.source[fault.other]}, {means.clip[fault.other]})"
    return Finding(
        clip=means.clip[fault.clip],
        source=means.source[fault.clip],
        kind=fault.kind,
        seen=f"{fault.seen}{other}",
        confidence=round(fault.confidence, 2),
        fix=FIXES[fault.kind],
        experiment=None if means.experiment is None else means.experiment[fault.clip],
    )


def _votes_of(table: FeatureTable, ratings: Mapping[str, Votes], path: Path) -> list[Votes]:
    """Returns the votes of each clip, in the table's order.

    Raises:
        InputError: Votes on a clip that is not in the table.
    """
    names = [clip for _, _, clip in table.clip_groups()[0]]
    if strange := sorted(set(ratings) - set(names)):
        raise InputError(
            f"{path}: votes on {format_count(len(strange), 'clip')} not in the table, "
            f"{strange[0]!r} first; drop them, or name the table that has them."
        )
    return [ratings.get(name, {}) for name in names]


def _look_at_votes(
    means: FeatureTable, votes: Sequence[Votes], experiment: Integers
) -> tuple[list[Fault], list[Finding]]:
    """Looks at the votes of each test by itself, since each has subjects of its own."""
    faults: list[Fault] = []
    subjects: list[Finding] = []
    for test in np.unique(experiment):
        clips = [k for k in np.flatnonzero(experiment == test).tolist() if votes[k]]
        if not clips:
            continue
        rows = vote_rows([votes[k] for k in clips])
        faults += [
            fault._replace(clip=clips[fault.clip], other=clips[fault.other])
            for fault in table_faults.repeated_votes(rows.clip, rows.subject, rows.score)
        ]
        name = None if means.experiment is None else str(means.experiment[clips[0]])
        subjects += find_subjects(rows, name)
    return faults, subjects
