"""Values of a clip and its encodes that a page shows, bounded whatever the clip's length."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.clip_pooling import PooledScore
from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.reporting.numbers import format_time

Floats = npt.NDArray[np.float64]
MAX_BINS = 1200  # columns of a curve, more than a screen tells apart; longer clips share them
MAX_DRAWN = 8  # encodes with a curve and pictures; a table has the others


@dataclasses.dataclass(frozen=True)
class BoxedRegion:
    """The worst region of an encode, as a box in a frame's picture.

    Attributes:
        frame: its number.
        place: left, top, width and height, shares of the picture.
        words: its place in pixels, and its score.
    """

    frame: int
    place: tuple[float, float, float, float]
    words: str


@dataclasses.dataclass(frozen=True)
class Encode:
    """One distorted video.

    Attributes:
        name: its file's, with as many folders as tell it from the others.
        score: the clip's, points; `interval` is of it.
        frames: numbers of the frames measured, rising, `[n]`; `per_frame` their scores, points.
        own_frames: the same frames by their numbers in its file, `[n]`.
        worst: its lowest frames, the lowest first.
        notes: warnings, a sentence each.
        compared: settings of the comparison, by name.
        pictures: JPEG by frame.
        worst_second: the mean of the second that is worst, and its frames; None without a rate.
        why: the score of the identical pair and what each feature adds to it, points, of the clip
            (None) and of its lowest frames.
        region: the region that stands out; None where none does, or none was looked for.
        maps: of some of its pictures, by frame and feature: the loss of each tile, 0 to 1,
            `[rows, columns]`.
    """

    name: str
    score: float
    interval: ScoreInterval | None
    frames: npt.NDArray[np.int32]
    per_frame: Floats
    own_frames: Sequence[int]
    worst: Sequence[int]
    notes: Sequence[str]
    compared: Mapping[str, str]
    pictures: Mapping[int, bytes]
    worst_second: PooledScore | None = None
    why: Sequence[tuple[int | None, Mapping[str, float]]] = ()
    region: BoxedRegion | None = None
    maps: Mapping[int, Mapping[str, Floats]] = dataclasses.field(default_factory=dict)

    @property
    def marked(self) -> list[int]:
        """Its frames to look at: the worst region's, and the lowest."""
        region = [] if self.region is None else [self.region.frame]
        return list(dict.fromkeys([*region, *self.worst]))

    def at(self, frame: int) -> float:
        """Returns the score of a frame that was measured, points."""
        return float(self.per_frame[np.searchsorted(self.frames, frame)])

    def own(self, frame: int) -> int:
        """Returns the number in its file of a frame that was measured."""
        return self.own_frames[int(np.searchsorted(self.frames, frame))]


@dataclasses.dataclass(frozen=True)
class ClipView:
    """A reference and its encodes.

    Attributes:
        reference: its file's name.
        model: its name.
        pooling: of frames to the clip's score.
        n_frames: of the clip.
        encodes: the best first; the first `MAX_DRAWN` are drawn.
        failed: encodes without a score, each with its reason.
        cuts: first frames of new shots.
        rate: frames per second, None where the file has none.
        start: frames left out before frame 0.
        pictures: of the reference, JPEG by frame.
        size: of the pictures, pixels; `full` that of the reference.
        notes: sentences on the whole.
        map_extent: width and height of maps over the picture's, at least 1: the last tiles reach
            over its edge.
        no_maps: why there are none; "" where there are.
    """

    reference: str
    model: str
    pooling: str
    n_frames: int
    encodes: Sequence[Encode]
    failed: Sequence[tuple[str, str]]
    cuts: Sequence[int]
    rate: float | None
    start: int
    pictures: Mapping[int, bytes]
    size: tuple[int, int]
    full: tuple[int, int]
    notes: Sequence[str] = ()
    map_extent: tuple[float, float] = (1.0, 1.0)
    no_maps: str = ""

    @property
    def drawn(self) -> Sequence[Encode]:
        """The encodes with a curve and pictures."""
        return self.encodes[:MAX_DRAWN]

    def when(self, frame: int, encode: Encode | None = None) -> str:
        """Names a frame, with its time in the reference where that is known.

        Its numbers in the two files follow where they are others.
        """
        own, notes = frame + self.start, []
        if self.rate is not None:
            notes.append(format_time(own / self.rate))
        if own != frame:
            notes.append(f"the reference's {own}")
        if encode is not None and encode.own(frame) != own:
            notes.append(f"the encode's {encode.own(frame)}")
        return f"frame {frame} ({', '.join(notes)})" if notes else f"frame {frame}"


@dataclasses.dataclass(frozen=True)
class Curve:
    """Scores over the frames, a column for each few of them.

    Attributes:
        first, last: frames of each column, `[b]`.
        mean, low: their mean and their lowest score, points, `[b]`; `lowest` is that frame.
    """

    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    mean: Floats
    low: Floats
    lowest: npt.NDArray[np.int32]

    @property
    def middle(self) -> Floats:
        """Position of each column, in frames."""
        return np.asarray((self.first + self.last) / 2, np.float64)


def bin_scores(encode: Encode) -> Curve:
    """Bins the scores of an encode in at most `MAX_BINS` columns."""
    n = len(encode.per_frame)
    edges = np.linspace(0, n, min(n, MAX_BINS) + 1).astype(int)
    starts, ends = edges[:-1], edges[1:]
    mean = np.add.reduceat(encode.per_frame, starts) / (ends - starts)
    low = np.minimum.reduceat(encode.per_frame, starts)
    lowest = [a + int(np.argmin(encode.per_frame[a:b])) for a, b in zip(starts, ends, strict=True)]
    frames = encode.frames
    return Curve(frames[starts], frames[ends - 1], mean, low, frames[np.array(lowest)])
