"""Options of a comparison: what is allowed where two videos differ in shape, time or soundness.

The defaults refuse whatever could make a score mean something else than people think it means.
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, TypedDict

from vmaf_jax.errors import InputError

Description = dict[str, Any]  # of how a pair was compared, as results carry it in JSON
FILM_GRAIN = ("off", "on")
SCALES = ("stretch", "pad", "crop")
DEINTERLACE = ("auto", "tff", "bff")
_PART, _DIFFERING = "A part of the videos", "Videos that differ"  # headings in help
_MAX_OFFSET = 100_000  # frames
_MAX_FRAMES = 100_000_000


class ComparisonOptions(TypedDict, total=False):
    """Types of the attributes of `Comparison`, which `score` and `extract_pair` take by keyword."""

    shortest: bool
    force: bool
    scale: str | None
    fps: str | None
    sync: str | None
    offset: int
    allow_damaged: bool
    start: str | float | None
    frames: int | None
    deinterlace: str | None
    stream: str | int | None
    align: bool
    film_grain: str | None
    region: str | Sequence[int] | None


_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)")
_FRAME = re.compile(r"(\d{1,9})f")
_STREAMS = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4})")
_REGION = re.compile(r"(\d{1,5}),(\d{1,5}),(\d{1,5}),(\d{1,5})")


class Region(NamedTuple):
    """A part of a picture, pixels from its left and top."""

    x: int
    y: int
    width: int
    height: int


class Option(NamedTuple):
    """How a field of settings is offered: as an option of commands and an argument of MCP tools.

    Attributes:
        help: What it does, in a line.
        group: The heading below which help lists it.
        choices: The values that it takes; none where any may be given.
    """

    help: str
    group: str
    choices: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Options of a comparison; the defaults refuse all that makes a score mean something else.

    The order of the fields is in the names of cached results.

    Attributes:
        shortest: stop at the end of the shorter video instead of refusing unequal lengths.
        force: measure pairs whose score means little (HDR against SDR, say) all the same.
        scale: how a distorted video of another display aspect ratio is brought to the reference's
            picture: `stretch`, `pad` (black bars) or `crop`; None refuses it.
        fps: `match` pairs frames by time stamp at the reference's rate; None pairs by number and
            refuses other rates.
        sync: `auto` finds by luma how many frames the distorted video starts late or early.
        offset: how many frames the distorted video starts late (early, below zero); frames that
            only one of the two has are left out.
        allow_damaged: measure what the decoder makes of damaged streams; its frames are named.
        start: where to begin: seconds (`12.5`), a clock time (`1:02:03.5`), or a frame (`48f`).
        frames: how many frames to measure at most; None measures to the end.
        deinterlace: `auto` makes progressive pictures of those videos that say they are interlaced,
            `tff` and `bff` of both, top or bottom field first; None leaves fields as they are.
        stream: which video stream of the distorted file is measured, from 0 (`1`), or of both files
            (`0:1`, the reference's first); None takes the film that a player shows.
        film_grain: `off` decodes both without the grain that a decoder synthesises, `on` with it;
            None leaves it out where an AV1 encode carries it and its reference does not.
        align: find by luma which frames belong together, where some are dropped, repeated or
            foreign, and measure those; the others are named.
        region: measure this part of the picture alone, `x,y,width,height` in pixels of the
            reference, as text or four numbers (`WorstRegion.box`); None measures the whole.

    Raises:
        InputError: a value is unknown, or two exclude each other.
    """

    shortest: Annotated[bool, Option("Allow unequal lengths.", _DIFFERING)] = False
    force: Annotated[
        bool, Option("Measure pairs that do not compare, such as HDR with SDR.", _DIFFERING)
    ] = False
    scale: Annotated[
        str | None, Option("Other aspect ratio: stretch, pad or crop.", _DIFFERING, SCALES)
    ] = None
    fps: Annotated[
        str | None,
        Option(
            "match: pair frames by time stamp, at the reference's rate.", _DIFFERING, ("match",)
        ),
    ] = None
    sync: Annotated[
        str | None, Option("auto: find a constant offset by luma.", _DIFFERING, ("auto",))
    ] = None
    offset: Annotated[int, Option("Frames that the distorted video starts late.", _DIFFERING)] = 0
    allow_damaged: Annotated[bool, Option("Measure damaged streams too.", _DIFFERING)] = False
    start: Annotated[
        str | float | None,
        Option("Where to begin: seconds, 1:02:03.5, or a frame as 48f.", _PART),
    ] = None
    frames: Annotated[int | None, Option("Measure at most this many frames.", _PART)] = None
    deinterlace: Annotated[
        str | None,
        Option("auto: files marked as interlaced; tff, bff: both files.", _DIFFERING, DEINTERLACE),
    ] = None
    stream: Annotated[
        str | int | None,
        Option("Video stream of the distorted file, from 0; of both files, as 0:1.", _DIFFERING),
    ] = None
    align: Annotated[
        bool, Option("Pair frames by their pictures (drops, repeats, cuts).", _DIFFERING)
    ] = False
    film_grain: Annotated[
        str | None,
        Option(
            "Grain that decoders add: off, on. [default: as the reference]", _DIFFERING, FILM_GRAIN
        ),
    ] = None
    region: Annotated[
        str | Sequence[int] | None,
        Option("Measure a part of the picture alone: x,y,width,height.", _PART),
    ] = None

    def __post_init__(self) -> None:
        for flag, value, allowed in (
            ("--scale", self.scale, SCALES),
            ("--fps", self.fps, ("match",)),
            ("--sync", self.sync, ("auto",)),
            ("--deinterlace", self.deinterlace, DEINTERLACE),
            ("--film-grain", self.film_grain, FILM_GRAIN),
        ):
            if value is not None and value not in allowed:
                raise InputError(f"{flag} {value}: expected {' or '.join(allowed)}.")
        if isinstance(self.offset, bool) or not isinstance(self.offset, int):
            raise InputError(f"--offset {self.offset}: expected a whole number of frames.")
        if abs(self.offset) > _MAX_OFFSET:
            raise InputError(f"--offset {self.offset}: at most {_MAX_OFFSET} frames each way.")
        if self.sync and self.offset:
            raise InputError("--sync finds the offset that --offset sets; drop one of them.")
        if self.align and (self.sync or self.offset or self.fps):
            raise InputError("--align pairs every frame; drop --sync, --offset and --fps.")
        if self.frames is not None and not 1 <= self.frames <= _MAX_FRAMES:
            raise InputError(f"--frames {self.frames}: expected 1 to {_MAX_FRAMES}.")
        if self.start is not None:
            self._parse_start()
        if self.stream is not None and not _STREAMS.fullmatch(str(self.stream)):
            raise InputError(
                f"--stream {self.stream}: expected the number of a video stream of the distorted "
                f"file, from 0 (1), or of both files (0:1)."
            )
        if self.region is not None:
            self._check_region()

    def _check_region(self) -> None:
        """Brings the region to text, which names one cached result however it was given."""
        text = str(self.region)
        if isinstance(self.region, Sequence) and not isinstance(self.region, str):
            text = ",".join(map(str, self.region))
        if not _REGION.fullmatch(text):
            raise InputError(
                f"--region {text}: expected x,y,width,height in pixels, as 640,360,128,96."
            )
        object.__setattr__(self, "region", text)

    def start_frame(self, rate: float | None) -> int:
        """Returns the first frame measured, counted from 0.

        Args:
            rate: frames per second of the reference, or None where it is unknown.

        Raises:
            InputError: the start is in seconds, and there is no rate.
        """
        if self.start is None:
            return 0
        value, in_frames = self._parse_start()
        if in_frames:
            return int(value)
        if rate is None:
            raise InputError(
                f"--start {self.start}: the reference has no frame rate; give a frame, as 48f."
            )
        return round(value * rate)

    def _parse_start(self) -> tuple[float, bool]:
        """Returns the start, and whether it is in frames."""
        text = str(self.start)
        if match := _FRAME.fullmatch(text):
            return float(match[1]), True
        if match := _CLOCK.fullmatch(text):
            hours, minutes, seconds = (float(part or 0) for part in match.groups())
            if (value := (hours * 60 + minutes) * 60 + seconds) * 1000 <= _MAX_FRAMES:
                return value, False
        raise InputError(
            f"--start {text}: expected seconds (12.5), a time (1:02:03.5) or a frame (48f)."
        )

    @property
    def streams(self) -> tuple[int | None, int | None]:
        """The requested video stream of the reference and of the distorted file."""
        match = _STREAMS.fullmatch(str(self.stream))
        if match is None:
            return None, None
        return None if match[1] is None else int(match[1]), int(match[2])

    @property
    def box(self) -> Region | None:
        """The part of the picture that is measured; None for the whole."""
        match = _REGION.fullmatch(str(self.region))
        return Region(*map(int, match.groups())) if match else None

    @property
    def allows_unequal_lengths(self) -> bool:
        """Whether lengths may differ, since only what both have is measured."""
        return self.shortest or bool(self.offset or self.sync or self.align)

    @property
    def defers_length_check(self) -> bool:
        """Whether the files' own lengths say nothing yet about how many frames are compared."""
        return self.allows_unequal_lengths or self.fps is not None or self.frames is not None

    @property
    def needs_probe(self) -> bool:
        """Whether much is left out or made anew, so that measuring all first would be waste."""
        return bool(
            self.start or self.frames or self.deinterlace or self.align or self.region is not None
        )


DEFAULT_COMPARISON = Comparison()
