"""One pass over a pair: cheap figures of every frame, where shots start, libvmaf on some frames.

It is the pass that decodes and judges a pair, as a measurement does. How many frames there are is
not known before it, nor where shots start: one frame of each few is drawn beforehand, in a pattern
that repeats itself after a thousand. PSNR and the reference's change from frame to frame cost
little beside libvmaf. (SSIM took up no more of what varies than its own time was worth.)
"""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.branch import FIRST, ONE_THREAD, RUN_THROUGH, Branch, expression
from vmaf_jax.extraction.v1_form import describe
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.video.chroma import check_chroma
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Finished, run_ffmpeg
from vmaf_jax.video.judgement import judge, run_planned
from vmaf_jax.video.pairing import Plan, chains_of
from vmaf_jax.video.report import common_format, explain
from vmaf_jax.video.shots import FINDER, Floats, read_changes, starts_of_shots
from vmaf_jax.video.video import Video

_LEAST_MSE = 1e-2  # of samples that are equal; the log has two decimals
_MSE = re.compile(r"\bmse_y:([0-9.]+)")


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Frame 0, and one frame of each cell of those after it.

    Attributes:
        cell: frames of a cell, two or more: chosen frames of every second cell are then at least
            three apart.
        offsets: of the chosen frame in its cell, 0 to `cell - 1`, `[m]`, m even; after m cells the
            same again.
    """

    cell: int
    offsets: npt.NDArray[np.int64]

    @property
    def shortest_clip(self) -> int:
        """Frames of a clip in which both lists have a member."""
        return 2 * self.cell + 1

    def members(self, n_frames: int) -> list[list[int]]:
        """The frames chosen of a clip, rising, in lists: of even cells, of odd ones, and 0."""
        count = -(-(n_frames - 1) // self.cell)
        frames = 1 + np.arange(count) * self.cell + np.resize(self.offsets, count)
        even, odd = (frames[k::2] for k in (0, 1))
        return [even[even < n_frames].tolist(), odd[odd < n_frames].tolist(), [0]]

    def branches(self) -> list[Branch]:
        """The same as ffmpeg chooses them, for clips of any length."""
        period = self.cell * len(self.offsets)
        at = f"mod(n-1,{period})"  # from 0 up: frame 0 is at the end of a period
        even, odd = self._intervals(0), self._intervals(1)
        if self.offsets[0] == 0:
            even.append((period - 1, period - 1))
        if self.offsets[-1] == self.cell - 1:
            odd.insert(0, (0, 0))
        return [Branch(expression(even, at)), Branch(f"gt(n,1)*({expression(odd, at)})"), FIRST]

    def _intervals(self, first: int) -> list[tuple[int, int]]:
        """Each chosen frame with its neighbours, of every second cell, within a period."""
        period = self.cell * len(self.offsets)
        cells = range(first, len(self.offsets), 2)
        chosen = [self.cell * k + int(self.offsets[k]) for k in cells]
        return [(max(frame - 1, 0), min(frame + 1, period - 1)) for frame in chosen]


@dataclasses.dataclass(frozen=True)
class FirstLook:
    """A pair, seen whole, measured cheaply, and some of its frames measured.

    Attributes:
        covariate: what is known of all frames, the most telling first, `[n, 4]` (`_covariate`).
        cuts: first frames of new shots of the reference.
        features: by number of the frames measured, rising.
        videos: the reference and the distorted one, with the streams that were measured.
        plan: how the two are brought together.
        ending: libvmaf's options for it.
        description: of the comparison, for the result.
        version: libvmaf's.
    """

    covariate: Floats
    cuts: list[int]
    features: dict[int, list[float]]
    videos: tuple[Video, Video]
    plan: Plan
    ending: str
    description: dict[str, Any]
    version: str


def first_look(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    how: Comparison,
    feature_set: FeatureSet,
    pattern: Pattern,
    *,
    threads: int,
) -> FirstLook:
    """Decodes a pair once, or twice where it has to be brought together first.

    Args:
        videos: the reference and the distorted one.
        pattern: which frames libvmaf measures.
        threads: of libvmaf.

    Raises:
        InputError: as a measurement does.
    """
    reference, distorted = videos
    ending = ":shortest=1:repeatlast=0" if how.aligned or how.fps is not None else ""
    with work_folder() as work:

        def run(pair: tuple[Video, Video], plan: Plan | None) -> Finished:
            share = max(1, threads // 2)
            graph, maps = _graph(pair, plan, pattern, feature_set, ending, share)
            ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
            inputs = [*pair[1].arguments(), *pair[0].arguments()]
            start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
            arguments = [*start, *ONE_THREAD, "-filter_complex", graph, *maps, *ends]
            return run_ffmpeg(ffmpeg, arguments, folder=work)

        result, videos, facts, plan = run_planned(ffmpeg, videos, how, run)
        if feature_set.planes > 1:
            check_chroma(videos, facts)
        if result.code != 0:
            raise InputError(explain(result.report, reference, distorted))
        description, expected = judge(ffmpeg, videos, result, facts, plan, how)
        covariate, cuts = _read(work)
        if expected is not None and len(covariate) != expected:
            raise InputError(
                f"{distorted.path}: {len(covariate)} frames of {expected} could be compared; "
                f"re-encode the file without broken time stamps."
            )
        if len(covariate) < (least := pattern.shortest_clip):
            raise InputError(
                f"{distorted.path}: {len(covariate)} frames, --within takes {least} or more; drop "
                f"it, and all are measured."
            )
        rows: dict[int, list[float]] = {}
        for k, members in enumerate(pattern.members(len(covariate))):
            log = work / f"log{k}.json"
            rows |= pattern.branches()[k].read(log, members, feature_set, plan.encode)
        version = str(json.loads((work / "log0.json").read_bytes()).get("version", "unknown"))
    if feature_set.least_bits > 8:
        formats = [(f.width, f.height, f.pix_fmt) for f in facts]
        description |= describe(common_format(list(formats), least_bits=10)[1], plan.encode)
    features = dict(sorted(rows.items()))
    return FirstLook(covariate, cuts, features, videos, plan, ending, description, version)


def _graph(
    videos: tuple[Video, Video],
    plan: Plan | None,
    pattern: Pattern,
    feature_set: FeatureSet,
    ending: str,
    threads: int,
) -> tuple[str, list[str]]:
    """The filter graph, and which of its outputs are run."""
    to_reference, to_distorted = chains_of(plan, feature_set.least_bits)
    encode = plan.encode if plan else None
    parts = [
        f"[0:{videos[1].stream_specifier}]{to_distorted},split=4[d0][d1][d2][d3]",
        f"[1:{videos[0].stream_specifier}]{to_reference},split=5[r0][r1][r2][r3][r4]",
        f"[d3][r3]psnr=stats_file=psnr.log{ending},{RUN_THROUGH}[p]",
        f"[r4]{FINDER},{RUN_THROUGH}[c]",
    ]
    for k, branch in enumerate(pattern.branches()):
        parts += branch.filters(k, feature_set, threads=threads, ending=ending, encode=encode)
    outputs = ("[p]", "[c]", "[o0]", "[o1]", "[o2]")
    return ";".join(parts), [word for label in outputs for word in ("-map", label)]


def _read(folder: Path) -> tuple[Floats, list[int]]:
    """The covariate of all frames, and where shots start."""
    try:
        mse = np.array(_MSE.findall((folder / "psnr.log").read_text()), np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of PSNR ({error}); free space.") from error
    change, score = read_changes(folder)
    n = len(mse)
    if not n or len(change) < n:
        raise InputError("ffmpeg's log of PSNR is too short; use a newer ffmpeg, or drop --within.")
    psnr = -10 * np.log10(np.maximum(mse, _LEAST_MSE))
    return _covariate(psnr, change[:n]), starts_of_shots(score[:n])


def _covariate(psnr: Floats, change: Floats) -> Floats:
    """What tells of a frame's score, `[n, 4]`, from two figures of all frames, each `[n]`.

    PSNR; the smaller of the reference's changes from the frame before and to the next, as VMAF's
    motion is; PSNR of the frame before and of the next.

    Args:
        psnr: of luma, dB but for a constant.
        change: of the reference's luma from the frame before, of 100.
    """
    before, after = np.append(psnr[:1], psnr[:-1]), np.append(psnr[1:], psnr[-1:])
    motion = np.minimum(change, np.append(change[1:], change[-1:]))
    return np.stack([psnr, motion, before, after], axis=1)
