"""`encode` beside a search on samples and beside bisection of whole files, on clips made here.

    python -m benchmarks.encode --out results.json [--minutes 10] [--encoder libx264] [--rotate]
        [--way encode] [--write] [--json]

Three encoders and four targets, one of them in votes. Both rivals are written from what is
documented of them. The search on samples is that of ab-av1: samples of 20 seconds, one for each
twelve minutes, interpolated bisection between CRF 10 and 46 (55 of AV1), in steps of 0.1 (1 of
AV1), without a look at the finished file. Bisection encodes and measures whole files over the
encoder's scale in steps of 1. Frames are counted, since times on a shared machine tell little.
Every search starts with an empty cache. Results are appended to one file, and what is in it is not
run again: after `--minutes` the benchmark stops with the figures of what there is. With `--rotate`
each clip has one encoder and one target, in rotation; `--write` puts the table of the searches that
all ways made into docs/target-quality.md.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.encode_clips import CLIPS, RATE, SECONDS, make_clip
from benchmarks.matrix import write_table
from vmaf_jax.benchmarks.timing import Figures, machine, to_lines
from vmaf_jax.errors import InputError
from vmaf_jax.files import to_json, write_text
from vmaf_jax.jobs.encode import EncodeSettings, encode
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.scoring.score import score
from vmaf_jax.video.encoders import ENCODERS, EncodeRecipe, encode_video
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video

_PRESETS = {"libx264": "medium", "libx265": "veryfast", "libsvtav1": "9"}
_VMAF, _VOTES = "vmaf_v0.6.1", "opinions"
_TARGETS = ((90.0, _VMAF), (80.0, _VMAF), (95.0, _VMAF), (3.8, _VOTES))
_SAMPLE_SECONDS = 20  # of the search on samples
_ALLOWED = 0.25  # points that a finished file may be below the target
_MISSED = -100.0  # points above the target without a file
_WAYS = ("encode", "bisection", "samples")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished file by one way of searching.

    Attributes:
        clip, encoder, target, way: Which search.
        above: Points by which its score, of all frames, is above the target; None where the target
            was refused, since the weakest setting is far above it.
        encoded, measured: Frames, in files; small pictures count by their share of the pixels.
    """

    clip: str
    encoder: str
    target: float
    way: str
    above: float | None
    encoded: float
    measured: float


class Results:
    """Outcomes, and scores of the rivals' encodes, kept in one JSON file."""

    def __init__(self, path: Path) -> None:
        """Starts with what the file holds."""
        self._path = path
        kept = json.loads(path.read_text()) if path.exists() else {"outcomes": [], "scores": {}}
        self.outcomes = [Outcome(**row) for row in kept["outcomes"]]
        self.scores: dict[str, dict[str, float]] = kept["scores"]

    def has(self, clip: str, encoder: str, target: float, way: str) -> bool:
        """Returns whether a search was run."""
        return any(
            (o.clip, o.encoder, o.target, o.way) == (clip, encoder, target, way)
            for o in self.outcomes
        )

    def write(self) -> None:
        """Writes the file."""
        rows = [dataclasses.asdict(outcome) for outcome in self.outcomes]
        write_text(self._path, json.dumps({"outcomes": rows, "scores": self.scores}, indent=0))


@dataclasses.dataclass(frozen=True)
class Encodes:
    """Scores of encodes of a clip, or of a sample of it, by setting.

    Attributes:
        part: Filters that cut the sample.
    """

    ffmpeg: Ffmpeg
    clip: Path
    encoder: str
    model: str
    results: Results
    part: str = ""

    def score(self, setting: float) -> float:
        """Returns the score of the encode at a setting."""
        key = f"{self.clip.stem} {self.encoder} {setting:g}{' sample' if self.part else ''}"
        if key not in self.results.scores:
            with tempfile.TemporaryDirectory() as work:
                source = Path(work) / "sample.mkv" if self.part else self.clip
                if self.part:
                    _cut(self.ffmpeg, self.clip, self.part, source)
                row, out = ENCODERS[self.encoder], Path(work) / "encode.mkv"
                recipe = EncodeRecipe(row, _PRESETS[self.encoder], "yuv420p")
                encode_video(self.ffmpeg, Video(source), recipe, setting, out)
                self.results.scores[key] = _score(source, out, Path(work))
        return self.results.scores[key][self.model]


