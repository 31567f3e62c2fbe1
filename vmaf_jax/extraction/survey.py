"""What a pass over a pair tells cheaply of every frame: luma's PSNR, and where shots start.

It is the pass that decodes and judges a pair, as a measurement does; the filters cost little beside
libvmaf. (SSIM beside PSNR took up no more of what varies than its own time was worth.)
"""

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.judgement import judge, run_planned
from vmaf_jax.video.pairing import Plan
from vmaf_jax.video.report import explain
from vmaf_jax.video.shots import FINDER, read_shots
from vmaf_jax.video.video import Video

_LEAST_MSE = 1e-2  # of samples that are equal; the log has two decimals
_MSE = re.compile(r"\bmse_y:([0-9.]+)")


@dataclasses.dataclass(frozen=True)
class Survey:
    """A pair, seen whole and measured cheaply.

    Attributes:
        covariate: luma's PSNR in dB but for a constant, `[n, 1]`.
        cuts: first frames of new shots of the reference.
        plan: how the two are brought together.
        description: of the comparison, for the result.
    """

    covariate: npt.NDArray[np.float64]
    cuts: list[int]
    plan: Plan
    description: dict[str, Any]


def survey(ffmpeg: Ffmpeg, videos: tuple[Video, Video], how: Comparison) -> Survey:
    """Decodes a pair once, or twice where it has to be brought together first.

    Args:
        videos: the reference and the distorted one.

    Raises:
        InputError: as a measurement does.
    """
    reference, distorted = videos
    with work_folder() as work:

        def run(chains: tuple[str, str]) -> Finished:
            ending = ":shortest=1:repeatlast=0" if how.aligned or how.fps is not None else ""
            graph = (
                f"[0:v:0]{chains[1]},null[d0];[1:v:0]{chains[0]},split=2[r0][r1];"
                f"[d0][r0]psnr=stats_file=psnr.log{ending}[p];"
                f"[r1]{FINDER}[c]"
            )
            ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
            maps = [word for label in ("[p]", "[c]") for word in ("-map", label)]
            inputs = [*distorted.arguments(), *reference.arguments()]
            start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
            return run_ffmpeg(ffmpeg, [*start, "-filter_complex", graph, *maps, *ends], folder=work)

        result, facts, plan = run_planned(ffmpeg, videos, how, run)
        if result.code != 0:
            raise InputError(explain(result.report, reference, distorted))
        description, expected = judge(ffmpeg, videos, result, facts, plan, how)
        covariate, cuts = _read(work)
    if expected is not None and len(covariate) != expected:
        raise InputError(
            f"{distorted.path}: {len(covariate)} frames of {expected} could be compared; re-encode "
            f"the file without broken time stamps."
        )
    return Survey(covariate, cuts, plan, description)


def _read(folder: Path) -> tuple[npt.NDArray[np.float64], list[int]]:
    try:
        mse = np.array(_MSE.findall((folder / "psnr.log").read_text()), np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of PSNR ({error}); free space.") from error
    if not len(mse):
        raise InputError("ffmpeg's log of PSNR is empty; use a newer ffmpeg, or drop --within.")
    covariate = -10 * np.log10(np.maximum(mse, _LEAST_MSE))[:, None]
    return covariate, read_shots(folder, len(mse))
