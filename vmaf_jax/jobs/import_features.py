"""The job `import`: features measured elsewhere, and opinion scores, to a feature table."""

import collections
import dataclasses
import itertools
import operator
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.avt_vqdb_uhd_1 import LABEL_SCALE, LAYOUTS, load_listed
from vmaf_jax.corpora.logs import (
    ListedClip,
    read_clip_list,
    read_frames,
    read_log,
    read_log_manifest,
)
from vmaf_jax.corpora.netflix import read_dataset_file
from vmaf_jax.corpora.votes import (
    Opinion,
    OpinionColumns,
    Votes,
    agreed_scale,
    at_distance,
    map_opinions,
    read_ratings,
    vote_rows,
)
from vmaf_jax.errors import InputError, check_choice
from vmaf_jax.evaluation.opinions import SubjectModel, recover_quality
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.files import check_output
from vmaf_jax.jobs.check import Finding, check_rows, find_subjects
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.dataset import TableSummary, is_dataset, open_writer
from vmaf_jax.tables.table import FeatureTable, LabelScale
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.inputs import file_digest

Floats = npt.NDArray[np.float64]
_ONE_INCONSISTENCY = " (too few subjects to tell theirs apart: one for all, docs/traps.md)"


@dataclasses.dataclass(frozen=True)
class ImportSource:
    """Files with features and opinions: `logs`, or `frames` with `clips`, or a `corpus`.

    Attributes:
        logs: A manifest of libvmaf's logs, `log, source` and opinions.
        frames: Parquet or CSV, `clip, frame` and the features.
        clips: Of `frames`: a list of clips, or a dataset file (`.py`).
        corpus: A published one, whose clone `data_root` is: a key of `LAYOUTS`.
        data_root: Folder of the corpus.
        ratings: Raw votes, in place of MOS.
    """

    logs: Path | None = None
    frames: Path | None = None
    clips: Path | None = None
    corpus: str | None = None
    data_root: Path | None = None
    ratings: Path | None = None


@dataclasses.dataclass(frozen=True)
class ImportSettings:
    """Settings of `import_features`.

    Attributes:
        label_scale: The worst and the best vote, by default what the files say, else 0-100.
        features: Name of a feature set: which of a log's values are read.
        teachers: Models whose scores of these features become labels, by name or JSON file.
        name: Of the corpus, by default of the file that lists the clips.
        shard_rows: A shard of a dataset ends with the clip that brings it to this number of rows.
        exclude_suspects: Leave out the clips and subjects that `check` finds; the table's
            metadata names them under `excluded`.
        sources: Those whose clips are kept; all where there is none.
    """

    label_scale: LabelScale | None = None
    features: str = FEATURES.name
    teachers: tuple[str, ...] = ()
    name: str | None = None
    shard_rows: int = 200_000
    exclude_suspects: bool = False
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choice(f"--features {self.features}", self.features, FEATURE_SETS)


DEFAULT_SETTINGS = ImportSettings()


def import_features(
    source: ImportSource,
    out: Path,
    settings: ImportSettings = DEFAULT_SETTINGS,
    *,
    progress: Progress = NO_PROGRESS,
) -> TableSummary:
    """Joins features and opinions and writes them to `out`.

    Args:
        out: A `.parquet` file; or a folder, which becomes a dataset, for a list of logs of which
            no more than a shard is held in memory.

    Returns:
        A summary of what is written.

    Raises:
        InputError: Bad settings, a damaged file, labels without features or the reverse, or a
            folder that has another writer or holds other things.
    """
    write = _write_dataset if is_dataset(out) else _write_table
    old_logs: list[Path] = []
    summary = write(source, out, settings, progress, old_logs)
    _remark_summary(summary, progress)
    if old_logs:
        progress.say(
            f"{old_logs[0]}: of libvmaf 1, as {len(old_logs)} of {summary.n_clips} logs are; if "
            f"the videos have 10 bits, ffmpeg's filter of that age gave motion2 four times too "
            f"large and VIF too low: log those again (docs/traps.md), or say bit_depth (8) "
            f"in the list"
        )
    return summary