def bench_encode(
    out: Path,
    minutes: float,
    encoders: Sequence[str] = tuple(_PRESETS),
    ways: Sequence[str] = _WAYS,
    *,
    rotate: bool = False,
) -> Results:
    """Searches for the targets on all clips by every way.

    Args:
        out: Where results are kept.
        minutes: After which no further search is begun.
        encoders, ways: Those that are run.
        rotate: Whether each clip has one encoder and one target.

    Returns:
        All that the file has then.
    """
    ffmpeg, results = find_ffmpeg(), Results(out)
    end = time.monotonic() + 60 * minutes
    cases = list(itertools.product(_TARGETS, encoders, CLIPS))
    if rotate:  # 3 and 4 have no common divisor: twelve clips have all pairs
        cases = list(zip(itertools.cycle(_TARGETS), itertools.cycle(encoders), CLIPS, strict=False))
    # In an order drawn once: those that were run so far are a fair sample of all.
    order = np.random.default_rng(0).permutation(len(cases))
    rivals = [way for way in ways if way != "encode"]
    for way, place in itertools.product((("encode",) if "encode" in ways else (), rivals), order):
        (target, model), encoder, name = cases[place]
        for each in way:
            if time.monotonic() > end:
                break
            if not results.has(name, encoder, target, each):
                encodes = Encodes(ffmpeg, make_clip(ffmpeg, name), encoder, model, results)
                above, encoded, measured = _SEARCHES[each](encodes, target)
                results.outcomes.append(
                    Outcome(name, encoder, target, each, above, encoded, measured)
                )
                results.write()
    return results


def _summarize(outcomes: list[Outcome]) -> dict[str, Figures]:
    figures: dict[str, Figures] = {}
    for encoder, (target, _) in itertools.product(_PRESETS, _TARGETS):
        here = [o for o in outcomes if (o.encoder, o.target) == (encoder, target)]
        figures |= _compare(f"{encoder} at {target:g}", here)
    for encoder in _PRESETS:
        figures |= _compare(encoder, [o for o in outcomes if o.encoder == encoder])
    return figures | _compare("all", outcomes)


def _compare(name: str, outcomes: list[Outcome]) -> dict[str, Figures]:
    """Returns figures of all searches by `encode`, and of all ways where every way was run."""
    by_way = _searches_by_way(outcomes)
    shared = _shared(by_way)
    figures = {name: _figures(list(by_way["encode"].values()))} if by_way["encode"] else {}
    if shared:
        for way, searches in by_way.items():
            figures[f"{name}, {way}"] = _figures([searches[key] for key in shared])
    return figures


_Searches = dict[str, dict[tuple[str, str, float], Outcome]]


def _searches_by_way(outcomes: Sequence[Outcome]) -> _Searches:
    """Returns the searches of each way by clip, encoder and target, refused ones left out."""
    return {
        way: {
            (o.clip, o.encoder, o.target): o
            for o in outcomes
            if o.way == way and o.above is not None
        }
        for way in _WAYS
    }


def _shared(by_way: _Searches) -> list[tuple[str, str, float]]:
    """Returns the searches that all ways made."""
    return sorted(set.intersection(*(set(searches) for searches in by_way.values())))


