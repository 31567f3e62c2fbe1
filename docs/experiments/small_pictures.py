"""What smaller or fewer small pictures would cost a search of `encode`, for docs/target-quality.md.

    python -m docs.experiments.small_pictures [--seconds 36] [--seeds 7 11 12]

Clips of 1080 lines, by libx264 at one setting. The whole file is measured frame by frame, and so
are small pictures of several kinds. The estimate of `scoring.encode_probes` is then made from 300
draws of the segments, of frames of these files in place of encodes of their own. Errors are against
the mean over all frames, points; processor time of the encode is beside that of the whole file's.
"""

import argparse
import resource
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.command import processor_s
from benchmarks.encode_clips import HD_RATE, make_hd_clip
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.sampling import plan_segments
from vmaf_jax.evaluation.target_search import from_t, to_t
from vmaf_jax.files import work_folder
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.scoring.score import score
from vmaf_jax.video.encoders import packet_sizes
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg

Floats = npt.NDArray[np.float64]
_SETTING, _DRAWS = 30.5, 300
# Lines, frames of which one is taken, and libx264's preset.
KINDS = {
    "180 lines, as shipped": (180, 1, "medium"),
    "134 lines": (134, 1, "medium"),
    "108 lines": (108, 1, "medium"),
    "every second frame": (180, 2, "medium"),
    "preset veryfast": (180, 1, "veryfast"),
}


def measure_clip(clip: Path, folder: Path) -> dict[str, tuple[float, float]]:
    """Returns for each kind its encode's share of the whole file's time, and the error, points."""
    whole = folder / "whole.mkv"
    whole_s = _encode(clip, whole, "medium")
    per_frame = _score(clip, whole)
    sizes = np.array(packet_sizes(find_ffmpeg(), clip, 0), np.float64)
    plans = [plan_segments(sizes, HD_RATE, seed=seed) for seed in range(_DRAWS)]
    rows = [
        np.concatenate([np.arange(start, start + n) for start, n in plan.segments])
        for plan in plans
        if plan is not None
    ]
    alone = np.array([per_frame[chosen].mean() for chosen in rows])
    found = {"none": (0.0, _rmse(alone, per_frame.mean()))}
    for name, (lines, step, preset) in KINDS.items():
        small, encoded = folder / "small.mkv", folder / "encoded.mkv"
        _make_small(clip, small, lines, step)
        share = _encode(small, encoded, preset) / whole_s
        outline = np.full(len(per_frame), np.nan)
        outline[::step] = _score(small, encoded)
        of_segments = np.array([np.nanmean(outline[chosen]) for chosen in rows])
        estimate = from_t(to_t(alone) + to_t(float(np.nanmean(outline))) - to_t(of_segments))
        found[name] = share, _rmse(estimate, per_frame.mean())
    return found


def _rmse(estimate: Floats, true: float) -> float:
    return float(np.sqrt(np.mean((estimate - true) ** 2)))


def _encode(source: Path, out: Path, preset: str) -> float:
    """Encodes a video; returns the seconds of all processors."""
    before = processor_s(resource.RUSAGE_CHILDREN)
    coder = ["-c:v", "libx264", "-preset", preset, "-crf", f"{_SETTING:g}", "-pix_fmt", "yuv420p"]
    _run([*coder, str(out)], source)
    return processor_s(resource.RUSAGE_CHILDREN) - before


def _make_small(source: Path, out: Path, lines: int, step: int) -> None:
    filters = (
        f"select=not(mod(n\\,{step})),scale=-2:{lines}:flags=bicubic,setpts=N/{HD_RATE}*{step}/TB"
    )
    _run(["-vf", filters, "-fps_mode", "passthrough", "-c:v", "ffvhuff", str(out)], source)


def _run(arguments: list[str], source: Path) -> None:
    line = ["-nostdin", "-v", "error", "-y", "-i", str(source), *arguments]
    if (run := run_ffmpeg(find_ffmpeg(), line)).code:
        raise InputError(f"{source}: ffmpeg failed ({run.last_line}).")


def _score(reference: Path, distorted: Path) -> Floats:
    return np.asarray(score(reference, distorted, model="vmaf_v0.6.1").per_frame, np.float64)


def main() -> int:
    """Prints the table that the page shows; returns the exit code."""
    parser = argparse.ArgumentParser(description="Errors of estimates by small pictures.")
    parser.add_argument("--seconds", type=int, default=36, help="of the clips, up to 60")
    parser.add_argument("--seeds", type=int, nargs="+", default=[7, 11, 12], help="of the clips")
    options = parser.parse_args()
    clips = [make_hd_clip(find_ffmpeg(), options.seconds, seed=seed) for seed in options.seeds]
    with work_folder() as folder:
        results = [measure_clip(clip, folder) for clip in clips]
    header = ["small pictures", "processor time", *(f"clip {k + 1}" for k in range(len(clips)))]
    rows = []
    for kind in results[0]:
        share = float(np.mean([result[kind][0] for result in results]))
        rows.append([kind, f"{share:.3f}", *(f"{result[kind][1]:.2f}" for result in results)])
    print("\n".join(markdown_table(header, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