def _write_table(
    source: ImportSource,
    out: Path,
    settings: ImportSettings,
    progress: Progress,
    old_logs: list[Path],
) -> TableSummary:
    """Writes one table; adds logs of unknown bit depth to `old_logs`."""
    inputs = (source.logs, source.frames, source.clips, source.ratings)
    check_output(out, ".parquet", [path for path in inputs if path is not None])
    listed = _list_clips(source, settings, progress)
    if source.frames is not None:
        features = _read_frames(source.frames, listed)
    else:
        features = {c.name: _read_log(c, listed.feature_set, old_logs) for c in listed.clips}
    table = _assemble(listed, features, settings.name or source.corpus or listed.path.stem)
    if source.frames is not None:
        digests = {"frames": file_digest(source.frames), "clips": file_digest(listed.path)}
        table = dataclasses.replace(table, provenance={**table.provenance, "files": digests})
    table = _add_teachers(table, settings.teachers)
    table = _examine(table, listed.excluded, settings, progress)
    table.write(out)
    return TableSummary.of(table)


def _examine(
    table: FeatureTable, subjects: Sequence[Finding], settings: ImportSettings, progress: Progress
) -> FeatureTable:
    """Says which clips are suspect; returns the table, without them where settings say so.

    Args:
        subjects: Those whose votes were left out, for the metadata.

    Raises:
        InputError: No clip would be left.
    """
    checked, kind = check_rows(table), operator.attrgetter("kind")
    for name, findings in itertools.groupby(sorted(checked.findings, key=kind), kind):
        first, *others = findings
        more = f" ({len(others)} more {name.replace('_', ' ')})" if others else ""
        progress.say(f"{first}{more}")
    if not settings.exclude_suspects:
        if checked.findings:
            progress.say(
                f"{checked.summary()}; see all with `vmaf-jax check`, leave them out with "
                f"--exclude-suspects"
            )
        return table
    clips = list(zip(table.source, table.clip, strict=True))
    kept = np.array([clip not in checked.suspects for clip in clips])
    if not kept.any():
        raise InputError("--exclude-suspects leaves no clip; see why without it.")
    excluded = [
        {"source": f.source, "clip": f.clip, "subject": f.subject, "kind": f.kind, "seen": f.seen}
        for f in (*checked.findings, *subjects)
    ]
    if not excluded:
        return table
    progress.say(
        f"left out: {format_count(len(checked.suspects), 'clip')}, "
        f"{format_count(len(subjects), 'subject')}"
    )
    table = table.take(kept)
    return dataclasses.replace(table, provenance={**table.provenance, "excluded": excluded})


def _write_dataset(
    source: ImportSource,
    out: Path,
    settings: ImportSettings,
    progress: Progress,
    old_logs: list[Path],
) -> TableSummary:
    """Writes a dataset, shard by shard; adds logs of unknown bit depth to `old_logs`."""
    if source.logs is None:
        raise InputError(f"{out}: a folder takes --logs; name a .parquet file for other sources.")
    if settings.exclude_suspects:
        raise InputError(
            f"{out}: --exclude-suspects looks at all clips together; name a .parquet file."
        )
    with open_writer(out) as writer:  # first, since it locks the folder against another import
        listed = _list_clips(source, settings, progress)
        on_clip = progress.clips(listed.clips)
        summary: TableSummary | None = None
        shards: list[Path] = []
        for table in _shard_tables(listed, settings, old_logs):
            scored = _add_teachers(table, settings.teachers)
            shards.append(out / f"part-{len(shards):06d}.parquet")
            scored.write(shards[-1])
            held = TableSummary.of(scored)
            summary = held if summary is None else summary + held
            for frames in np.unique(table.clip_groups()[1], return_counts=True)[1].tolist():
                on_clip(frames)
        writer.finish(shards)
    if summary is None:
        raise InputError(f"{listed.path}: lists no clip; add rows.")
    progress.say(f"not looked at for faults, shard by shard; see `vmaf-jax check {out}`")
    return summary


