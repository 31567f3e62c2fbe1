"""Clips that `benchmarks.encode` judges by: long ones of the demo corpus, screens, noise, fades."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from vmaf_jax.corpora.demo import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, cache_dir, make_dir
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video

SIZE, RATE, SECONDS = (320, 180), 18, 36  # pixels, frames per second
HD_RATE = 24  # of `make_hd_clip`
_SHOT = 48  # frames of a source's clip
_N = RATE * SECONDS
_FORM = f"size={SIZE[0]}x{SIZE[1]}:rate={RATE}"


def make_clip(ffmpeg: Ffmpeg, name: str) -> Path:
    """Returns a clip of `CLIPS`, made when it is first asked for; lossless."""
    path = make_dir(cache_dir() / f"benchmark_encode_{SECONDS}s") / f"{name}.mkv"
    if not path.exists():
        with atomic_path(path) as temporary:
            CLIPS[name](ffmpeg, temporary)
    return path


def make_hd_clip(ffmpeg: Ffmpeg, seconds: int = 60, lines: int = 1080, seed: int = 7) -> Path:
    """Returns up to a minute of 16:9 with cuts every one to five seconds, in H.264 of high rate.

    Args:
        seed: Of the draw of its shots.
    """
    path = make_dir(cache_dir() / "benchmark_encode_hd") / f"{lines}p_{seconds}s_{seed}.mp4"
    if not path.exists():
        inputs, chains = _cut_shots(seed, (36, 120), seconds * HD_RATE, HD_RATE, None)
        size = f"{lines * 16 // 9}:{lines}"
        chains.append(f"[o]scale={size}:flags=lanczos,noise=alls=2:allf=t,format=yuv420p[h]")
        coder = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "17", "-f", "mp4"]
        with atomic_path(path) as temporary:
            line = [*inputs, "-filter_complex", ";".join(chains), "-map", "[h]", *coder]
            _run(ffmpeg, line, temporary)
    return path


def _mix(seed: int, shots: tuple[int, int], chain: str = "null") -> Callable[[Ffmpeg, Path], None]:
    """Returns a maker of a clip of windows over the demo corpus's sources, cut one to the next.

    Args:
        shots: Shortest and longest shot, frames.
        chain: Filters of the whole; `fade` fades each shot in and out instead.
    """

    def make(ffmpeg: Ffmpeg, out: Path) -> None:
        is_faded = chain == "fade"
        inputs, chains = _cut_shots(seed, shots, _N, RATE, SIZE, is_faded=is_faded)
        chains.append(f"[o]{'null' if is_faded else chain},format=yuv420p[w]")
        _write(ffmpeg, [*inputs, "-filter_complex", ";".join(chains), "-map", "[w]"], out)

    return make


def _cut_shots(
    seed: int,
    shots: tuple[int, int],
    n_frames: int,
    rate: int,
    window: tuple[int, int] | None,
    *,
    is_faded: bool = False,
) -> tuple[list[str], list[str]]:
    """Returns ffmpeg's inputs, and chains that cut shots of the demo corpus to one stream, `[o]`.

    Args:
        window: Pixels of each shot's own part of the picture; None for the whole.
    """
    rng = np.random.default_rng(seed)
    sources = sorted({clip.reference.path for clip in load_clips()})
    inputs: list[str] = []
    chains: list[str] = []
    left = n_frames
    while left > 0:
        length = min(left, int(rng.integers(shots[0], shots[1] + 1)))
        crop = "null"
        if window is not None:
            crop = f"crop={window[0]}:{window[1]}:{rng.integers(0, 256)}:{rng.integers(0, 144)}"
        turns = ",".join(f for f in ("hflip", "vflip", "reverse") if rng.random() < 1 / 3)
        k = len(chains)
        inputs += Video(Path(rng.choice([str(path) for path in sources]))).arguments()
        # Forth and back again, as long as the shot is.
        there_and_back = f"split[f{k}][b{k}];[b{k}]reverse[r{k}];[f{k}][r{k}]concat"
        ends = f"fade=in:0:6,fade=out:{length - 6}:6," if is_faded else ""
        chains.append(
            f"[{k}:v]{turns or 'null'},{crop},setsar=1,{there_and_back},"
            f"loop=-1:{2 * _SHOT}:0,trim=end_frame={length},{ends}setpts=N/{rate}/TB[s{k}]"
        )
        left -= length
    joined = "".join(f"[s{k}]" for k in range(len(chains)))
    chains.append(f"{joined}concat=n={len(chains)}[o]")
    return inputs, chains


def _synthetic(source: str) -> Callable[[Ffmpeg, Path], None]:
    """Returns a maker of a clip from one of ffmpeg's generators."""

    def make(ffmpeg: Ffmpeg, out: Path) -> None:
        _write(ffmpeg, ["-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p"], out)

    return make


