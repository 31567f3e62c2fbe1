"""Several distorted videos scored together and ranked: encodes of a source, folder against folder.

Videos are measured side by side. One that fails does not stop the others: it is named, with its
reason, beside the ranking of the rest.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import check_backend, extract_each
from vmaf_jax.extraction.request import Request, TableOrError, check_engine
from vmaf_jax.files import is_folder
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.model import (
    AUTO,
    PHONE,
    V1,
    Model,
    ModelChoice,
    ModelLike,
    choose_at_distance,
    choose_model,
    load_scorer,
)
from vmaf_jax.scoring.score import (
    DEFAULT_MODEL,
    DEFAULT_SETTINGS,
    ScoreSettings,
    add_worst_region,
    predict_scores,
)
from vmaf_jax.scoring.scores import Scores
from vmaf_jax.video.inputs import VIDEO_SUFFIXES, Clip, Video, VideoPair

_MAX_PRINTED = 5  # videos of a ranking where it is printed
PathLike = str | os.PathLike[str]


def rank(
    reference: PathLike,
    distorted: Sequence[PathLike],
    model: ModelLike = DEFAULT_MODEL,
    settings: ScoreSettings = DEFAULT_SETTINGS,
    *,
    engine: str = "local",
    address: str | None = None,
    progress: Progress = NO_PROGRESS,
) -> "Ranking":
    """Scores distorted videos against their reference, and ranks them by the clip's score.

    Args:
        reference: A file, or a folder of references (`pair_videos`).
        distorted: Files, or folders of them.
        model: As for `score`.
        settings: Without a provider and `within`, which are of one pair.
        engine: `local`, or `ray`: libvmaf on a cluster, a video a core.
        address: Of the Ray cluster, `HOST:PORT` or `auto`.
        progress: Receives the frames of each video that is measured.

    Raises:
        InputError: Nothing can be measured at all: a bad model, setting or folder, a cluster that
            cannot be used. A video that fails alone is in the result's `failed`.
    """
    check_engine(engine, address)
    check_backend(settings.backend)
    if settings.within is not None:
        raise InputError("--within is of one pair; name one distorted video, or drop it.")
    if engine == "ray" and settings.backend != "libvmaf":
        raise InputError(f"--engine ray: libvmaf measures; drop --backend {settings.backend}.")
    pairs = [settings.as_pair(r, d) for r, d in pair_videos(reference, distorted)]
    if settings.distance is None:
        choice = _choose_one_model(model, [pair[0] for pair in pairs], settings.display)
    else:
        choice = choose_at_distance(model, settings.distance)
    loaded = load_scorer(choice.model)  # before the long work, which a bad model would waste
    settings.check_calibration(loaded)
    clips = [Clip("score", r.path.stem, d.path.stem, r, d) for r, d in pairs]
    started = time.perf_counter()
    outcomes = _measure(
        pairs,
        settings.request(loaded.feature_set),
        settings.backend,
        engine,
        address,
        progress.clips(clips),
    )
    seconds = (time.perf_counter() - started) / len(pairs)  # they are measured side by side
    ranked, failed = [], []
    for (source, encode), outcome in zip(pairs, outcomes, strict=True):
        if isinstance(outcome, InputError):
            failed.append(Failure(str(source.path), str(encode.path), str(outcome)))
            continue
        try:
            scores = predict_scores(
                loaded, choice.reason, outcome, (source, encode), settings, extraction_s=seconds
            )
            ranked.append(add_worst_region(scores, loaded) if settings.worst_region else scores)
        except InputError as error:
            failed.append(Failure(str(source.path), str(encode.path), str(error)))
    # By name where scores are equal, so that the order does not depend on who finished first.
    ranked.sort(key=lambda scores: (-scores.pooled, str(scores.table.clip[0])))
    return Ranking(ranked, failed)


def _measure(
    pairs: Sequence[VideoPair],
    request: Request,
    backend: str,
    engine: str,
    address: str | None,
    on_pair: Callable[[int], None],
) -> list[TableOrError]:
    if engine == "local":
        return extract_each(pairs, request, backend=backend, on_pair=on_pair)
    from vmaf_jax.extraction.ray import extract_each_by_ray

    return extract_each_by_ray(pairs, request, address=address, on_pair=on_pair)


def _choose_one_model(
    model: ModelLike, references: Sequence[Video], display: str | None
) -> ModelChoice:
    """Returns the one model for all references: scores of two models cannot be ranked together."""
    if model not in (AUTO, V1, PHONE) and display is None:
        return ModelChoice(model)
    choices = [choose_model(model, video, display) for video in dict.fromkeys(references)]
    names = {c.model.name if isinstance(c.model, Model) else str(c.model) for c in choices}
    if len(names) > 1:
        raise InputError(
            f"--model {model}: these references call for {' and '.join(sorted(names))}; score them "
            f"apart, or name one model."
        )
    return choices[0]


@dataclasses.dataclass(frozen=True)
class Failure:
    """A distorted video that could not be scored, and why."""

    reference: str
    distorted: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Scores of several videos.

    Attributes:
        ranked: The highest clip score first; equal ones by name.
        failed: Those without a score, in the order given.
    """

    ranked: list[Scores]
    failed: list[Failure]

    def __repr__(self) -> str:
        rows = zip(self.ranked, self.names(), strict=True)
        lines = [f"  {scores.pooled:.3f} {name}" for scores, (_, name) in rows]
        more = [f"  and {len(lines) - _MAX_PRINTED} more"] if len(lines) > _MAX_PRINTED else []
        failed = f", {len(self.failed)} not scored" if self.failed else ""
        head = f"Ranking({format_count(len(self.ranked), 'video')}{failed}"
        return "\n".join([head, *lines[:_MAX_PRINTED], *more]) + ")"

    def names(self) -> list[tuple[str, str]]:
        """Returns reference and distorted video of each, by the shortest paths that differ."""
        references = shortest_paths([scores.paths[0] for scores in self.ranked])
        distorted = shortest_paths([scores.paths[1] for scores in self.ranked])
        return list(zip(references, distorted, strict=True))

    def to_dict(self, *, per_frame: bool = False) -> dict[str, object]:
        """Returns the result as JSON writes it."""
        return {
            "ranked": [
                {
                    **scores.to_dict(per_frame=per_frame),
                    "reference": reference,
                    "distorted": distorted,
                    "bytes": scores.size,
                    "kbit_per_s": scores.bitrate,
                }
                for scores, (reference, distorted) in zip(self.ranked, self.names(), strict=True)
            ],
            "failed": [dataclasses.asdict(failure) for failure in self.failed],
        }

    def to_arrow(self) -> pa.Table:
        """Returns a `pyarrow.Table`, a row a video: `rank`, names, `score`, statistics of frames.

        `bytes` are of the file, and `kbit_per_s` is its size over its duration. With
        `inside_training_region`, and the interval's ends `low` and `high` and the `worst_region`
        (frame, time, box, scores) where requested.
        """
        rows: list[dict[str, object]] = []
        for scores, (reference, distorted) in zip(self.ranked, self.names(), strict=True):
            row = {
                "rank": len(rows) + 1,
                "reference": reference,
                "distorted": distorted,
                "score": scores.pooled,
                "bytes": scores.size,
                "kbit_per_s": scores.bitrate,
            }
            if scores.interval is not None:
                row |= {"low": scores.interval.low, "high": scores.interval.high}
            row["inside_training_region"] = scores.inside_training_region
            if scores.worst_region is not None:
                row["worst_region"] = dataclasses.asdict(scores.worst_region)
            rows.append(row | scores.all_statistics()[scores.model])
        return pa.Table.from_pylist(rows)

    def _repr_html_(self) -> str:
        from vmaf_jax.reporting.notebook import ranking_html

        return ranking_html(
            [
                (name, scores.pooled, scores.interval_text)
                for scores, (_, name) in zip(self.ranked, self.names(), strict=True)
            ],
            [(failure.distorted, failure.reason) for failure in self.failed],
        )

    def check(self) -> None:
        """Checks that every video has a score; raises InputError with the first one's reason."""
        if self.failed:
            total = len(self.failed) + len(self.ranked)
            raise InputError(
                f"{len(self.failed)} of {format_count(total, 'video')} not scored: "
                f"{self.failed[0].reason}"
            )


