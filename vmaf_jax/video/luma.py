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
from vmaf_jax.video.chroma import check_chroma, chroma_size
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison
from vmaf_jax.video.ffmpeg import Ffmpeg, Stream
from vmaf_jax.video.judgement import judge, plan_with_offset
from vmaf_jax.video.pairing import chains_of
from vmaf_jax.video.probe import joined, probe
from vmaf_jax.video.report import (
    check_counts,
    common_format,
    explain,
    graph_began_anew,
    stream_formats,
)
from vmaf_jax.video.video import Video, check_video, with_streams

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
