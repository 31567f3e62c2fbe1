"""The check of step: sound pairs, pairs a frame out of step, and what it adds to measuring.

    python -m benchmarks.steps [--repeats 25] [--json]

Each clip is a scene of a source of the demo corpora, encoded in 20 ways: 25 clips make 500 sound
pairs. Scenes are a pan or a footage as it is, cut to another, stopped, under noise, faded in and
out, and slow. Every pair is measured by `extract_pair` in step, which must not be refused, and with
an offset of one frame, which must be where the reference moves by a level of small pictures. The
cost is the processor time of `extract_pair` with the check beside that without it, in turns, on
540 lines of 10 and of 60 seconds. Clips that are done are kept until the check's code changes.
"""

import dataclasses
import functools
import hashlib
import inspect
import itertools
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.align import JUDGED, Frames, encode, keep, make_clip, read, x264
from benchmarks.command import processor_s, run
from benchmarks.encode_clips import make_hd_clip
from vmaf_jax import extract_pair
from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.errors import InputError
from vmaf_jax.extraction import libvmaf
from vmaf_jax.files import cache_dir, make_dir
from vmaf_jax.video import synchrony
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.synchrony import HEIGHT, WIDTH

_SIZE, _LENGTH = (320, 180), 96
_MOTION = 1.0  # mean absolute change of small pictures, levels of 255: a pair with motion
_LINES, _SECONDS, _TURNS = 540, (10, 60), 3
_ALL = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)  # whose processor time is counted
_FILTERS = (
    *("hqdn3d=6:4:9:6", "gblur=2", "noise=alls=30:allf=t", "eq=brightness=0.1:contrast=0.8"),
    *("eq=gamma=1.4", "scale=160:-2,scale=320:180", "atadenoise=s=9", "unsharp"),
)
_WAYS = (
    *(x264(crf) for crf in (18, 23, 28, 32, 36, 40)),
    *(["-vf", chain, *x264(28)] for chain in _FILTERS),
    ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "34", "-x265-params", "log-level=none"],
    ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "90k"],
    ["-c:v", "mpeg2video", "-q:v", "20"],
    ["-c:v", "mpeg4", "-q:v", "24"],
    [*x264(36), "-tune", "zerolatency"],
    [*x264(38), "-bf", "8", "-g", "250"],
)


@dataclasses.dataclass(frozen=True)
class Checked:
    """What the check said of the encodes of a clip.

    Attributes:
        accused: ways of encoding whose pair in step was refused.
        moved: pairs a frame out of step, with motion.
        missed: those of them that were measured all the same, by way.
    """

    name: str
    sound: int
    accused: list[int]
    moved: int
    missed: list[int]


def bench_steps(repeats: int = 25) -> Figures:
    """Counts sound pairs that are refused and pairs out of step that are not; times the check."""
    code = inspect.getsource(synchrony) + inspect.getsource(sys.modules[__name__])
    digest = hashlib.sha256(code.encode()).hexdigest()[:16]
    folder = make_dir(cache_dir() / "benchmarks" / f"steps-{digest}")
    checked = [
        Checked(**keep(folder / f"{k}.json", functools.partial(check_clip, JUDGED, k)))
        for k in range(repeats)
    ]
    moved = sum(part.moved for part in checked)
    return {
        "sound pairs": sum(part.sound for part in checked),
        "accused": sum(len(part.accused) for part in checked),
        "pairs a frame out of step, with motion": moved,
        "found of them": moved - sum(len(part.missed) for part in checked),
        **{f"time with the check / without, {s} s": _compare_times(s) for s in _SECONDS},
    }


