"""The luma of a pair, decoded by an ffmpeg run each and read frame by frame through pipes.

ffmpeg decodes while its reader works, and waits when nobody reads; so memory does not grow with
the length of a clip. (One run for both would stop when one pipe is full and the other is awaited.)
Frames are paired by number, and brought to one size and format, exactly as for libvmaf.
"""

import concurrent.futures
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import Ffmpeg, Stream, run_ffmpeg
from vmaf_jax.video.report import (
    BY_NUMBER,
    check_counts,
    colour_ranges,
    common_format,
    explain,
    frame_counts,
    needed_conversion,
    renumbered,
    stream_formats,
)
from vmaf_jax.video.video import Video, check_video

Samples = npt.NDArray[np.unsignedinteger[Any]]


class LumaPair:
    """A pair being decoded.

    Attributes:
        height, width: pixels.
        bits: 8, 10 or 12; samples are uint8, or uint16 in the lower bits.
        ended: whether one of the two has no more frames.
    """

    def __init__(
        self, ffmpeg: Ffmpeg, reference: Video, distorted: Video, *, shortest: bool = False
    ) -> None:
        """Finds out sizes and formats, and starts decoding.

        Args:
            shortest: allow one of the two to be longer.
        Raises:
            InputError: a file is missing or cannot be decoded, or raw lengths differ.
        """
        counts = [check_video(distorted), check_video(reference)]
        check_counts(reference, distorted, counts, shortest=shortest)
        self._pair, self._shortest = (reference, distorted), shortest
        self.ended, self._frames_read = False, 0
        lines = self._lines(self._probe(ffmpeg), "-f rawvideo -")
        self._streams: list[Stream] = []
        try:
            for line in lines:
                self._streams.append(Stream(ffmpeg, line))
        except InputError:
            self.close()
            raise

    def read(self, reference: Samples, distorted: Samples) -> int:
        """Fills both arrays `[n, h, w]` with the next frames and returns how many there were."""
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

    def finish(self) -> None:
        """Reads what one of the two has left, and checks that every frame came and was sound.

        Raises:
            InputError: frames could not be decoded, or the two are of different lengths.
        """
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            runs = list(pool.map(Stream.finish, self._streams))
        report = _joined([run.report for run in runs])
        reference, distorted = self._pair
        stream_formats(report, reference, distorted)
        if any(run.code for run in runs):
            raise InputError(explain(report, reference, distorted))
        counts = frame_counts(report, reference, distorted)
        check_counts(reference, distorted, counts, shortest=self._shortest)
        if self._frames_read != min(counts):
            raise InputError(
                f"{distorted.path}: {self._frames_read} frames came out of {min(counts)}; encode "
                f"it again without broken time stamps."
            )

    def close(self) -> None:
        """Ends the decoding, wherever it is."""
        for stream in self._streams:
            stream.close()

    def _probe(self, ffmpeg: Ffmpeg) -> tuple[str, str]:
        """Decodes a frame of each to see size and depth; returns each one's filters."""
        lines = self._lines(("", ""), "-frames:v 1 -f null -")
        runs = [run_ffmpeg(ffmpeg, ["-nostdin", *line]) for line in lines]
        report = _joined([run.report for run in runs])
        formats = stream_formats(report, *self._pair)
        if any(run.code for run in runs) or formats[1] is None:
            raise InputError(explain(report, *self._pair))
        self.width, self.height, _ = formats[1]
        common, self.bits = common_format(formats)
        to_distorted, _, to_reference = needed_conversion(formats).partition("|")
        ranges = colour_ranges(report)
        if ranges[0] != ranges[1] and "format=" not in to_reference:
            # In one graph with libvmaf, ffmpeg would bring the reference to the other's range.
            to_reference = f",scale=out_range={ranges[0]}{to_reference}"
        luma = f",format={common},extractplanes=y"
        return to_reference + luma, to_distorted + luma

    def _lines(self, filters: tuple[str, str], end: str) -> list[list[str]]:
        """ffmpeg's arguments for the reference and for the distorted video."""
        return [
            [
                *("-nostats", "-v", "verbose", "-noautorotate", *video.arguments()),
                *("-filter_complex", f"[0:v:0]{BY_NUMBER}{added}[luma]"),
                *("-map", "[luma]", "-fps_mode", "passthrough", *end.split()),
            ]
            for video, added in zip(self._pair, filters, strict=True)
        ]

    def _fill(self, k: int, frames: Samples) -> int:
        """Whole frames read into `frames`."""
        view = memoryview(frames.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
        filled = 0
        while filled < len(view) and (count := self._streams[k].read_into(view[filled:])):
            filled += count
        return int(filled * len(frames) // len(view))


def _joined(reports: list[str]) -> str:
    """Reports of the reference's run and the distorted's, as those of one run over both."""
    return reports[1] + renumbered(reports[0])


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
