"""Frames of a pair, decoded through pipes: luma, or luma and chroma.

ffmpeg decodes while its reader works, and waits when no one reads; so memory does not grow with
the length of a clip. Each video has a run of its own: one run for both would stop when one pipe is
full and the other is awaited. Frames are paired by number, and brought to one size and format,
exactly as for libvmaf.

Pictures for pages pass the filters that their video was measured through, so that a picture is of
the frame that has the score; then they are scaled down, and luma, chroma and matrix become JPEG's.
"""

import concurrent.futures
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.files import work_folder
from vmaf_jax.printable import format_count
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, Description
from vmaf_jax.video.comparison_run import check_run, check_steps, plan_comparison
from vmaf_jax.video.ffmpeg import TO_NOTHING, VERBOSE, Ffmpeg, FfmpegPipe, run_ffmpeg
from vmaf_jax.video.inputs import Video, check_video, select_streams
from vmaf_jax.video.pairing import check_chroma, filter_chains, warn_of_chroma
from vmaf_jax.video.pixel_format import chroma_size, common_bits, common_format
from vmaf_jax.video.report import (
    check_formats,
    check_frame_counts,
    explain_failure,
    has_restarted_filters,
    join_runs,
)
from vmaf_jax.video.shots import SHOT_FILTER, read_shot_log, shot_starts
from vmaf_jax.video.streams import (
    SWSCALE_MATRIX,
    DecodedStream,
    apply_grain_option,
    leave_grain_out,
    probe_pair,
)
from vmaf_jax.video.synchrony import is_looked_at, shrink

Samples = npt.NDArray[np.unsignedinteger]
_AT_A_TIME = 4  # frames: 133 MB of two 4K videos of 16 bits
_QUALITY = 3  # of ffmpeg's JPEG: 2 is its best, 31 its worst
_HD = 720  # lines from which a file that does not say is taken for BT.709