def pair_videos(reference: PathLike, distorted: Sequence[PathLike]) -> list[tuple[Path, Path]]:
    """Returns each distorted video with the reference that it is measured against.

    A folder stands for the videos in it, sorted by name. In a folder of references, a distorted
    video belongs to the one whose name (without suffix) its own begins with, the longest first:
    `park_crf30.mp4` to `park.y4m`.

    Raises:
        InputError: A folder holds no videos, or a distorted video fits no reference.
    """
    files = [path for name in distorted for path in _expand_folder(Path(name))]
    whole = Path(reference)
    if not is_folder(whole):
        return [(whole, path) for path in files]
    # The longest first: park_run_crf30 belongs to park_run, not to park.
    references = sorted(_expand_folder(whole), key=lambda path: -len(path.stem))
    stems = [path.stem for path in references]
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(f"{whole}: two references are named {stem}; rename one.")
    pairs = []
    for path in files:
        fitting = [r for r in references if _begins_with(path.stem, r.stem)]
        if not fitting:
            raise InputError(
                f"{path}: begins with the name of no reference in {whole} "
                f"({', '.join(sorted(stems)[:5])}); rename it, or name its reference."
            )
        pairs.append((fitting[0], path))
    return pairs


def _expand_folder(path: Path) -> list[Path]:
    """Returns the videos in a folder, sorted by name; of a file the file itself."""
    if not is_folder(path):
        return [path]
    inside = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not inside:
        raise InputError(f"{path}: a folder without videos; name one that has some.")
    return inside


def _begins_with(name: str, stem: str) -> bool:
    """Returns whether a name is `stem`, or goes on after it with no letter or digit."""
    rest = name.removeprefix(stem)
    return name.startswith(stem) and not (rest and rest[0].isalnum())


def shortest_paths(paths: Sequence[Path]) -> list[str]:
    """Returns each file's name, with as many folders before it as tell it from the others."""
    parts = [path.absolute().parts for path in paths]
    names = []
    for own in parts:
        others = {other for other in parts if other != own}
        length = next(
            (n for n in range(1, len(own)) if all(other[-n:] != own[-n:] for other in others)),
            len(own),
        )
        names.append(str(Path(*own[-length:])))
    return names


def list_warnings(scores: Scores) -> list[str]:
    """Returns what differs between two videos, and whether a calibration lacks their title."""
    told = [str(warning) for warning in scores.table.provenance["comparison"]["warnings"]]
    other = scores.other_title
    return told if other is None else [*told, other.removeprefix("warning: ")]