def _write(ffmpeg: Ffmpeg, arguments: list[str], out: Path) -> None:
    ends = ["-r", str(RATE), "-t", str(SECONDS), "-c:v", "ffv1", "-g", "1", "-f", "matroska"]
    _run(ffmpeg, [*arguments, *ends], out)


def _run(ffmpeg: Ffmpeg, arguments: list[str], out: Path) -> None:
    line = ["-nostdin", "-v", "error", "-y", *arguments, str(out)]
    if (result := run_ffmpeg(ffmpeg, line)).code:
        raise InputError(f"{out}: cannot be made ({result.report.strip()[-300:]}).")


_BLACK = (
    f"fade=in:0:36,eq=brightness='-max(0,1-abs(n-{_N // 2})/40)':eval=frame,fade=out:{_N - 36}:36"
)
CLIPS = {
    "cuts_of_a_second": _mix(1, (14, 24)),
    "cuts_of_two_seconds": _mix(2, (28, 48)),
    "cuts_of_four_seconds": _mix(3, (60, 90)),
    "long_shots": _mix(4, (120, 180)),
    "mixed_shots": _mix(5, (10, 150)),
    "mixed_shots_again": _mix(6, (10, 150)),
    "noise": _mix(7, (28, 90), "noise=alls=12:allf=t"),
    "grain_in_half": _mix(8, (28, 90), f"noise=alls=16:allf=t:enable='gte(n,{_N // 2})'"),
    "fades_to_black": _mix(9, (72, 110), _BLACK),
    "dark": _mix(10, (28, 90), "eq=brightness=-0.25:contrast=0.6"),
    "soft": _mix(11, (28, 90), "gblur=sigma=1.5"),
    "fades_between_shots": _mix(12, (40, 80), "fade"),
    "every_frame_twice": _mix(13, (28, 90), f"loop=-1:{_N}:0,setpts=2*N/{RATE}/TB,fps={RATE}"),
    "letterboxed": _mix(14, (28, 90), "drawbox=h=24:t=fill,drawbox=y=156:h=24:t=fill"),
    "flashes": _mix(15, (28, 90), "eq=brightness='0.6*lt(mod(n,40),2)':eval=frame"),
    "grey": _mix(16, (28, 90), "hue=s=0"),
    "sharpened": _mix(17, (28, 90), "unsharp=5:5:1.5"),
    "stills": _mix(18, (28, 90), f"framestep=27,fps={RATE},loop=-1:{_N}:0,setpts=N/{RATE}/TB"),
    "picture_in_picture": _mix(
        19, (28, 90), f"null[m];testsrc2=size=128x72:rate={RATE}[t];[m][t]overlay=180:96"
    ),
    "screen": _synthetic(f"testsrc2={_FORM}"),
    "fractal": _synthetic(f"mandelbrot={_FORM}"),
    "moving_tiles": _synthetic(
        f"life={_FORM}:mold=10:seed=1:death_color=#C83232:life_color=#00ff00"
    ),
    "scrolling_screen": _synthetic(f"cellauto={_FORM}:rule=30:seed=1"),
    "triangles": _synthetic(f"sierpinski={_FORM}:seed=1"),
    "gradients": _synthetic(f"gradients={_FORM}:seed=1:speed=0.05,noise=alls=3:allf=t"),
}