def _figures(outcomes: list[Outcome]) -> Figures:
    above = np.array([o.above for o in outcomes])
    return {
        "searches": len(outcomes),
        "at or above target - 0.25 (share)": float(np.mean(above >= -_ALLOWED)),
        "points above (median)": float(np.median(above)),
        "points above (lowest)": float(above.min()),
        "points above (highest)": float(above.max()),
        "frames encoded (files, mean)": float(np.mean([o.encoded for o in outcomes])),
        "frames measured (files, mean)": float(np.mean([o.measured for o in outcomes])),
    }


def _search_by_encode(encodes: Encodes, target: float) -> tuple[float | None, float, float]:
    is_vote = encodes.model == _VOTES
    settings = EncodeSettings(
        target=target,
        votes=is_vote,
        model=encodes.model,
        encoder=encodes.encoder,
        preset=_PRESETS[encodes.encoder],
    )
    with tempfile.TemporaryDirectory() as work:
        out = Path(work) / "finished.mkv"
        try:
            with _empty_cache(Path(work)):
                found = encode(encodes.clip, out, settings)
        except InputError as error:
            if "even the weakest" not in str(error):
                raise
            return None, 0.0, 0.0
        n = found.n_frames
        probed, measured = (frames / n for frames in found.frames_probed)
        measured += sum(entry.frames_measured for entry in found.encodes) / n
        above = _MISSED
        if found.finished is not None:
            above = _score(encodes.clip, out, Path(work))[encodes.model] - found.target
    return above, probed + len(found.encodes), measured


def _search_by_bisection(encodes: Encodes, target: float) -> tuple[float | None, float, float]:
    scale, points = ENCODERS[encodes.encoder].settings, _in_points(encodes, target)
    low, high, tries = int(scale.best), int(scale.worst) + 1, 0
    while high - low > 1:
        middle, tries = (low + high) // 2, tries + 1
        if encodes.score(float(middle)) >= points:
            low = middle
        else:
            high = middle
    return encodes.score(float(low)) - points, float(tries), float(tries)


def _search_by_samples(encodes: Encodes, target: float) -> tuple[float | None, float, float]:
    """Searches on a sample from the middle; the finished file is measured for the figures alone."""
    n, points = _SAMPLE_SECONDS * RATE, _in_points(encodes, target)
    first = (SECONDS * RATE - n) // 2
    chosen = f"trim=start_frame={first}:end_frame={first + n},setpts=PTS-STARTPTS"
    parts = dataclasses.replace(encodes, part=chosen)
    worst, step = (46.0, 0.1) if encodes.encoder in ("libx264", "libx265") else (55.0, 1.0)
    setting, tries = _interpolate(parts.score, points, worst, step)
    share = tries * n / (SECONDS * RATE)
    above = _MISSED if setting is None else encodes.score(setting) - points
    return above, share + 1, share


_SEARCHES: dict[str, Callable[[Encodes, float], tuple[float | None, float, float]]] = {
    "encode": _search_by_encode,
    "bisection": _search_by_bisection,
    "samples": _search_by_samples,
}


