"""A survey of a source before it is encoded: what it is, where its shots start, how hard it is.

The bytes of the source's own frames tell how hard they are to encode; by them segments are chosen.
One pass decodes the source, finds changes of shot, and copies these segments, and all frames in
small pictures, for probes.
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.files import cache_dir, make_dir, work_folder, write_bytes
from vmaf_jax.video.comparison_run import reports_damage
from vmaf_jax.video.encoders import packet_sizes
from vmaf_jax.video.ffmpeg import BY_NUMBER, TO_NOTHING, VERBOSE, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, file_digest, text_digest
from vmaf_jax.video.pairing import HDR_TRANSFERS
from vmaf_jax.video.reel import (
    Segments,
    outline_filters,
    outline_lines,
    outline_path,
    outline_stream,
    reel_filters,
    reel_output,
    reel_path,
    reels_folder,
)
from vmaf_jax.video.report import check_formats
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import DecodedStream, probe
from vmaf_jax.video.timing import is_evenly_spaced

_RECIPE = 3  # raised with every change of a survey, so that none is served old
_LINES = 180  # of the small pictures in which changes of shot are found
_Y4M = "yuv4mpegpipe"  # all frames have the same bytes
Floats = npt.NDArray[np.float64]
_ALPHA = re.compile(r"yuva|ya\d|rgba|bgra|argb|abgr|gbrap|ayuv|vuya|pal8")


@dataclasses.dataclass(frozen=True)
class Survey:
    """Findings of a pass over a source.

    Attributes:
        video: The source, with the stream that is encoded.
        stream: Form of its frames.
        rate: Frames per second.
        cuts: First frames of new shots, rising.
        difficulty: Bytes of each frame in the source, in coded order; ones where they tell nothing,
            `[n]`.
    """

    video: Video
    stream: DecodedStream
    rate: float
    cuts: list[int]
    difficulty: Floats

    @property
    def n_frames(self) -> int:
        """Frames of the source."""
        return len(self.difficulty)


def survey_source(
    ffmpeg: Ffmpeg, video: Video, choose: Callable[[Floats, float], Segments]
) -> Survey:
    """Decodes a source once, and refuses what cannot be encoded and compared frame by frame.

    A survey is cached by the content of the source, and so are the reel of its segments and its
    outline.

    Args:
        choose: Gives the segments of a source by the difficulty of its frames and their rate.

    Raises:
        InputError: It cannot be read; is raw, damaged, interlaced, HDR or transparent; its frames
            have no times, or uneven ones; or its pictures change on the way. Or the cached survey
            is corrupted.
    """
    if video.is_raw:
        raise InputError(f"{video.path}: a raw file has no rate; wrap it as .y4m first.")
    check_video(video)
    key = [_RECIPE, ffmpeg.path, ffmpeg.version, video.stream, file_digest(video.path)]
    entry = cache_dir() / "surveys" / f"{text_digest(json.dumps(key))}.json"
    if entry.exists():
        return _read_entry(entry, video)
    survey = _decode_source(ffmpeg, video, choose)
    kept = _CachedSurvey(
        number=survey.video.stream,
        stream=survey.stream,
        rate=survey.rate,
        cuts=survey.cuts,
        difficulty=survey.difficulty.tolist(),
    )
    write_bytes(entry, pydantic.TypeAdapter(_CachedSurvey).dump_json(kept))
    return survey


@dataclasses.dataclass(frozen=True)
class _CachedSurvey:
    """A survey as it is cached, with the number of the stream in place of the video."""

    number: int | None
    stream: DecodedStream
    rate: float
    cuts: list[int]
    difficulty: list[float]


def _read_entry(entry: Path, video: Video) -> Survey:
    try:
        kept = pydantic.TypeAdapter(_CachedSurvey).validate_json(entry.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(
            f"{entry}: this cache entry is corrupted; delete it and run again."
        ) from error
    video = dataclasses.replace(video, stream=kept.number)
    return Survey(video, kept.stream, kept.rate, kept.cuts, np.array(kept.difficulty))


def _decode_source(
    ffmpeg: Ffmpeg, video: Video, choose: Callable[[Floats, float], Segments]
) -> Survey:
    video, stream = probe(ffmpeg, video)
    rate = _check_form(video, stream)
    difficulty = np.empty(0)
    if stream.demuxer != _Y4M:
        with contextlib.suppress(InputError):  # what is wrong with it, decoding tells
            difficulty = np.array(packet_sizes(ffmpeg, video.path, video.stream), np.float64)
    segments = choose(difficulty, rate) if len(difficulty) else ()
    small = f"scale=-2:'min({_LINES},ih)':flags=fast_bilinear,format=yuv420p"
    lines = outline_lines(stream, len(difficulty)) if segments else None
    chains, outputs = [f"[a]{small},{SHOT_FILTER}[c]"], ["a"]
    if segments:
        outputs.append("b")
        chains.append(f"[b]{reel_filters(segments, rate)}[r]")
    if lines is not None:
        outputs.append("d")
        chains.append(f"[d]{outline_filters(lines, rate)}[o]")
    split = f"split={len(outputs)}{''.join(f'[{name}]' for name in outputs)}"
    graph = ";".join([f"[0:{video.stream_specifier}]{BY_NUMBER},{split}", *chains])
    with work_folder(make_dir(reels_folder())) as work:
        reel, outline = work / "reel.mkv", work / "outline.mkv"
        line = [*VERBOSE, *video.arguments(), "-filter_complex", graph, "-map", "[c]", *TO_NOTHING]
        line += reel_output(stream, "[r]", reel) if segments else []
        if lines is not None:
            line += reel_output(outline_stream(stream, lines), "[o]", outline)
        run = run_ffmpeg(ffmpeg, line, folder=work)
        check_formats(run.report, [video])
        if reports_damage(run.faults, [stream]) or re.search(r"; [1-9]\d* decode err", run.report):
            raise InputError(f"{video.path}: damaged, as its decoder reports; get it again.")
        # ffmpeg's own decoder of VP9 leaves the second stream out that holds alpha.
        if re.search(r"^ *alpha_mode *: *1", run.report, re.M | re.I):
            raise InputError(f"{video.path}: is transparent; put it on a background.")
        if run.code:
            raise InputError(
                f"{video.path}: ffmpeg failed on it ({run.last_line}); check the file, or free "
                f"space at {work.parent}."
            )
        # After damage, which loses frames.
        if not is_evenly_spaced(ffmpeg, video, stream):
            raise InputError(
                f"{video.path}: its frames are not evenly spaced in time; give it a constant rate "
                f"first (ffmpeg -fps_mode cfr)."
            )
        _, score = read_shot_log(work)
        if len(difficulty) != len(score):
            difficulty = np.ones(len(score))
        elif segments:
            reel.replace(reel_path(ffmpeg, video, segments))
            if lines is not None:
                outline.replace(outline_path(ffmpeg, video, lines))
    return Survey(video, stream, rate, shot_starts(score), difficulty)


def _check_form(video: Video, stream: DecodedStream) -> float:
    """Returns the rate of a source whose frames can be encoded as they are."""
    path = video.path
    if stream.scan == "interlaced":
        raise InputError(f"{path}: is interlaced; deinterlace it first (ffmpeg's bwdif).")
    if stream.transfer in HDR_TRANSFERS:
        raise InputError(f"{path}: is HDR, which no model here scores; make it SDR first.")
    if _ALPHA.match(stream.pix_fmt):
        raise InputError(f"{path}: is transparent ({stream.pix_fmt}); put it on a background.")
    if stream.rate is None:
        raise InputError(
            f"{path}: its frames have no times, so neither duration nor rate is known; put it into "
            f"a container that has them (ffmpeg -r RATE -i FILE -c copy FILE.mkv)."
        )
    return stream.rate
