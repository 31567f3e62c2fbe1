"""Frames of a pair, decoded: luma through pipes, pictures in colour, and where shots start.

ffmpeg decodes while its reader works, and waits when nobody reads; so memory does not grow with
the length of a clip. (One run for both would stop when one pipe is full and the other is awaited.)
Frames are paired by number, and brought to one size and format, exactly as for libvmaf.

A video passes the filters that it was measured through, so a picture is of the frame that has the
score; then it is scaled down. Luma, chroma and matrix become JPEG's.
"""

import concurrent.futures
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.video.checks import judge, plan_with_offset
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Stream, run_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, with_streams
from vmaf_jax.video.pairing import chains_of, check_chroma, chroma_size
from vmaf_jax.video.streams import (
    Facts,
    check_counts,
    common_format,
    explain,
    graph_began_anew,
    joined,
    probe,
    stream_formats,
)

Samples = npt.NDArray[np.unsignedinteger[Any]]


class LumaPair:
    """A pair being decoded.

    Attributes:
        height, width: pixels.
        chroma: height and width of a chroma plane, (0, 0) where only luma is read.
        bits: 8, 10 or 12; samples are uint8, or uint16 in the lower bits.
        ended: whether one of the two has no more frames.
    """

    def __init__(
        self,
        ffmpeg: Ffmpeg,
        reference: Video,
        distorted: Video,
        *,
        how: Comparison = DEFAULT_COMPARISON,
        planes: int = 1,
    ) -> None:
        """Finds out what the two are, and starts decoding.

        Args:
            how: what is allowed where the two differ.
            planes: 1 for luma, 3 for luma and chroma, which then comes behind it in every frame, of
                10 bits at least: it is for VMAF v1, which is to be measured so.
        Raises:
            InputError: a file is missing or cannot be decoded, or the two cannot be compared.
        """
        counts = [check_video(distorted), check_video(reference)]
        check_counts(reference, distorted, counts, shortest=how.may_end_apart)
        self._pair = with_streams((reference, distorted), how.streams)
        self._how, self._ffmpeg = how, ffmpeg
        self._planes = planes
        self.ended, self._frames_read = False, 0
        lines = self._lines(self._probe(), "-f rawvideo -")
        self._streams: list[Stream] = []
        try:
            for line in lines:
                self._streams.append(Stream(ffmpeg, line))
        except InputError:
            self.close()
            raise

    def read(self, reference: Samples, distorted: Samples) -> int:
        """Fills both arrays `[n, h, w]` with the next frames and returns how many there were.

        Arrays are `[n, samples]` where chroma is read: planes Y, U and V of a frame in a row.
        """
        counts = [0, 0]

        def fill(k: int, frames: Samples) -> None:
            counts[k] = self._fill(k, frames)

        other = threading.Thread(target=fill, args=(1, distorted), daemon=True)
        other.start()
        fill(0, reference)
        other.join()
        self.ended = min(counts) < len(reference)
        self._frames_read += min(counts)
        return min(counts)

    def finish(self) -> dict[str, Any]:
        """Reads what one of the two has left, and checks that every frame came and was sound.

        Returns:
            How the two were compared, for the result.

        Raises:
            InputError: frames could not be decoded, or the two are of different lengths.
        """
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(Stream.finish, self._streams))
        run = joined(runs)
        stream_formats(run.report, *self._pair)
        if run.code:
            raise InputError(explain(run.report, *self._pair))
        if graph_began_anew(run.report) and self.plan.counts_frames:
            raise InputError(
                f"{self._pair[1].path}: tags change in it or its reference, and a part was asked "
                f"for; pass --backend libvmaf, or split it where they change."
            )
        description, expected = judge(
            self._ffmpeg, self._pair, run, self._facts, self.plan, self._how
        )
        if expected is not None and self._frames_read != expected:
            raise InputError(
                f"{self._pair[1].path}: {self._frames_read} frames came out of {expected}; encode "
                f"it again without broken time stamps."
            )
        return {**description, "frames": self._frames_read}

    def close(self) -> None:
        """Ends the decoding, wherever it is."""
        for stream in self._streams:
            stream.close()

    def _probe(self) -> tuple[str, str]:
        """Decodes a frame of each to see what they are; returns each one's filters."""
        self._pair, facts = probe(self._ffmpeg, self._pair, self._how)
        self._facts = facts
        formats: list[tuple[int, int, str] | None]
        formats = [(f.width, f.height, f.pix_fmt) for f in reversed(facts)]
        if self._planes > 1:
            check_chroma(self._pair, facts)
        self.plan = plan_with_offset(self._ffmpeg, self._pair, facts, self._how)
        self.width, self.height = self.plan.size
        least_bits = 8 if self._planes == 1 else 10
        common, self.bits = common_format(formats, least_bits=least_bits)
        # Later frames may have another range than the first, which alone has been seen.
        luma = f",scale=out_range={self.plan.out_range},format={common}"
        luma += ",extractplanes=y" if self._planes == 1 else ""
        size = self.height, self.width
        self.chroma = (0, 0) if self._planes == 1 else chroma_size(*size, common)
        to_reference, to_distorted = chains_of(self.plan, least_bits)
        return to_reference + luma, to_distorted + luma

    def _lines(self, filters: tuple[str, str], end: str) -> list[list[str]]:
        """ffmpeg's arguments for the reference and for the distorted video."""
        decoder = ("-threads", "1") if self._how.allow_damaged else ()
        return [
            [
                *("-nostats", "-v", "level+verbose", *decoder, *video.arguments()),
                *("-filter_complex", f"[0:{video.stream_specifier}]{chain}[luma]"),
                *("-map", "[luma]", "-fps_mode", "passthrough", *end.split()),
            ]
            for video, chain in zip(self._pair, filters, strict=True)
        ]

    def _fill(self, k: int, frames: Samples) -> int:
        """Whole frames read into `frames`."""
        view = memoryview(frames.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        filled = 0
        while filled < len(view) and (count := self._streams[k].read_into(view[filled:])):
            filled += count
        return int(filled * len(frames) // len(view))


def frame_at(pair: LumaPair, number: int) -> tuple[Samples, Samples]:
    """The reference's and the distorted video's frame `number` of a pair not yet read from.

    Raises:
        InputError: the pair is shorter.
    """
    frames = np.zeros((2, 1, pair.height, pair.width), sample_type(pair.bits))
    for _ in range(number + 1):
        if not pair.read(*frames):
            raise InputError(f"the pair has fewer than {number + 1} frames.")
    return frames[0, 0], frames[1, 0]


def sample_type(bits: int) -> type[np.uint8] | type[np.uint16]:
    """The type that samples of so many bits come in."""
    return np.uint8 if bits == 8 else np.uint16


CUT = 5.0  # of 100, ffmpeg's score of a change of shot: half its default, for shots that are alike
Floats = npt.NDArray[np.float64]
_LOG = "shots.log"
_CHANGE = re.compile(r"lavfi\.scd\.mafd=([0-9.]+)")
_SCORE = re.compile(r"lavfi\.scd\.score=([0-9.]+)")
# Filters that a video's frames pass; ffmpeg writes the log into its working folder.
FINDER = f"scdet=threshold={CUT:g},metadata=mode=print:file={_LOG}"


def read_changes(folder: Path) -> tuple[Floats, Floats]:
    """From the log that `FINDER` left in `folder`, of every frame, `[n]` each, of 100.

    Returns:
        How much luma changed from the frame before, and the score of a change of shot.

    Raises:
        InputError: there is no log, or a frame lacks one of the two.
    """
    try:
        text = (folder / _LOG).read_text()
        change, score = (np.array(p.findall(text), np.float64) for p in (_CHANGE, _SCORE))
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of shots ({error}); free space.") from error
    if len(change) != len(score):
        raise InputError("ffmpeg's log of shots is damaged; use a newer ffmpeg.")
    return change, score


def starts_of_shots(score: Floats) -> list[int]:
    """First frames of new shots, of the scores of a clip's frames `[n]`."""
    return (np.flatnonzero(score[1:] >= CUT) + 1).tolist()


_QUALITY = 3  # of ffmpeg's JPEG: 2 is its best, 31 its worst
_HD = 720  # lines from which a file that does not say is taken for BT.709


def picture_size(facts: Facts, width: int) -> tuple[int, int]:
    """Width and height of a small picture of so many pixels across at most, in square pixels."""
    across = min(width, facts.width)
    return across, max(2, round(across / facts.aspect))


def take_pictures(
    ffmpeg: Ffmpeg,
    video: Video,
    chain: str,
    frames: Sequence[int],
    size: tuple[int, int],
    *,
    matrix: str,
    shots_of: int = 0,
) -> tuple[dict[int, bytes], list[int]]:
    """Frames of a video as JPEG, and where its shots start.

    Args:
        chain: the filters that it was measured through.
        frames: numbers after them, rising.
        size: width and height, pixels.
        matrix: of its luma and chroma, ffmpeg's name.
        shots_of: frames that there are, where shots are to be found; 0 looks for none.

    Raises:
        InputError: ffmpeg fails, or the video has not all of the frames.
    """
    chosen = "+".join(f"eq(n,{frame})" for frame in frames)
    convert = f"in_color_matrix={matrix}:out_color_matrix=bt601:out_range=pc"
    picked = (
        f"select='{chosen}',scale={size[0]}:{size[1]}:flags=area:{convert},"
        f"format=yuvj420p,setsar=1[p]"
    )
    graph = f"[0:{video.stream_specifier}]{chain},{picked}"
    outputs = ["-map", "[p]", "-fps_mode", "passthrough", "-c:v", "mjpeg", "-q:v", str(_QUALITY)]
    # In the time base of the video's rate two frames that the chain counts may fall together.
    outputs += ["-enc_time_base", "1:1000", "-f", "image2", "p%05d.jpg"]
    if shots_of:
        graph = f"[0:{video.stream_specifier}]{chain},split=2[a][b];[a]{picked};[b]{FINDER}[c]"
        outputs += ["-map", "[c]", "-fps_mode", "passthrough", "-f", "null", "-"]
    with work_folder() as work:
        start = ["-nostdin", "-nostats", "-v", "error", *video.arguments()]
        run = run_ffmpeg(ffmpeg, [*start, "-filter_complex", graph, *outputs], folder=work)
        pictures = [path.read_bytes() for path in sorted(work.glob("p*.jpg"))]
        if run.code or len(pictures) != len(frames):
            reason = (run.report.strip().splitlines() or ["too few frames"])[-1]
            raise InputError(f"{video.path}: no pictures of it ({reason}); check the file.")
        cuts = starts_of_shots(read_changes(Path(work))[1][:shots_of]) if shots_of else []
    return dict(zip(frames, pictures, strict=True)), cuts


def matrix_of(facts: Facts) -> str:
    """The matrix of a video's luma and chroma, guessed by its size where it does not say."""
    names = {"bt709": "bt709", "bt2020nc": "bt2020", "bt2020c": "bt2020", "fcc": "fcc"}
    names |= {"smpte240m": "smpte240m", "bt470bg": "bt601", "smpte170m": "bt601"}
    return names.get(facts.matrix, "bt709" if facts.height >= _HD else "bt601")
