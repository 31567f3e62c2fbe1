"""libvmaf on chosen frames of a pair, to the values that it has for them in the whole.

VIF and ADM see one frame; motion sees a frame, the one before it and the one after. So each chosen
frame goes in with both neighbours, and `n_subsample=3` has VIF and ADM computed on the middle ones
alone: libvmaf runs extractors with a memory, motion's, on every frame. Chosen frames less than
three apart would share neighbours; they go to different branches of one filter graph, three at
most.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.pairing import Plan
from vmaf_jax.video.report import BY_NUMBER, explain
from vmaf_jax.video.video import Video

MAX_CHOSEN = 3000  # frames of a run: a longer list does not fit a command line
_STEP = 3


def branches(frames: Sequence[int]) -> list[list[int]]:
    """Sorted frames in lists whose members are at least three apart; three lists at most."""
    lists: list[list[int]] = []
    for frame in frames:
        for members in lists:
            if frame - members[-1] >= _STEP:
                members.append(frame)
                break
        else:
            lists.append([frame])
    return lists


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
    reference, distorted = videos
    lists = branches(frames)
    with work_folder() as work:
        graph = _graph(plan, lists, feature_set, max(1, threads // len(lists)))
        inputs = [*distorted.arguments(), *reference.arguments()]
        start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
        ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
        maps = [word for k in range(len(lists)) for word in ("-map", f"[o{k}]")]
        arguments = [*start, "-filter_complex", graph, *maps, *ends]
        result = run_ffmpeg(ffmpeg, arguments, folder=work)
        if result.code != 0:
            raise InputError(explain(result.report, reference, distorted))
        rows: dict[int, list[float]] = {}
        for k, members in enumerate(lists):
            rows |= _read(work / f"log{k}.json", members, feature_set)
    return np.array([rows[frame] for frame in frames], np.float64)


def _graph(plan: Plan, lists: list[list[int]], feature_set: FeatureSet, threads: int) -> str:
    n = len(lists)
    # Frames are chosen as soon as they have their numbers, and the others never converted.
    to_distorted, convert_distorted = plan.to_distorted.split(BY_NUMBER, 1)
    to_reference, convert_reference = plan.to_reference.split(BY_NUMBER, 1)
    parts = [
        f"[{number}:v:0]{chain}{BY_NUMBER},split={n}" + "".join(f"[{name}{k}]" for k in range(n))
        for number, name, chain in ((0, "d", to_distorted), (1, "r", to_reference))
    ]
    for k, members in enumerate(lists):
        # libvmaf measures frames 0, 3, 6, ...: the first chosen one is to be 3. Frame 0 of a video
        # has no frame before it, and no motion; its own copies before it make the same of it.
        copies = _STEP if members[0] == 0 else _STEP - 1
        pick = f"select='{_expression(members)}',loop=loop={copies}:size=1:start=0,setpts=N"
        parts += [
            f"[d{k}]{pick}{convert_distorted}[e{k}]",
            f"[r{k}]{pick}{convert_reference}[s{k}]",
        ]
        parts.append(
            f"[e{k}][s{k}]libvmaf=log_fmt=json:log_path=log{k}.json:n_threads={threads}:"
            f"n_subsample={_STEP}:model=version={feature_set.libvmaf_model}[o{k}]"
        )
    return ";".join(parts)


def _expression(members: list[int]) -> str:
    """ffmpeg's expression that is above 0 on the members and their neighbours; a search tree."""
    if len(members) == 1:
        return f"between(n,{members[0] - 1},{members[0] + 1})"
    middle = len(members) // 2
    left, right = _expression(members[:middle]), _expression(members[middle:])
    return f"if(lt(n,{members[middle] - 1}),{left},{right})"


def _read(path: Path, members: list[int], feature_set: FeatureSet) -> dict[int, list[float]]:
    """Features by frame; what libvmaf measured at its own frame 0 is a copy, and left out."""
    try:
        log = json.loads(path.read_bytes())
        by_number = {int(entry["frameNum"]): entry["metrics"] for entry in log["frames"]}
        rows = {
            frame: [float(by_number[_STEP * (k + 1)][key]) for key in feature_set.libvmaf_keys]
            for k, frame in enumerate(members)
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"libvmaf's log lacks chosen frames ({error}); free space, or drop --within."
        ) from error
    if len(by_number) != len(members) + 1 or not np.isfinite(list(rows.values())).all():
        raise InputError("libvmaf's log has other frames than were chosen; drop --within.")
    return rows