def _interpolate(
    score_at: Callable[[float], float], target: float, worst: float, step: float
) -> tuple[float | None, int]:
    """Returns the setting that interpolated bisection finds, None without one, and its tries."""
    first, last = round(10 / step), round(worst / step)  # settings in steps
    known: dict[int, float] = {}
    place = (first + last) // 2
    while place not in known:
        known[place] = score_at(round(place * step, 1))
        if 0 <= known[place] - target <= 0.05 * len(known):
            return round(place * step, 1), len(known)
        low = max((k for k, value in known.items() if value >= target), default=None)
        high = min((k for k, value in known.items() if value < target), default=None)
        if low is None:
            place = (first + (high or last)) // 2
        elif high is None:
            place = -(-(low + last) // 2)
        else:
            share = (known[low] - target) / (known[low] - known[high])
            place = min(max(round(low + share * (high - low)), low + 1), high - 1)
    return (None if low is None else round(low * step, 1)), len(known)


def _in_points(encodes: Encodes, target: float) -> float:
    """Returns a target in points; the voters of the model had five grades from 1."""
    return 100 * (target - 1) / 4 if encodes.model == _VOTES else target


def _score(reference: Path, encode_: Path, work: Path) -> dict[str, float]:
    """Returns the scores of all frames by both models."""
    return {
        model: score(reference, encode_, model, cache=work / "features").pooled
        for model in (_VMAF, _VOTES)
    }


def _cut(ffmpeg: Ffmpeg, clip: Path, filters: str, out: Path) -> None:
    line = ["-nostdin", "-v", "error", *Video(clip).arguments(), "-vf", filters, "-c:v", "ffv1"]
    if (result := run_ffmpeg(ffmpeg, [*line, str(out)])).code:
        raise InputError(f"{out}: cannot be made ({result.report.strip()[-300:]}).")


@contextlib.contextmanager
def _empty_cache(folder: Path) -> Iterator[None]:
    before = os.environ.get("VMAF_JAX_CACHE")
    os.environ["VMAF_JAX_CACHE"] = str(folder / "cache")
    try:
        yield
    finally:
        del os.environ["VMAF_JAX_CACHE"]
        if before is not None:
            os.environ["VMAF_JAX_CACHE"] = before


_COLUMNS = ["at or above target - 0.25", "median above", "lowest", "highest", "encoded", "measured"]


def to_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns a table with a row for each way, of the searches that all ways made."""
    by_way = _searches_by_way(outcomes)
    shared = _shared(by_way)
    rows = [[way, *_cells([found[key] for key in shared])] for way, found in by_way.items()]
    return "\n".join(markdown_table(["", *_COLUMNS], rows))


def encode_to_markdown(outcomes: Sequence[Outcome]) -> str:
    """Returns a table of the searches by `encode`: of each encoder, of each target, and of all."""
    made = list(_searches_by_way(outcomes)["encode"].values())
    parts = {
        f"{encoder}, {preset}": [o for o in made if o.encoder == encoder]
        for encoder, preset in _PRESETS.items()
    }
    for target, model in sorted(_TARGETS, reverse=True):
        name = f"target {target:g}" + (" in votes" if model == _VOTES else "")
        parts[name] = [o for o in made if o.target == target]
    rows = [[name, *_cells(part)] for name, part in {**parts, "all": made}.items() if part]
    return "\n".join(markdown_table(["", *_COLUMNS], rows))


def _cells(outcomes: Sequence[Outcome]) -> list[str]:
    above = np.array([o.above for o in outcomes], np.float64)
    figures = [np.median(above), above.min(), above.max()]
    figures += [np.mean([o.encoded for o in outcomes]), np.mean([o.measured for o in outcomes])]
    held = f"{(above >= -_ALLOWED).sum()} of {len(above)}"
    return [held, *(f"{figure:.2f}" for figure in figures)]


def main() -> int:
    """Runs the benchmark as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description=bench_encode.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the results")
    parser.add_argument("--minutes", type=float, default=np.inf, help="begin no search after them")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--write", action="store_true", help="write the tables into the page")
    parser.add_argument("--rotate", action="store_true", help="one search for each clip")
    parser.add_argument("--encoder", action="append", choices=_PRESETS, help="one of several")
    parser.add_argument("--way", action="append", choices=_WAYS, help="one of several")
    options = parser.parse_args()
    results = bench_encode(
        options.out,
        options.minutes,
        options.encoder or tuple(_PRESETS),
        options.way or _WAYS,
        rotate=options.rotate,
    )
    summary = _summarize(results.outcomes)
    figures: Figures = {"machine": machine(), "clips": len(CLIPS), **summary}
    if options.write:
        page = Path("docs/target-quality.md")
        write_table(page, "searches", to_markdown(results.outcomes))
        write_table(page, "searches of encode", encode_to_markdown(results.outcomes))
    print(to_json(figures) if options.json else "\n".join(to_lines(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