class DecodedPair:
    """A pair being decoded.

    Attributes:
        height, width: pixels.
        chroma: height and width of a chroma plane, (0, 0) where only luma is read.
        bits: 8, 10 or 12; samples are uint8, or uint16 in the lower bits.
        plan: how the two are brought together.
        ended: whether one of the two has no more frames.
    """

    def __init__(
        self,
        ffmpeg: Ffmpeg,
        reference: Video,
        distorted: Video,
        *,
        comparison: Comparison = DEFAULT_COMPARISON,
        planes: int = 1,
    ) -> None:
        """Decodes a frame of each to find out what the two are, and starts decoding.

        Args:
            comparison: what is allowed where the two differ.
            planes: 1 for luma, 3 for luma and chroma, which then comes behind it in every frame, of
                10 bits at least: it is for VMAF v1, which is to be measured so.

        Raises:
            InputError: a file is missing or cannot be decoded, or the two cannot be compared.
        """
        counts = [check_video(reference), check_video(distorted)]
        check_frame_counts(reference, distorted, counts, shortest=comparison.defers_length_check)
        self._ffmpeg, self._comparison = ffmpeg, comparison
        videos = select_streams((reference, distorted), comparison.streams)
        videos = apply_grain_option(videos, comparison.film_grain)
        videos, self._streams = probe_pair(ffmpeg, videos)
        self._videos = leave_grain_out(ffmpeg, videos, self._streams, comparison.film_grain)
        self._chroma_warnings: tuple[str, ...] = ()
        if planes > 1:
            check_chroma(self._videos, self._streams)
            self._chroma_warnings = warn_of_chroma(self._streams)
        self.plan = plan_comparison(ffmpeg, self._videos, self._streams, comparison)
        self.width, self.height = self.plan.size
        formats = [stream.pix_fmt for stream in self._streams]
        least_bits = 8 if planes == 1 else 10
        self.bits = common_bits(*formats, least_bits=least_bits)
        pix_fmt = common_format(formats[0], formats[1], least_bits=least_bits)
        self.chroma = (0, 0) if planes == 1 else chroma_size(self.height, self.width, pix_fmt)
        # Later frames may have another range than the first, which alone has been seen.
        ending = f",scale=out_range={self.plan.out_range},format={pix_fmt}"
        ending += ",extractplanes=y" if planes == 1 else ""
        self.ended, self._frames_read = False, 0
        self._some: tuple[list[Samples], list[Samples]] = ([], [])  # small pictures
        self._pipes: list[FfmpegPipe] = []
        try:
            for video, chain in zip(
                self._videos, filter_chains(self.plan, least_bits), strict=True
            ):
                self._pipes.append(FfmpegPipe(ffmpeg, self._arguments(video, chain + ending)))
        except InputError:
            self.close()
            raise

    def _arguments(self, video: Video, chain: str) -> list[str]:
        # One thread conceals damage alike every time.
        decoder = ["-threads", "1"] if self._comparison.allow_damaged else []
        graph = f"[0:{video.stream_specifier}]{chain}[out]"
        end = ["-map", "[out]", "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
        return [*VERBOSE, *decoder, *video.arguments(), "-filter_complex", graph, *end]

    def read(self, reference: Samples, distorted: Samples) -> int:
        """Fills both arrays `[n, h, w]` with the next frames and returns how many there were.

        Arrays are `[n, samples]` where chroma is read: planes Y, U and V of a frame in a row.
        """

        def fill(pipe: FfmpegPipe, frames: Samples) -> int:
            """Returns the number of whole frames that came."""
            view = memoryview(frames.view(np.uint8).reshape(-1))  # type: ignore[arg-type]
            return pipe.read_into(view) * len(frames) // len(view)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            counts = list(pool.map(fill, self._pipes, (reference, distorted)))
        self._look_at_some((reference, distorted), min(counts))
        self.ended = min(counts) < len(reference)
        self._frames_read += min(counts)
        return min(counts)

    def _look_at_some(self, pair: tuple[Samples, Samples], count: int) -> None:
        """Keeps small pictures of some of the `count` frames that were read."""
        some = [k for k in range(count) if is_looked_at(self._frames_read + k)]
        pixels = self.height * self.width
        for kept, frames in zip(self._some, pair, strict=True):
            luma = frames.reshape(len(frames), -1)[some, :pixels]
            kept.append(shrink(luma.reshape(-1, self.height, self.width), self.bits))

    def finish(self) -> Description:
        """Reads what one of the two has left, and checks that every frame came and was sound.

        Returns:
            How the two were compared, for the result.

        Raises:
            InputError: frames could not be decoded, or the two are of different lengths.
        """
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            reference, distorted = pool.map(FfmpegPipe.finish, self._pipes)
        run = join_runs(reference, distorted)
        check_formats(run.report, self._videos[::-1])
        if run.code:
            raise InputError(explain_failure(run.report, *self._videos))
        if has_restarted_filters(run.report) and self.plan.counts_frames:
            raise InputError(
                f"{self._videos[1].path}: tags change in it or its reference, and a part was "
                f"requested; pass --backend libvmaf, or split it where they change (docs/traps.md)."
            )
        description, expected = check_run(
            self._ffmpeg, self._videos, run, self._streams, self.plan, self._comparison
        )
        if expected is not None and self._frames_read != expected:
            raise InputError(
                f"{self._videos[1].path}: {format_count(self._frames_read, 'frame')} came out of "
                f"{expected}; encode it again without broken time stamps."
            )
        some = (np.concatenate(self._some[0]), np.concatenate(self._some[1]))
        steps = check_steps(self._videos, self.plan, self._comparison, some)
        warnings = [*description["warnings"], *self._chroma_warnings, *steps]
        return {**description, "warnings": warnings, "frames": self._frames_read}

    def close(self) -> None:
        """Ends the decoding, wherever it is."""
        for pipe in self._pipes:
            pipe.close()


def luma_frames(pair: DecodedPair, count: int) -> Iterator[tuple[int, Samples, Samples]]:
    """Yields the first `count` frames of a pair not yet read: number, reference, distorted.

    Luma `[h, w]`, which the next frames overwrite; fewer where the pair is shorter.
    """
    shape = (_AT_A_TIME, pair.height, pair.width)
    reference, distorted = (np.zeros(shape, sample_dtype(pair.bits)) for _ in range(2))
    start = 0
    while start < count and (n := pair.read(reference, distorted)):
        for k in range(min(n, count - start)):
            yield start + k, reference[k], distorted[k]
        start += n


def frame_at(pair: DecodedPair, number: int) -> tuple[Samples, Samples]:
    """Returns the reference's and the distorted video's frame `number` of a pair not yet read.

    Raises:
        InputError: the pair is shorter.
    """
    for k, reference, distorted in luma_frames(pair, number + 1):
        if k == number:
            return reference, distorted
    raise InputError(f"the pair has fewer than {number + 1} frames.")


def sample_dtype(bits: int) -> type[np.uint8] | type[np.uint16]:
    """Returns the type that samples of so many bits come in."""
    return np.uint8 if bits == 8 else np.uint16


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
    """Returns frames of a video as JPEG, and where its shots start.

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
        graph = f"[0:{video.stream_specifier}]{chain},split=2[a][b];[a]{picked};[b]{SHOT_FILTER}[c]"
        outputs += ["-map", "[c]", *TO_NOTHING]
    with work_folder() as work:
        start = ["-nostdin", "-nostats", "-v", "error", *video.arguments()]
        run = run_ffmpeg(ffmpeg, [*start, "-filter_complex", graph, *outputs], folder=work)
        pictures = [path.read_bytes() for path in sorted(work.glob("p*.jpg"))]
        if run.code or len(pictures) != len(frames):
            reason = (run.report.strip().splitlines() or ["too few frames"])[-1]
            raise InputError(f"{video.path}: no pictures of it ({reason}); check the file.")
        cuts = shot_starts(read_shot_log(work)[1][:shots_of]) if shots_of else []
    return dict(zip(frames, pictures, strict=True)), cuts


def picture_size(stream: DecodedStream, width: int, part: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of a small picture in square pixels, so many pixels across at most.

    Args:
        part: width and height of what is shown of the stream's picture, pixels.
    """
    across = min(width, part[0])
    return across, max(2, round(across * part[1] / part[0] / float(stream.sar or 1)))


def colour_matrix(stream: DecodedStream) -> str:
    """Returns swscale's name of a video's matrix, guessed by its size where it does not say."""
    return SWSCALE_MATRIX.get(stream.matrix, "bt709" if stream.height >= _HD else "bt601")
