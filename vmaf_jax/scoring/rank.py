"""Several distorted videos scored in one go and ranked: encodes of a source, folder against folder.

Videos are measured side by side. One that fails does not stop the others: it is named, with its
reason, beside the ranking of the rest.
"""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vmaf_jax.corpora.clips import Clip
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import as_video, extract_each
from vmaf_jax.extraction.request import Pair, Request, TableOrError, parse_extra_metrics
from vmaf_jax.extraction.shards import check_engine
from vmaf_jax.files import is_folder
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.intervals import check_interval
from vmaf_jax.scoring.model import AUTO, PHONE, Choice, Model, choose, load_scorer
from vmaf_jax.scoring.score import DEFAULT_MODEL, scores_of
from vmaf_jax.scoring.scores import Compared, Scores
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.inputs import VIDEO_SUFFIXES, Video

_SHOWN = 5  # videos of a ranking where it is printed
PathLike = str | os.PathLike[str]


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
        ranked: the highest clip score first; equal ones by name.
        failed: those without a score, in the order given.
    """

    ranked: list[Scores]
    failed: list[Failure]

    def __repr__(self) -> str:
        rows = zip(self.ranked, self.names(), strict=True)
        lines = [f"  {scores.pooled:.3f} {name}" for scores, (_, name) in rows]
        more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
        failed = f", {len(self.failed)} not scored" if self.failed else ""
        head = f"Ranking({len(self.ranked)} videos{failed}"
        return "\n".join([head, *lines[:_SHOWN], *more]) + ")"

    def names(self) -> list[tuple[str, str]]:
        """Reference and distorted video of each, by the shortest paths that tell files apart."""
        pairs = [
            (scores.pair.reference.path, scores.pair.distorted.path)
            if scores.pair is not None
            else (Path(str(scores.table.source[0])), Path(str(scores.table.clip[0])))
            for scores in self.ranked
        ]
        references = shortest_paths([reference for reference, _ in pairs])
        return list(zip(references, shortest_paths([path for _, path in pairs]), strict=True))

    def to_dict(self, *, per_frame: bool = False) -> dict[str, Any]:
        """The result as JSON writes it."""
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

    def to_arrow(self) -> Any:
        """A `pyarrow.Table`, a row a video: `rank`, its names, `score` and the frames' spread.

        `bytes` are of the file, and `kbit_per_s` is its size over its duration. With
        `inside_training_region`, and the interval's ends `low` and `high` where asked for.
        """
        import pyarrow as pa

        rows = [
            {
                "rank": rank,
                "reference": names[0],
                "distorted": names[1],
                "score": scores.pooled,
                "bytes": scores.size,
                "kbit_per_s": scores.bitrate,
                **(
                    {}
                    if scores.interval is None
                    else {"low": scores.interval.low, "high": scores.interval.high}
                ),
                "inside_training_region": scores.inside_training_region,
                **scores.all_statistics()[scores.model],
            }
            for rank, (scores, names) in enumerate(zip(self.ranked, self.names(), strict=True), 1)
        ]
        return pa.Table.from_pylist(rows)

    def _repr_html_(self) -> str:
        from vmaf_jax.reporting.notebook import ranking_html

        return ranking_html(
            [
                (name, scores.pooled, scores.sure)
                for scores, (_, name) in zip(self.ranked, self.names(), strict=True)
            ],
            [(failure.distorted, failure.reason) for failure in self.failed],
        )

    def check(self) -> None:
        """Raises InputError where a video has no score, with the first one's reason."""
        if self.failed:
            total = len(self.failed) + len(self.ranked)
            raise InputError(
                f"{len(self.failed)} of {total} videos not scored: {self.failed[0].reason}"
            )


def pair_up(reference: PathLike, distorted: Sequence[PathLike]) -> list[tuple[Path, Path]]:
    """Which video is held against which reference.

    A folder stands for the videos in it, sorted by name. In a folder of references, a distorted
    video belongs to the one whose name (without suffix) its own begins with, the longest first:
    `park_crf30.mp4` to `park.y4m`.

    Raises:
        InputError: a folder holds no videos, or a distorted video fits no reference.
    """
    files = [path for name in distorted for path in _videos(Path(name))]
    whole = Path(reference)
    if not is_folder(whole):
        return [(whole, path) for path in files]
    references = sorted(_videos(whole), key=lambda path: -len(path.stem))
    stems = [path.stem for path in references]
    for stem in stems:
        if stems.count(stem) > 1:
            raise InputError(f"{whole}: two references are named {stem}; rename one.")
    pairs = []
    for path in files:
        fitting = [r for r in references if _belongs(path.stem, r.stem)]
        if not fitting:
            raise InputError(
                f"{path}: begins with the name of no reference in {whole} "
                f"({', '.join(sorted(stems)[:5])}); rename it, or name its reference."
            )
        pairs.append((fitting[0], path))
    return pairs


