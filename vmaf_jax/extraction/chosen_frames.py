"""libvmaf on chosen frames of a pair, to the values that it has for them in the whole.

Chosen frames less than three apart go to different branches of one graph, three at most, and frame
0 to one of its own.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.branch import FIRST, ONE_THREAD, STEP, Branch, expression
from vmaf_jax.extraction.first_look import FirstLook
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.pairing import Plan, chains_of
from vmaf_jax.video.report import BY_NUMBER, explain
from vmaf_jax.video.video import Video

MAX_CHOSEN = 1000  # frames of a run: a longer list does not fit one argument of a command
Lists = list[list[int]]


def apart(frames: Sequence[int]) -> Lists:
    """Sorted frames in lists whose members are at least three apart, three at most; 0 is alone."""
    alone: Lists = [[0]] if frames and frames[0] == 0 else []
    lists: Lists = []
    for frame in frames[len(alone) :]:
        for members in lists:
            if frame - members[-1] >= STEP:
                members.append(frame)
                break
        else:
            lists.append([frame])
    return alone + lists


def measure_chosen(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    plan: Plan,
    feature_set: FeatureSet,
    frames: Sequence[int],
    *,
    threads: int,
) -> npt.NDArray[np.float64]:
    """Features `[len(frames), d]` of the frames chosen, as a measurement of all gives them.

    Args:
        videos: the reference and the distorted one.
        plan: how they are brought together.
        frames: numbers after that, rising.
        threads: of libvmaf, over all branches.

    Raises:
        InputError: ffmpeg or libvmaf fails.
    """
    if len(frames) > MAX_CHOSEN:
        parts = [frames[k : k + MAX_CHOSEN] for k in range(0, len(frames), MAX_CHOSEN)]
        return np.concatenate(
            [measure_chosen(ffmpeg, videos, plan, feature_set, p, threads=threads) for p in parts]
        )
    lists = apart(frames)
    branches = [
        FIRST if members == [0] else Branch(expression([(f - 1, f + 1) for f in members]))
        for members in lists
    ]
    rows = _run(ffmpeg, videos, plan, feature_set, branches, lists, threads)
    return np.array([rows[frame] for frame in frames], np.float64)


def measure_every(
    ffmpeg: Ffmpeg,
    pilot: FirstLook,
    feature_set: FeatureSet,
    *,
    threads: int,
) -> npt.NDArray[np.float64]:
    """Features `[n, d]` of all frames of a pair that was looked at already.

    Args:
        threads: as for `measure_chosen`.

    Raises:
        InputError: ffmpeg or libvmaf fails, or there are other frames now.
    """
    every = list(range(len(pilot.covariate)))
    how = (pilot.plan, feature_set, [Branch()], [every], threads, pilot.ending)
    rows = _run(ffmpeg, pilot.videos, *how)
    return np.array(list(rows.values()), np.float64)


def _run(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    plan: Plan,
    feature_set: FeatureSet,
    branches: list[Branch],
    lists: Lists,
    threads: int,
    ending: str = "",
) -> dict[int, list[float]]:
    """Features by frame: those of `lists`, one for each branch."""
    reference, distorted = videos
    graph = _graph(videos, plan, branches, feature_set, max(1, threads // len(branches)), ending)
    maps = [word for k in range(len(branches)) for word in ("-map", f"[o{k}]")]
    inputs = [*distorted.arguments(), *reference.arguments()]
    start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
    ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
    with work_folder() as work:
        arguments = [*start, *ONE_THREAD, "-filter_complex", graph, *maps, *ends]
        result = run_ffmpeg(ffmpeg, arguments, folder=work)
        if result.code != 0:
            raise InputError(explain(result.report, reference, distorted))
        rows: dict[int, list[float]] = {}
        for k, (branch, members) in enumerate(zip(branches, lists, strict=True)):
            rows |= branch.read(work / f"log{k}.json", members, feature_set, plan.encode)
    return rows


def _graph(
    videos: tuple[Video, Video],
    plan: Plan,
    branches: list[Branch],
    feature_set: FeatureSet,
    threads: int,
    ending: str,
) -> str:
    n = len(branches)
    # Frames are chosen as soon as they have their numbers, and the others never converted.
    (to_reference, convert_reference), (to_distorted, convert_distorted) = (
        chain.split(BY_NUMBER, 1) for chain in chains_of(plan, feature_set.least_bits)
    )
    parts = [
        f"[{source}]{chain}{BY_NUMBER},split={n}" + "".join(f"[{name}{k}]" for k in range(n))
        for source, name, chain in (
            (f"0:{videos[1].stream_specifier}", "d", to_distorted),
            (f"1:{videos[0].stream_specifier}", "r", to_reference),
        )
    ]
    convert = (convert_reference, convert_distorted)
    for k, branch in enumerate(branches):
        parts += branch.filters(
            k, feature_set, threads=threads, convert=convert, ending=ending, encode=plan.encode
        )
    return ";".join(parts)
