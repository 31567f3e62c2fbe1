"""The job `import`: features measured elsewhere, and opinion scores, to a feature table."""

import collections
import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora import avt_vqdb_uhd_1
from vmaf_jax.corpora.logs import (
    ListedClip,
    read_clip_list,
    read_frames,
    read_log,
    read_log_manifest,
)
from vmaf_jax.corpora.netflix_py import read_dataset_file
from vmaf_jax.corpora.votes import (
    Opinion,
    OpinionColumns,
    Votes,
    agreed_scale,
    map_opinions,
    read_ratings,
)
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.subjects import SubjectModel, recover_quality
from vmaf_jax.features.feature_set import FEATURE_SETS, FEATURES, FeatureSet
from vmaf_jax.files import check_output
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.tables.dataset import Contents, writing
from vmaf_jax.tables.opinions import LabelScale
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.teacher import load_teacher
from vmaf_jax.video.inputs import file_digest


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
    progress: Progress = NO_PROGRESS,
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
        progress.say(
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


@dataclasses.dataclass(frozen=True)
class ImportSource:
    """Where features and opinions are: `logs`, or `frames` with `clips`, or a `corpus`.

    Attributes:
        logs: a manifest of libvmaf's logs, `log, source` and opinions.
        frames: Parquet or CSV, `clip, frame` and the features.
        clips: of `frames`: a list of clips, or a dataset file (`.py`).
        corpus: `avt_vqdb_uhd_1`, whose clone `data_root` is.
        data_root: folder of the corpus.
        ratings: raw votes, in place of MOS.
    """

    logs: Path | None = None
    frames: Path | None = None
    clips: Path | None = None
    corpus: str | None = None
    data_root: Path | None = None
    ratings: Path | None = None


def import_features(
    source: ImportSource,
    out: Path,
    *,
    label_scale: LabelScale | None = None,
    features: str = FEATURES.name,
    teachers: Sequence[str] = (),
    name: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> FeatureTable:
    """Puts features and opinions together and writes their table to `out`.

    Args:
        source: the files.
        label_scale: the worst and the best vote, by default what the files say, else 0-100.
        features: name of a feature set: which of a log's values are read.
        teachers: models whose scores of these features become labels, by name or JSON file.
        name: of the corpus, by default of the file that lists the clips.

    Raises:
        InputError: bad settings, a file that cannot be, labels without features or the reverse.
    """
    inputs = (source.logs, source.frames, source.clips, source.ratings)
    check_output(out, ".parquet", [path for path in inputs if path is not None])
    listed = list_clips(source, label_scale=label_scale, features=features, progress=progress)
    old: list[Path] = []
    measured = _measured(source, listed.clips, listed.path, listed.feature_set, old)
    corpus = name or source.corpus or listed.path.stem
    table = assemble(listed, measured, corpus)
    if source.frames is not None:
        digests = {"frames": file_digest(source.frames), "clips": file_digest(listed.path)}
        table = dataclasses.replace(table, provenance={**table.provenance, "files": digests})
    table = with_teachers(table, teachers)
    remark(table.sources, table.labels, progress)
    remark_old_logs(old, len(listed.clips), progress)
    table.write(out)
    return table


def remark(sources: Sequence[str], labels: Collection[str], progress: Progress) -> None:
    """Says what a table of these sources and labels cannot be used for, and what looks mistyped."""
    spellings: dict[str, str] = {}
    for source in sources:
        if (other := spellings.setdefault("".join(source.split()).casefold(), source)) != source:
            progress.say(
                f"sources {other!r} and {source!r} differ in capitals or blanks alone; if they "
                f"are one content, spell them alike, or it is trained on where it is left out"
            )
    if len(sources) < 2:
        progress.say(f"one source ({sources[0]}): it cannot be left out, so not be trained on")
    if "mos" not in labels:
        progress.say("no opinion scores: nothing but --teacher NAME can be a label")


@dataclasses.dataclass(frozen=True)
class Listed:
    """Clips as a file lists them, with what people said of them, on 0-100.

    Attributes:
        path: what lists them, for messages.
        clips, opinions: one of each a clip.
        feature_set: which features are read.
    """

    path: Path
    clips: Sequence[ListedClip]
    opinions: Sequence[Opinion]
    feature_set: FeatureSet

    def __getitem__(self, part: slice) -> "Listed":
        return dataclasses.replace(self, clips=self.clips[part], opinions=self.opinions[part])


def list_clips(
    source: ImportSource, *, label_scale: LabelScale | None, features: str, progress: Progress
) -> Listed:
    """The clips of a source, with their opinions; nothing of their features is read yet.

    Raises:
        InputError: as `import_features`.
    """
    if features not in FEATURE_SETS:
        raise InputError(f"--features {features}: expected one of {', '.join(FEATURE_SETS)}.")
    path, clips = _clips(source, progress)
    if source.corpus is not None and label_scale is None:
        label_scale = avt_vqdb_uhd_1.LABEL_SCALE
    opinions_from = path
    if source.ratings is not None:
        opinions_from = source.ratings
        clips = with_ratings(clips, read_ratings(source.ratings), source.ratings)
    clips = recover_opinions(clips, opinions_from, label_scale, progress)
    opinions = map_opinions([clip.opinion for clip in clips], path, label_scale)
    return Listed(path, clips, opinions, FEATURE_SETS[features])


def _clips(source: ImportSource, progress: Progress) -> tuple[Path, list[ListedClip]]:
    """The file or folder that lists the clips, and the clips."""
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
    if source.data_root is not None:
        if source.corpus != avt_vqdb_uhd_1.NAME:
            raise InputError(f"--corpus {source.corpus}: import knows {avt_vqdb_uhd_1.NAME}.")
        return source.data_root, avt_vqdb_uhd_1.load_listed(source.data_root)
    if source.clips is not None and source.clips.suffix == ".py":
        return source.clips, read_dataset_file(source.clips)
    if source.clips is not None:
        path, (clips, unused) = source.clips, read_clip_list(source.clips)
    else:
        path = source.logs or Path()
        clips, unused = read_log_manifest(path)
    if unused:
        progress.say(f"{path}: columns left alone: {', '.join(unused)}")
    logs = collections.Counter(clip.log.resolve() for clip in clips if clip.log is not None)
    if repeated := [log for log, count in logs.items() if count > 1]:
        progress.say(f"{path}: several clips have the log {repeated[0]}; check that list")
    return path, clips


def read_clip_log(
    clip: ListedClip, feature_set: FeatureSet, old: list[Path]
) -> npt.NDArray[np.float64]:
    """Returns the features of a listed clip's log, `[frames, features]`.

    Args:
        old: appended to where libvmaf 1 wrote the log and the list has no bit depth.
    """
    path = clip.log or Path()
    log = read_log(path, feature_set, bit_depth=clip.bit_depth)
    if log.is_of_libvmaf_1 and clip.bit_depth is None:
        old.append(path)
    return log.features


def remark_old_logs(old: Sequence[Path], n_clips: int, progress: Progress) -> None:
    """Says that logs of libvmaf 1 hold for videos of 8 bits alone."""
    if old:
        progress.say(
            f"{old[0]}: of libvmaf 1, as {len(old)} of {n_clips} logs are; if the videos have 10 "
            f"bits, ffmpeg's filter of that age gave motion2 four times too large and VIF too low: "
            f"log those again, or say bit_depth (8) in the list"
        )


def _measured(
    source: ImportSource,
    clips: Sequence[ListedClip],
    path: Path,
    feature_set: FeatureSet,
    old: list[Path],
) -> Mapping[str, npt.NDArray[np.float64]]:
    """The features of each clip, `[frames, features]`, by its name; `old` of `read_clip_log`."""
    if source.frames is None:
        return {clip.name: read_clip_log(clip, feature_set, old) for clip in clips}
    frames = read_frames(source.frames, feature_set)
    listed = {clip.name for clip in clips}
    if without := [clip.name for clip in clips if clip.name not in frames]:
        raise InputError(
            f"{path}: {len(without)} of {len(clips)} clips have no frames in {source.frames}, "
            f"{without[0]!r} first; add their features or drop the rows."
        )
    if without := [name for name in frames if name not in listed]:
        raise InputError(
            f"{source.frames}: {len(without)} of {len(frames)} clips are not in {path}, "
            f"{without[0]!r} first; list them or drop their frames."
        )
    return frames


def assemble(
    listed: Listed, measured: Mapping[str, npt.NDArray[np.float64]], corpus: str
) -> FeatureTable:
    """The table of listed clips, in their order.

    Args:
        measured: features of each clip, `[frames, features]`, by its name.

    Raises:
        InputError: a clip of other length than the list says.
    """
    clips, opinions = listed.clips, listed.opinions
    lengths = np.array([len(measured[clip.name]) for clip in clips])
    for clip, length in zip(clips, lengths, strict=True):
        if clip.n_frames not in (None, length):
            raise InputError(
                f"{listed.path}: clip {clip.name!r} has {clip.n_frames} frames, its features "
                f"{length}; frames are missing, measure it again or correct n_frames."
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
    return FeatureTable(
        feature_set=listed.feature_set,
        corpus=repeated([corpus] * len(clips)),
        source=repeated([clip.source for clip in clips]),
        clip=repeated([clip.name for clip in clips]),
        index=np.concatenate([np.arange(length, dtype=np.int32) for length in lengths]),
        features=np.concatenate([measured[clip.name] for clip in clips]),
        labels={} if first.mos is None else {"mos": mos.astype(np.float64)},
        provenance={"backend": "import", "inputs": logs, **scale},
        mos_ci95=None if first.mos_ci95 is None else ci95.astype(np.float64),
        experiment=None
        if first.experiment is None
        else repeated([opinion.experiment for opinion in opinions]),
    )


def with_teachers(table: FeatureTable, names: Sequence[str]) -> FeatureTable:
    """The table with the scores that models give its features, as further labels.

    Raises:
        InputError: no such model, or one of other features.
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


SHARD_ROWS = 200_000  # of a shard, but for its last clip


def import_dataset(
    source: ImportSource,
    out: Path,
    *,
    label_scale: LabelScale | None = None,
    features: str = FEATURES.name,
    teachers: Sequence[str] = (),
    name: str | None = None,
    shard_rows: int = SHARD_ROWS,
    progress: Progress = NO_PROGRESS,
) -> Contents:
    """Puts a list of logs into the dataset `out`, never holding more than a shard of them.

    Args:
        source: its `logs`; the rest as for `import_features`.
        shard_rows: a shard ends with the clip that brings it to so many rows.

    Returns:
        What the dataset holds.

    Raises:
        InputError: as `import_features`, a source that is no list of logs, or a folder that has
            another writer or holds other things.
    """
    if source.logs is None:
        raise InputError(f"{out}: a folder takes --logs; name a .parquet file for other sources.")
    with writing(out) as writer:
        listed = list_clips(source, label_scale=label_scale, features=features, progress=progress)
        on_clip = progress.clips(listed.clips)
        corpus = name or listed.path.stem
        contents: Contents | None = None
        shards: list[Path] = []
        old: list[Path] = []
        for table in _tables(listed, corpus, shard_rows, old):
            scored = with_teachers(table, teachers)
            shards.append(out / f"part-{len(shards):06d}.parquet")
            scored.write(shards[-1])
            held = Contents.of(scored)
            contents = held if contents is None else contents + held
            for frames in np.unique(table.clip_groups()[1], return_counts=True)[1].tolist():
                on_clip(frames)
        writer.finish(shards)
    if contents is None:
        raise InputError(f"{listed.path}: lists no clip; add rows.")
    remark(contents.sources, contents.labels, progress)
    remark_old_logs(old, len(listed.clips), progress)
    return contents


def _tables(
    listed: Listed, corpus: str, shard_rows: int, old: list[Path]
) -> Iterator[FeatureTable]:
    """The clips' tables, several clips in each; `old` as in `read_clip_log`."""
    first, rows, measured = 0, 0, {}
    for k, clip in enumerate(listed.clips, 1):
        measured[clip.name] = read_clip_log(clip, listed.feature_set, old)
        rows += len(measured[clip.name])
        if rows >= shard_rows or k == len(listed.clips):
            yield assemble(listed[first:k], measured, corpus)
            first, rows, measured = k, 0, {}