def shortest_paths(paths: Sequence[Path]) -> list[str]:
    """Each file's name, with as many of its folders before it as tell it from the others."""
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


def _videos(path: Path) -> list[Path]:
    if not is_folder(path):
        return [path]
    inside = sorted(p for p in path.iterdir() if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
    if not inside:
        raise InputError(f"{path}: a folder without videos; name one that has some.")
    return inside


def _belongs(name: str, stem: str) -> bool:
    rest = name.removeprefix(stem)
    return name.startswith(stem) and not (rest and rest[0].isalnum())


def rank(
    reference: PathLike,
    distorted: Sequence[PathLike],
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    backend: str = "libvmaf",
    width: int | None = None,
    height: int | None = None,
    pix_fmt: str | None = None,
    teachers: tuple[str, ...] = (),
    cache: Path | None = None,
    extra_metrics: tuple[str, ...] = (),
    interval: float | None = None,
    engine: str = "local",
    address: str | None = None,
    comparison: Comparison = DEFAULT_COMPARISON,
    progress: Progress = NO_PROGRESS,
) -> Ranking:
    """Scores distorted videos against their reference, and ranks them by the clip's score.

    Args:
        reference: a file, or a folder of references (`pair_up`).
        distorted: files, or folders of them.
        model, backend, width, height, pix_fmt, teachers, cache, extra_metrics, interval,
            comparison: as for `score`.
        engine: `local`, or `ray`: libvmaf on a cluster, a video a core.
        address: of the Ray cluster, as `ray_cluster` has it.

    Raises:
        InputError: nothing can be measured at all: a bad model, setting or folder, a cluster that
            cannot be used. A video that fails alone is in the result's `failed`.
    """
    check_engine(engine, address)
    if engine == "ray" and backend != "libvmaf":
        raise InputError(f"--engine ray: libvmaf measures; drop --backend {backend}.")
    pairs = pair_up(reference, distorted)
    choice = _choice(model, {r: as_video(r, width, height, pix_fmt) for r, _ in pairs})
    loaded = load_scorer(choice.model)
    if interval is not None:
        check_interval(loaded, interval, within=False)
    request = Request(
        teachers,
        loaded.feature_set,
        comparison,
        cache,
        extra_metrics=parse_extra_metrics(extra_metrics),
    )
    videos = [
        (as_video(r, width, height, pix_fmt), as_video(d, width, height, pix_fmt)) for r, d in pairs
    ]
    clips = [Clip("score", v[0].path.stem, v[1].path.stem, *v) for v in videos]
    on_pair = progress.clips(clips)
    started = time.perf_counter()
    outcomes = _measured(videos, request, backend, engine, address, on_pair)
    seconds = (time.perf_counter() - started) / len(pairs)  # they are measured side by side
    ranked, failed = [], []
    for (source, path), pair, outcome in zip(pairs, videos, outcomes, strict=True):
        if isinstance(outcome, FeatureTable):
            scores = scores_of(loaded, outcome, interval=interval, extraction_s=seconds)
            compared = Compared(*pair, comparison)
            ranked.append(dataclasses.replace(scores, choice=choice.reason, pair=compared))
        else:
            failed.append(Failure(str(source), str(path), str(outcome)))
    ranked.sort(key=lambda scores: (-scores.pooled, str(scores.table.clip[0])))
    return Ranking(ranked, failed)


def _measured(
    pairs: Sequence[Pair],
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


def _choice(model: str | Path | Model, references: Mapping[Path, Video]) -> Choice:
    """The one model that all are scored with: scores of two models are not ranked in one table."""
    if model not in (AUTO, PHONE):
        return Choice(model)
    choices = [choose(model, video) for video in references.values()]
    names = {str(getattr(choice.model, "name", choice.model)) for choice in choices}
    if len(names) > 1:
        raise InputError(
            f"--model auto: these references call for {' and '.join(sorted(names))}; score them "
            f"apart, or name one model."
        )
    return choices[0]