def _shard_tables(
    listed: "ListedClips", settings: ImportSettings, old_logs: list[Path]
) -> Iterator[FeatureTable]:
    """Yields tables of several clips each, in the order of the list."""
    corpus = settings.name or listed.path.stem
    first, rows, features = 0, 0, {}
    for k, clip in enumerate(listed.clips, 1):
        features[clip.name] = _read_log(clip, listed.feature_set, old_logs)
        rows += len(features[clip.name])
        if rows >= settings.shard_rows or k == len(listed.clips):
            yield _assemble(listed[first:k], features, corpus)
            first, rows, features = k, 0, {}  # lets go of the shard that was written


def _remark_summary(summary: TableSummary, progress: Progress) -> None:
    """Says what the rows cannot be used for, and which names look mistyped."""
    spellings: dict[str, str] = {}
    for source in summary.sources:
        # Leave-one-source-out would train on a source that is spelt in two ways.
        if (other := spellings.setdefault("".join(source.split()).casefold(), source)) != source:
            progress.say(
                f"sources {other!r} and {source!r} differ in capitals or blanks alone; if they "
                f"are one content, spell them alike, or it is trained on where it is left out"
            )
    if len(summary.sources) < 2:
        progress.say(
            f"one source ({summary.sources[0]}): it cannot be left out, so not be trained on"
        )
    if "mos" not in summary.labels:
        progress.say("no opinion scores: nothing but --teacher NAME can be a label")


@dataclasses.dataclass(frozen=True)
class ListedClips:
    """Clips as a file lists them, with their opinion scores on 0-100.

    Attributes:
        path: The file or folder that lists them.
        clips, opinions: One of each a clip.
        feature_set: The features that are read.
        excluded: Subjects whose votes were left out.
    """

    path: Path
    clips: Sequence[ListedClip]
    opinions: Sequence[Opinion]
    feature_set: FeatureSet
    excluded: Sequence[Finding] = ()

    def __getitem__(self, part: slice) -> "ListedClips":
        return dataclasses.replace(self, clips=self.clips[part], opinions=self.opinions[part])


def _list_clips(source: ImportSource, settings: ImportSettings, progress: Progress) -> ListedClips:
    """Reads the clips of a source with their opinions, and none of their features."""
    path, clips = _read_list(source, progress)
    clips = _keep_sources(clips, settings.sources, path)
    label_scale = settings.label_scale
    if source.corpus is not None and label_scale is None:
        label_scale = LABEL_SCALE
    opinions_from = path  # named in messages about votes
    if source.ratings is not None:
        opinions_from = source.ratings
        clips = _attach_ratings(clips, read_ratings(source.ratings), source.ratings)
    _check_distances(clips, path)
    clips, suspects = _look_at_subjects(clips, settings.exclude_suspects, progress)
    clips = _recover_opinions(clips, opinions_from, label_scale, progress)
    opinions = map_opinions([clip.opinion for clip in clips], path, label_scale)
    return ListedClips(path, clips, opinions, FEATURE_SETS[settings.features], suspects)


def _keep_sources(clips: list[ListedClip], sources: Sequence[str], path: Path) -> list[ListedClip]:
    """Returns the clips of some sources, of all where none is named.

    Raises:
        InputError: A source has no clip.
    """
    known = sorted({clip.source for clip in clips})
    if unknown := sorted(set(sources) - set(known)):
        raise InputError(f"{path}: no source {unknown[0]!r} to keep; it has {', '.join(known)}.")
    return [clip for clip in clips if not sources or clip.source in sources]


