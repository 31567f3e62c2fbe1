"""What a decoder reports as damaged: found in a report, and named frame by frame.

ffmpeg conceals what it cannot decode and ends with 0, so its own lines are the only witness.
"""

import re
from collections.abc import Sequence

from vmaf_jax.errors import InputError
from vmaf_jax.video.facts import Facts
from vmaf_jax.video.ffmpeg import Ffmpeg, run_ffmpeg
from vmaf_jax.video.video import Video

_CORRUPT = "corrupt decoded frame"
_SHOWN = 5  # frames named in one line


def has_damage(faults: Sequence[str], facts: Sequence[Facts]) -> bool:
    """Whether lines at error level speak of decoding (a muxer's lines do not matter here)."""
    decoders = {facts.codec for facts in facts} | {f"lib{facts.codec}" for facts in facts}
    for line in faults:
        owner = re.match(r"\[([\w,]+)(?:#\d+\S*)? @ ", line)
        name = owner[1] if owner else ""
        if _CORRUPT in line or name in decoders or name == "vist":
            return True
    return False


def damaged_frames(ffmpeg: Ffmpeg, video: Video) -> list[int] | None:
    """Numbers of the frames that one decoding thread reports as corrupt.

    None where the decoder complains of something that it does not pin to a frame.
    """
    arguments = ["-nostdin", "-nostats", "-v", "level+info", "-threads", "1", "-debug_ts"]
    arguments += [*video.arguments(), "-map", f"0:{video.stream_specifier}", "-f", "null", "-"]
    run = run_ffmpeg(ffmpeg, arguments)
    number, frames, corrupt = 0, [], False
    for line in run.report.splitlines():
        if _CORRUPT in line:
            corrupt = True
        elif "decoder -> pts:" in line:
            if corrupt:
                frames.append(number)
            number, corrupt = number + 1, False
    decoder = [line for line in run.faults if re.match(r"\[(?!null|out|vost|Parsed)", line)]
    return frames if frames or not decoder else None


def examine_damage(
    ffmpeg: Ffmpeg, videos: tuple[Video, Video], *, allowed: bool
) -> tuple[dict[str, list[int] | None], list[str]]:
    """Which of the two is damaged, and where.

    Returns:
        Damaged frames by role, and a warning each.

    Raises:
        InputError: one is, and that is not allowed.
    """
    by_role: dict[str, list[int] | None] = {}
    warnings = []
    for role, video in zip(("reference", "distorted"), videos, strict=True):
        frames = damaged_frames(ffmpeg, video)
        if frames == []:
            continue
        by_role[role] = frames
        count = "frames cannot be told apart" if frames is None else f"{len(frames)} frames"
        named = ", ".join(map(str, (frames or [])[:_SHOWN]))
        more = ", ..." if len(frames or []) > _SHOWN else ""
        text = f"damaged, as its decoder reports ({count}{named and ': '}{named}{more})"
        if not allowed:
            raise InputError(f"{video.path}: {text}; get it again, or pass --allow-damaged.")
        warnings.append(f"the {role} is {text}")
    return by_role, warnings
