"""A survey of a source before it is encoded: what it is, where its shots start, how hard it is.

The bytes of the source's own frames tell how hard they are to encode; by them segments are chosen.
One pass decodes the source, finds changes of shot, and makes two lossless files for probes: a reel,
which has the frames of these segments, joined, and an outline, which has all frames in small
pictures. An outline costs little to encode, and tells how segments differ from the whole. All are
cached by the content of the video; of reels and outlines, which are large, the least recently used
are removed.
"""

import contextlib
import dataclasses
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, cache_dir, make_dir, open_regular, work_folder, write_bytes
from vmaf_jax.video.comparison_run import reports_damage
from vmaf_jax.video.encoders import packet_sizes
from vmaf_jax.video.ffmpeg import BY_NUMBER, TO_NOTHING, VERBOSE, Ffmpeg, run_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, file_digest, text_digest
from vmaf_jax.video.pairing import HDR_TRANSFERS
from vmaf_jax.video.report import check_formats
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import DecodedStream, probe
from vmaf_jax.video.timing import is_evenly_spaced

_RECIPE = 3  # raised with every change of a survey, so that none is served old
_LINES = 180  # of the small pictures in which changes of shot are found
_Y4M = "yuv4mpegpipe"  # all frames have the same bytes
Floats = npt.NDArray[np.float64]
_ALPHA = re.compile(r"yuva|ya\d|rgba|bgra|argb|abgr|gbrap|ayuv|vuya|pal8")
_REEL_RECIPE = 1  # raised with every change of what a reel is, so that none is served old
_MOST_BYTES, _IN_USE_SECONDS = 4 << 30, 3600
_FFV1 = ("-c:v", "ffv1", "-level", "3", "-coder", "0", "-context", "0", "-g", "1", "-slices", "4")
_QUICK = ("-c:v", "ffvhuff", "-pred", "median")  # a third of FFV1's time, and half as much again
_OUTLINE = (6, 90, 180)  # pixels for each one of its shorter side, and the fewest and most of it
_MOST_OUTLINED = 20_000  # frames; of longer videos there are segments enough
_QUICK_FORMATS = ("yuv420p", "yuv420p10le")  # of even size; some others it refuses or converts

Segments = Sequence[tuple[int, int]]  # first frame and number of frames of each, rising


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
        with open_regular(entry) as file:
            kept = pydantic.TypeAdapter(_CachedSurvey).validate_json(file.read())
    except (InputError, OSError, ValueError) as error:
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


def reels_folder() -> Path:
    """Returns where reels are cached."""
    return cache_dir() / "reels"


def reel_path(ffmpeg: Ffmpeg, video: Video, segments: Segments) -> Path:
    """Returns where the reel of these segments is cached."""
    return _path(ffmpeg, video, [list(segments)])


def outline_path(ffmpeg: Ffmpeg, video: Video, lines: int) -> Path:
    """Returns where the outline of a video is cached."""
    return _path(ffmpeg, video, ["outline", lines])


def _path(ffmpeg: Ffmpeg, video: Video, what: list[object]) -> Path:
    program = [ffmpeg.path, ffmpeg.version]
    key = [_REEL_RECIPE, program, video.stream, file_digest(video.path), *what]
    return reels_folder() / f"{text_digest(json.dumps(key))}.mkv"


def outline_lines(stream: DecodedStream, n_frames: int) -> int | None:
    """Returns the lines of an outline's pictures; None for a video that is too small or long."""
    share, fewest, most = _OUTLINE
    side = min(stream.width, stream.height)
    if side < 2 * fewest or n_frames > _MOST_OUTLINED:
        return None
    small = min(max(side / share, fewest), most)
    return 2 * round(stream.height * small / side / 2)


def outline_filters(lines: int, rate: float) -> str:
    """Returns filters that make an outline of frames that are numbered by `BY_NUMBER`."""
    scale = f"scale=-2:{lines}:flags=bicubic,format=yuv420p"
    return f"{scale},settb=1/90000,setpts=N/{rate}/TB"