def _look_at_subjects(
    clips: Sequence[ListedClip], exclude: bool, progress: Progress
) -> tuple[list[ListedClip], list[Finding]]:
    """Says which subjects are suspect; returns clips and those subjects, without their votes if so.

    Args:
        exclude: Whether to leave their votes out.
    """
    groups: dict[str | None, list[ListedClip]] = {}
    for clip in clips:
        if clip.votes:
            groups.setdefault(clip.opinion.experiment, []).append(clip)
    found = [
        finding
        for experiment, group in groups.items()
        for finding in find_subjects(vote_rows([clip.votes or {} for clip in group]), experiment)
    ]
    for finding in found:
        progress.say(str(finding))
    if not (found and exclude):
        return list(clips), []
    suspects = {(finding.experiment, finding.subject) for finding in found}

    def without(clip: ListedClip) -> ListedClip:
        votes = (clip.votes or {}).items()
        kept = {s: v for s, v in votes if (clip.opinion.experiment, s) not in suspects}
        return dataclasses.replace(clip, votes=kept or None)

    return [without(clip) for clip in clips], found


def _read_list(source: ImportSource, progress: Progress) -> tuple[Path, list[ListedClip]]:
    """Returns the file or folder that lists the clips, and the clips."""
    ways = (source.logs, source.frames, source.corpus)
    if sum(way is not None for way in ways) != 1:
        raise InputError(
            "import needs --logs MANIFEST, --frames FILE with --clips FILE, or --corpus NAME with "
            "--data-root FOLDER, one of the three."
        )
    if (source.frames is None) != (source.clips is None):
        raise InputError("--frames FILE and --clips FILE belong together; pass both.")
    if (source.corpus is None) != (source.data_root is None):
        raise InputError("--corpus NAME and --data-root FOLDER belong together; pass both.")
    if source.corpus is not None and source.data_root is not None:
        if source.corpus not in LAYOUTS:
            raise InputError(f"--corpus {source.corpus}: import knows {', '.join(LAYOUTS)}.")
        return source.data_root, load_listed(source.data_root, source.corpus)
    if source.clips is not None and source.clips.suffix == ".py":
        return source.clips, read_dataset_file(source.clips)
    if source.clips is not None:
        path, (clips, unused) = source.clips, read_clip_list(source.clips)
    else:
        path = source.logs or Path()
        clips, unused = read_log_manifest(path)
    if unused:
        progress.say(f"{path}: columns left alone: {', '.join(unused)}")
    measured = {(clip.measured_as, clip.log.resolve()) for clip in clips if clip.log is not None}
    logs = collections.Counter(log for _, log in sorted(measured))
    if repeated := [log for log, count in logs.items() if count > 1]:
        progress.say(f"{path}: several clips have the log {repeated[0]}; check that list")
    return path, clips


def _check_distances(clips: Sequence[ListedClip], path: Path) -> None:
    """Raises InputError where some clips have a viewing distance and others have none."""
    without = [clip.name for clip in clips if clip.distance is None]
    if without and len(without) < len(clips):
        raise InputError(
            f"{path}: {len(without)} of {len(clips)} rows have no distance, that of {without[0]!r} "
            f"first; fill it in or drop the column."
        )


def _read_log(clip: ListedClip, feature_set: FeatureSet, old_logs: list[Path]) -> Floats:
    """Returns the features of a listed clip's log, `[frames, features]`.

    Args:
        old_logs: Appended to where libvmaf 1 wrote the log and the list has no bit depth.
    """
    path = clip.log or Path()
    log = read_log(path, feature_set, bit_depth=clip.bit_depth)
    if log.is_of_libvmaf_1 and clip.bit_depth is None:
        old_logs.append(path)
    return log.features


def _read_frames(path: Path, listed: ListedClips) -> Mapping[str, Floats]:
    """Returns the features of each listed clip, `[frames, features]`, by its name."""
    frames = read_frames(path, listed.feature_set)
    name_of = {clip.name: clip.measured_as or clip.name for clip in listed.clips}
    names = dict.fromkeys(name_of.values())
    if without := [name for name in names if name not in frames]:
        raise InputError(
            f"{listed.path}: clips without frames in {path}: {len(without)} of {len(names)}, "
            f"{without[0]!r} first (one there is {min(frames)!r}); correct the names, add their "
            f"features or drop the rows."
        )
    if without := [name for name in frames if name not in names]:
        raise InputError(
            f"{path}: clips that {listed.path} lacks: {len(without)} of {len(frames)}, "
            f"{without[0]!r} first; list them or drop their frames."
        )
    return {clip: frames[name] for clip, name in name_of.items()}