def check_clip(names: tuple[str, ...], turn: int) -> Checked:
    """Measures the encodes of a clip, in step and a frame out of step."""
    scene, change = tuple(_SCENES.items())[turn % len(_SCENES)]
    generator = np.random.default_rng([turn, len(names)])
    name = names[(turn + turn // len(names)) % len(names)]
    clip = change(make_clip(name, _SIZE, generator)[:_LENGTH], names, generator)
    accused, missed = [], []
    with tempfile.TemporaryDirectory() as work:
        reference, distorted = Path(work) / "reference.mkv", Path(work) / "distorted.mkv"
        encode(clip, _SIZE, reference, ["-c:v", "ffv1"])
        small = read(reference, WIDTH, HEIGHT)[:, : WIDTH * HEIGHT]
        moves = float(np.abs(np.diff(small.astype(np.int16), axis=0)).mean()) >= _MOTION
        for k, way in enumerate(_WAYS):
            encode(clip, _SIZE, distorted, way)
            if _is_refused(reference, distorted, 0):
                accused.append(k)
            if moves and not _is_refused(reference, distorted, (-1) ** (turn + k)):
                missed.append(k)
    return Checked(f"{scene}, {name}", len(_WAYS), accused, len(_WAYS) * moves, missed)


def _is_refused(reference: Path, distorted: Path, offset: int) -> bool:
    try:
        extract_pair(
            reference, distorted, teachers=(), offset=offset, cache=reference.parent / "cache"
        )
    except InputError as error:
        if "is out of step" not in str(error):
            raise
        return True
    return False


def _compare_times(seconds: int) -> float:
    """Returns the processor time of measuring with the check as a multiple of that without."""
    ffmpeg = find_ffmpeg()
    reference = make_hd_clip(ffmpeg, seconds, _LINES)
    times: dict[bool, float] = {True: 0.0, False: 0.0}
    with tempfile.TemporaryDirectory() as work:
        distorted = Path(work) / "distorted.mp4"
        line = [ffmpeg.path, "-v", "error", "-nostdin", "-i", str(reference), *x264(30)]
        subprocess.run([*line, str(distorted)], check=True)
        for turn, is_checked in itertools.product(range(_TURNS), times):
            before = processor_s(*_ALL)
            # Without the check, one frame of each video is looked at.
            one_frame = f"trim=end_frame=1,{synchrony.SHRINK}"
            some = synchrony.SOME_FRAMES if is_checked else one_frame
            with mock.patch.object(libvmaf, "SOME_FRAMES", some):
                extract_pair(reference, distorted, cache=Path(work) / f"{turn}{is_checked}")
            times[is_checked] += processor_s(*_ALL) - before
    return times[True] / times[False]


def _cut(clip: Frames, names: tuple[str, ...], generator: np.random.Generator) -> Frames:
    other = make_clip(str(generator.choice(names)), _SIZE, generator)
    place = int(generator.integers(4, 92))
    return np.concatenate([clip[:place], other[: _LENGTH - place]])


def _stop(clip: Frames, _: tuple[str, ...], generator: np.random.Generator) -> Frames:
    numbers = np.minimum(np.arange(len(clip)), int(generator.integers(10, 80)))
    return np.take(clip, numbers, axis=0)


def _add_noise(clip: Frames, _: tuple[str, ...], generator: np.random.Generator) -> Frames:
    noise = generator.normal(0, 6, clip.shape).astype(np.float32)
    noisy: Frames = np.clip(clip + noise, 16, 235).round().astype(np.uint8)
    return noisy


def _fade(clip: Frames, _: tuple[str, ...], generator: np.random.Generator) -> Frames:
    ends = np.minimum(np.arange(len(clip)), np.arange(len(clip))[::-1])
    share = np.minimum(ends / generator.integers(20, 48), 1)[:, None]
    luma = clip[:, : _SIZE[0] * _SIZE[1]]
    faded: Frames = (16 + (luma - 16.0) * share).round().clip(0, 255).astype(np.uint8)
    return np.hstack([faded, clip[:, luma.shape[1] :]])


_SCENES: dict[str, Callable[[Frames, tuple[str, ...], np.random.Generator], Frames]] = {
    "as it is": lambda clip, _, __: clip,
    "cut": _cut,
    "stopped": _stop,
    "noise": _add_noise,
    "faded": _fade,
    "slow": lambda clip, _, __: np.repeat(clip, 2, axis=0)[:_LENGTH],
}


if __name__ == "__main__":
    sys.exit(run(bench_steps))