def outline_stream(stream: DecodedStream, lines: int) -> DecodedStream:
    """Returns the form of an outline's frames."""
    width = 2 * round(stream.width * lines / stream.height / 2)
    return dataclasses.replace(stream, width=width, height=lines, pix_fmt="yuv420p")


def reel_filters(segments: Segments, rate: float) -> str:
    """Returns filters that pass the segments of frames that are numbered by `BY_NUMBER`."""
    chosen = "+".join(f"between(n,{start},{start + length - 1})" for start, length in segments)
    # Frames are told apart by number; decoding ends with the last that is chosen.
    return f"trim=end_frame={sum(segments[-1])},select='{chosen}',settb=1/90000,setpts=N/{rate}/TB"


def reel_output(stream: DecodedStream, label: str, out: Path) -> list[str]:
    """Returns ffmpeg's arguments that write what filters pass, without loss.

    Args:
        label: Of the filters' output.
        out: A Matroska file.
    """
    is_even = stream.width % 2 == 0 and stream.height % 2 == 0
    codec = _QUICK if is_even and stream.pix_fmt in _QUICK_FORMATS else _FFV1
    return ["-map", label, "-fps_mode", "passthrough", *codec, "-f", "matroska", str(out)]


def find_reel(
    ffmpeg: Ffmpeg, video: Video, stream: DecodedStream, segments: Segments, rate: float
) -> Video:
    """Returns the reel of some segments of a video, evenly spaced in time; writes it if need be.

    Args:
        stream: Form of its frames.
        segments: First frame and number of frames of each, rising.
        rate: Frames per second.

    Raises:
        InputError: ffmpeg fails.
    """
    path = reel_path(ffmpeg, video, segments)
    return _find(ffmpeg, video, path, reel_filters(segments, rate), stream)


def find_outline(
    ffmpeg: Ffmpeg, video: Video, stream: DecodedStream, lines: int, rate: float
) -> Video:
    """Returns the outline of a video, evenly spaced in time; writes it if need be.

    Args:
        stream: Form of the video's frames.
        lines: Of the outline, of `outline_lines`.
        rate: Frames per second.

    Raises:
        InputError: ffmpeg fails.
    """
    path = outline_path(ffmpeg, video, lines)
    filters, small = outline_filters(lines, rate), outline_stream(stream, lines)
    return _find(ffmpeg, video, path, filters, small)


def _find(ffmpeg: Ffmpeg, video: Video, path: Path, filters: str, form: DecodedStream) -> Video:
    """Returns the cached file of the frames that `filters` pass; writes it if need be."""
    if not path.exists():
        with atomic_path(path) as out:
            line = ["-nostdin", "-nostats", "-y", "-v", "level+warning", *video.arguments()]
            chain = f"[0:{video.stream_specifier}]{BY_NUMBER},{filters}[o]"
            line += ["-filter_complex", chain, *reel_output(form, "[o]", out)]
            run = run_ffmpeg(ffmpeg, line)
            if run.code:
                raise InputError(
                    f"{video.path}: its frames cannot be copied ({run.last_line}); free space at "
                    f"{out.parent}."
                )
    path.touch()
    _remove_old_reels(path.parent)
    return Video(path)


def segment_starts(segments: Segments, rate: float) -> list[float]:
    """Returns when each segment but the first starts in the reel, half a frame early, seconds."""
    starts, place = [], 0
    for _, length in segments[:-1]:
        place += length
        starts.append((place - 0.5) / rate)
    return starts


def _remove_old_reels(folder: Path) -> None:
    """Removes the reels that were used longest ago, until the rest is small."""
    reels = [(path.stat(), path) for path in folder.glob("*.mkv")]
    total = 0
    for stat, path in sorted(reels, key=lambda reel: reel[0].st_mtime, reverse=True):
        total += stat.st_size
        # Another process may be reading what was used a moment ago.
        if total > _MOST_BYTES and time.time() - stat.st_mtime > _IN_USE_SECONDS:
            path.unlink(missing_ok=True)