def _assemble(listed: ListedClips, features: Mapping[str, Floats], corpus: str) -> FeatureTable:
    """Returns the table of listed clips, in their order.

    Args:
        features: Of each clip, `[frames, features]`, by its name.

    Raises:
        InputError: A clip has another length than the list says.
    """
    clips, opinions = listed.clips, listed.opinions
    lengths = np.array([len(features[clip.name]) for clip in clips])
    for clip, length in zip(clips, lengths, strict=True):
        if clip.n_frames not in (None, length):
            raise InputError(
                f"{listed.path}: clip {clip.name!r} has {format_count(clip.n_frames, 'frame')}, "
                f"its features {length}; frames are missing (docs/traps.md), measure it again or "
                f"correct n_frames."
            )

    def repeated(values: Sequence[object]) -> npt.NDArray[np.object_]:
        column = np.empty(len(values), dtype=object)
        column[:] = values
        return np.repeat(column, lengths)

    first = opinions[0]
    logs = {f"{c.source}/{c.name}": file_digest(c.log) for c in clips if c.log is not None}
    scale = {} if first.label_scale is None else {"label_scale": list(first.label_scale)}
    mos = repeated([opinion.mos for opinion in opinions])
    ci95 = repeated([opinion.mos_ci95 for opinion in opinions])
    distance = repeated([clip.distance for clip in clips])
    return FeatureTable(
        feature_set=listed.feature_set,
        corpus=repeated([corpus] * len(clips)),
        source=repeated([clip.source for clip in clips]),
        clip=repeated([clip.name for clip in clips]),
        index=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        features=np.concatenate([features[clip.name] for clip in clips]),
        labels={} if first.mos is None else {"mos": mos.astype(np.float64)},
        provenance={"backend": "import", "inputs": logs, **scale},
        mos_ci95=None if first.mos_ci95 is None else ci95.astype(np.float64),
        experiment=None
        if first.experiment is None
        else repeated([opinion.experiment for opinion in opinions]),
        distance=None if clips[0].distance is None else distance.astype(np.float64),
    )


def _add_teachers(table: FeatureTable, names: Sequence[str]) -> FeatureTable:
    """Returns the table with the scores of models as further labels.

    Raises:
        InputError: There is no such model, or it takes other features.
    """
    labels = dict(table.labels)
    for teacher in map(load_teacher, names):
        if teacher.feature_set != table.feature_set:
            raise InputError(
                f"teacher {teacher.name!r} takes the feature set {teacher.feature_set.name}, the "
                f"table holds {table.feature_set.name}; drop it."
            )
        labels[teacher.name] = teacher(table.features)
    return dataclasses.replace(table, labels=labels)


def _attach_ratings(
    clips: Sequence[ListedClip], ratings: dict[str, Votes], path: Path
) -> list[ListedClip]:
    """Returns the clips with the votes of a file of ratings.

    Raises:
        InputError: A clip has no votes, votes are on no clip, or clips have a MOS already.
    """
    voted_as = {clip.name: _name_in_votes(clip, ratings) for clip in clips}
    names = set(voted_as.values())
    if any(clip.opinion.mos is not None or clip.votes for clip in clips):
        raise InputError(f"{path}: the clips have scores already; drop their mos, or --ratings.")
    if strange := [name for name in ratings if name not in names]:
        raise InputError(
            f"{path}: votes on {format_count(len(strange), 'clip')} without features, "
            f"{strange[0]!r} first; list them or drop the votes."
        )
    if silent_ones := [clip.name for clip in clips if voted_as[clip.name] not in ratings]:
        raise InputError(
            f"{path}: no vote on {len(silent_ones)} of {format_count(len(clips), 'clip')}, "
            f"{silent_ones[0]!r} first; add votes or drop the clips."
        )
    return [dataclasses.replace(clip, votes=ratings[voted_as[clip.name]]) for clip in clips]


