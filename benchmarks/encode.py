"""`encode` beside a search on samples and beside bisection of whole files, on clips made here.

    python -m benchmarks.encode [--repeats 1] [--json]

Both rivals are written from what is documented of them. The search on samples is that of ab-av1:
samples of 20 seconds, one for each twelve minutes, interpolated bisection between CRF 10 and 46
(55 of AV1), in steps of 0.1 (1 of AV1), without a look at the finished file. Bisection encodes and
measures whole files over the encoder's scale in steps of 1. Frames are counted, since times on a
shared machine tell little. The rivals' scores are kept below the cache beside the clips, so that a
broken run goes on.
"""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.command import run
from vmaf_jax.benchmarks.timing import Figures, machine
from vmaf_jax.corpora.demo import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, cache_dir, make_dir, write_text
from vmaf_jax.jobs.encode import EncodeSettings, encode
from vmaf_jax.scoring.score import score
from vmaf_jax.video.encoders import ENCODERS, EncodeRecipe, encode_video
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video

_SIZE, _RATE, _SHOT = (320, 180), 24, 48  # pixels; frames per second; frames of a source's clip
_SECONDS = 40
_TARGETS = (80.0, 90.0, 95.0)
_MODEL = "vmaf_v0.6.1"
_SAMPLE_SECONDS = 20  # of the search on samples
_ALLOWED = 0.25  # points that a finished file may be below the target


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A finished file by one way of searching.

    Attributes:
        above: Points by which its score, of all frames, is above the target; None without a file.
        encoded, measured: Frames, in files.
    """

    above: float | None
    encoded: float
    measured: float


def bench_encode(repeats: int = 1, encoders: tuple[str, ...] = ("libx264", "libsvtav1")) -> Figures:
    """Searches for the targets on all clips by every way; the figures are over clips and targets.

    Args:
        repeats: Without effect: a search gives the same every time.
    """
    ffmpeg = find_ffmpeg()
    folder = make_dir(cache_dir() / "benchmark_encode")
    results: dict[str, dict[str, list[Outcome]]] = {}
    for name in CLIPS:
        clip = folder / f"{name}.mkv"
        if not clip.exists():
            with atomic_path(clip) as temporary:
                CLIPS[name](ffmpeg, temporary)
        for encoder in encoders:
            ways = results.setdefault(encoder, {})
            for way, outcomes in _search_clip(ffmpeg, clip, encoder).items():
                ways.setdefault(way, []).extend(outcomes)
    return {
        "machine": machine(),
        "clips": len(CLIPS),
        "targets": ", ".join(f"{target:g}" for target in _TARGETS),
        **{
            f"{encoder}: {way}": _summary(outcomes)
            for encoder, ways in results.items()
            for way, outcomes in ways.items()
        },
    }


def _summary(outcomes: list[Outcome]) -> Figures:
    above = np.array([-100.0 if o.above is None else o.above for o in outcomes])
    return {
        "files": len(outcomes),
        "at or above target - 0.25 (share)": float(np.mean(above >= -_ALLOWED)),
        "points above (median)": float(np.median(above)),
        "points above (lowest)": float(above.min()),
        "points above (highest)": float(above.max()),
        "frames encoded (files, mean)": float(np.mean([o.encoded for o in outcomes])),
        "frames measured (files, mean)": float(np.mean([o.measured for o in outcomes])),
    }


def _search_clip(ffmpeg: Ffmpeg, clip: Path, encoder: str) -> dict[str, list[Outcome]]:
    """Returns an outcome for each target by each way."""
    with tempfile.TemporaryDirectory(dir=clip.parent) as work:
        whole = Encodes(ffmpeg, clip, encoder, Path(work))
        return {
            "samples": _by_samples(whole),
            "bisection": [_by_bisection(whole, target) for target in _TARGETS],
            "encode": [_by_encode(whole, target) for target in _TARGETS],
        }


class Encodes:
    """Scores of encodes of a clip, or of a sample of it, by setting; kept beside the clip."""

    def __init__(
        self, ffmpeg: Ffmpeg, clip: Path, encoder: str, work: Path, part: str = ""
    ) -> None:
        """Starts with those that were kept.

        Args:
            part: Filters that cut the sample.
        """
        self.ffmpeg, self.clip, self.encoder, self.work = ffmpeg, clip, encoder, work
        self._kept = clip.with_name(f"{clip.stem}-{encoder}{'-sample' if part else ''}.json")
        self._scores = json.loads(self._kept.read_text()) if self._kept.exists() else {}
        self._source = work / "sample.mkv" if part else clip
        self._part = part

    def score(self, setting: float) -> float:
        """Returns the score of the encode at a setting."""
        key = f"{setting:g}"
        if key not in self._scores:
            if self._part and not self._source.exists():
                _write(
                    self.ffmpeg, [*Video(self.clip).arguments(), "-vf", self._part], self._source
                )
            row = ENCODERS[self.encoder]
            recipe, out = EncodeRecipe(row, row.preset, "yuv420p"), self.work / "encode.mkv"
            encode_video(self.ffmpeg, Video(self._source), recipe, setting, out)
            self._scores[key] = score(self._source, out, _MODEL, cache=self.work).pooled
            write_text(self._kept, json.dumps(self._scores))
        return float(self._scores[key])


def _by_encode(whole: Encodes, target: float) -> Outcome:
    out = whole.work / "finished.mkv"
    settings = EncodeSettings(target=target, model=_MODEL, encoder=whole.encoder)
    found = encode(whole.clip, out, settings)
    n = found.n_frames
    sampled = sum(length for _, length in found.segments)
    probed = len(found.probes) * sampled / n  # those of another target too, which are cached
    measured = probed + sum(entry.frames_measured for entry in found.encodes) / n
    reached = None
    if found.finished is not None:
        reached = score(whole.clip, out, _MODEL, cache=whole.work).pooled - target
        out.unlink()
    return Outcome(reached, probed + len(found.encodes), measured)


def _by_bisection(whole: Encodes, target: float) -> Outcome:
    scale = ENCODERS[whole.encoder].settings
    low, high, tries = int(scale.best), int(scale.worst) + 1, 0
    while high - low > 1:
        middle, tries = (low + high) // 2, tries + 1
        if whole.score(float(middle)) >= target:
            low = middle
        else:
            high = middle
    return Outcome(whole.score(float(low)) - target, float(tries), float(tries))


def _by_samples(whole: Encodes) -> list[Outcome]:
    """Searches on a sample from the middle; the finished file is measured for the figures alone."""
    n = _SAMPLE_SECONDS * _RATE
    first = (_SECONDS * _RATE - n) // 2
    chosen = f"trim=start_frame={first}:end_frame={first + n},setpts=PTS-STARTPTS"
    parts = Encodes(whole.ffmpeg, whole.clip, whole.encoder, whole.work, chosen)
    is_x264 = whole.encoder in ("libx264", "libx265")
    worst, step = (46.0, 0.1) if is_x264 else (55.0, 1.0)
    outcomes = []
    for target in _TARGETS:
        setting, tries = _interpolate(parts.score, target, worst, step)
        share = tries * n / (_SECONDS * _RATE)
        above = None if setting is None else whole.score(setting) - target
        outcomes.append(Outcome(above, share + 1, share))
    return outcomes


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


def _mix(seed: int, shots: tuple[int, int], chain: str = "null") -> Callable[[Ffmpeg, Path], None]:
    """Returns a maker of a clip of windows over the demo corpus's sources, cut one to the next.

    Args:
        shots: Shortest and longest shot, frames.
        chain: Filters of the whole.
    """

    def make(ffmpeg: Ffmpeg, out: Path) -> None:
        rng = np.random.default_rng(seed)
        sources = sorted({clip.reference.path for clip in load_clips()})
        inputs: list[str] = []
        chains: list[str] = []
        left = _SECONDS * _RATE
        while left > 0:
            length = min(left, int(rng.integers(shots[0], shots[1] + 1)))
            window = f"{_SIZE[0]}:{_SIZE[1]}:{rng.integers(0, 256)}:{rng.integers(0, 144)}"
            turns = ",".join(f for f in ("hflip", "vflip", "reverse") if rng.random() < 1 / 3)
            k = len(chains)
            inputs += Video(Path(rng.choice([str(path) for path in sources]))).arguments()
            # Forth and back again, as long as the shot is.
            there_and_back = f"split[f{k}][b{k}];[b{k}]reverse[r{k}];[f{k}][r{k}]concat"
            chains.append(
                f"[{k}:v]{turns or 'null'},crop={window},setsar=1,{there_and_back},"
                f"loop=-1:{2 * _SHOT}:0,trim=end_frame={length},setpts=N/{_RATE}/TB[s{k}]"
            )
            left -= length
        joined = "".join(f"[s{k}]" for k in range(len(chains)))
        chains.append(f"{joined}concat=n={len(chains)},{chain},format=yuv420p[o]")
        _write(ffmpeg, [*inputs, "-filter_complex", ";".join(chains), "-map", "[o]"], out)

    return make


def _synthetic(source: str) -> Callable[[Ffmpeg, Path], None]:
    """Returns a maker of a clip from one of ffmpeg's generators."""

    def make(ffmpeg: Ffmpeg, out: Path) -> None:
        _write(ffmpeg, ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"], out)

    return make


def _write(ffmpeg: Ffmpeg, arguments: list[str], out: Path) -> None:
    ends = ["-r", str(_RATE), "-t", str(_SECONDS), "-c:v", "ffv1", "-g", "1", "-f", "matroska"]
    line = ["-nostdin", "-v", "error", "-y", *arguments, *ends, str(out)]
    if (result := run_ffmpeg(ffmpeg, line)).code:
        raise InputError(f"{out}: cannot be made ({result.report.strip()[-300:]}).")


_FORM = f"size={_SIZE[0]}x{_SIZE[1]}:rate={_RATE}"
CLIPS = {
    "cuts_of_a_second": _mix(1, (18, 36)),
    "cuts_of_two_seconds": _mix(2, (36, 72)),
    "cuts_of_four_seconds": _mix(3, (72, 120)),
    "long_shots": _mix(4, (160, 240)),
    "mixed_shots": _mix(5, (12, 200)),
    "mixed_shots_again": _mix(6, (12, 200)),
    "noise": _mix(7, (36, 120), "noise=alls=12:allf=t"),
    "grain_in_half": _mix(8, (36, 120), "noise=alls=16:allf=t:enable='gte(n,480)'"),
    "fades_to_black": _mix(
        9,
        (96, 144),
        "fade=in:0:48,eq=brightness='-max(0,1-abs(n-480)/60)':eval=frame,fade=out:912:48",
    ),
    "dark": _mix(10, (36, 120), "eq=brightness=-0.25:contrast=0.6"),
    "soft": _mix(11, (36, 120), "gblur=sigma=1.5"),
    "screen": _synthetic(f"testsrc2={_FORM}"),
    "fractal": _synthetic(f"mandelbrot={_FORM}"),
    "moving_tiles": _synthetic(
        f"life={_FORM}:mold=10:seed=1:death_color=#C83232:life_color=#00ff00"
    ),
}


if __name__ == "__main__":
    sys.exit(run(bench_encode))