def _name_in_votes(clip: ListedClip, ratings: Mapping[str, Votes]) -> str:
    """Returns a clip's name in ratings, which have distances or not whatever the list has."""
    if clip.name in ratings or clip.distance is None:
        return clip.name
    return at_distance(clip.measured_as, clip.distance)


def _recover_opinions(
    clips: Sequence[ListedClip], path: Path, label_scale: LabelScale | None, progress: Progress
) -> list[ListedClip]:
    """Returns the clips with MOS and intervals in place of votes; those without votes as they are.

    Each experiment has subjects of its own, so its model is fitted alone. Qualities beyond the
    ends of the scale, which the model gives where nearly all votes lie at an end, are clipped.

    Args:
        path: Where the votes are from, for messages.
        label_scale: The worst and the best vote, by default what the clips say, else 0-100.

    Raises:
        InputError: Only some clips have votes, a vote is outside the scale, or the votes are too
            few for the model of subjects.
    """
    voted = [clip for clip in clips if clip.votes]
    if not voted:
        return list(clips)
    if len(voted) < len(clips) or any(clip.opinion.mos is not None for clip in clips):
        raise InputError(f"{path}: {len(voted)} of {len(clips)} clips have votes; add the others'.")
    highest = vote_rows([clip.votes or {} for clip in voted]).score.max()
    scale = agreed_scale([clip.opinion for clip in clips], path, label_scale, highest)
    recovered: dict[str, OpinionColumns] = {}
    for experiment in dict.fromkeys(clip.opinion.experiment for clip in voted):
        group = [clip for clip in voted if clip.opinion.experiment == experiment]
        title = f"experiment {experiment}" if experiment else "votes"
        model = _fit_subjects(group, path, scale, title)
        quality = model.quality.clip(*scale)
        beyond = int(np.sum(quality != model.quality))
        progress.say(
            f"{title}: {format_count(len(group), 'clip')}, "
            f"{format_count(len(model.bias), 'subject')}, bias "
            f"{model.bias.min():.2f} to {model.bias.max():.2f}, inconsistency "
            f"{model.inconsistency.min():.2f} to {model.inconsistency.max():.2f}"
            + (_ONE_INCONSISTENCY if model.equal else "")
            + (f"; {format_count(beyond, 'clip')} put at the end of the scale" if beyond else "")
        )
        for clip, value, width in zip(group, quality, model.half_width, strict=True):
            mean = {"mos": float(value), "mos_ci95": float(width)}
            recovered[clip.name] = clip.opinion.model_copy(update=mean)
    return [dataclasses.replace(clip, opinion=recovered[clip.name], votes=None) for clip in clips]


def _fit_subjects(
    clips: Sequence[ListedClip], path: Path, scale: LabelScale, title: str
) -> SubjectModel:
    """Fits the model of subjects to the votes of one experiment."""
    clip, subject, score, names = vote_rows([clip.votes or {} for clip in clips])
    low, high = scale
    if (beyond := np.flatnonzero((score < low) | (score > high))).size:
        k = beyond[0]
        raise InputError(
            f"{path}: subject {names[subject[k]]!r} gave clip {clips[clip[k]].name!r} "
            f"{score[k]:g}, outside the label scale, {low:g} to {high:g}; correct it or state "
            f"--label-scale LO HI."
        )
    if len(names) < 2:
        raise InputError(
            f"{path}: {title}: one subject ({names[0]}); bias and inconsistency need several, "
            f"or give that one's scores as mos."
        )
    count = np.bincount(subject)
    if count.min() < 2:
        few = names[int(count.argmin())]
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
