"""The alignment of two videos that are out of step: which frames belong together, which to none."""

import bisect
import dataclasses
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.printable import format_count
from vmaf_jax.video.comparison import Description
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.frame_course import Numbers, Pictures, frame_course
from vmaf_jax.video.inputs import VideoPair
from vmaf_jax.video.synchrony import read_small_pictures

_LEAST = 8  # frames that two videos must have in common, and a twentieth of the shorter one
_MAX_FRAMES = 400_000  # of a video: their small pictures are held in memory, 2304 bytes each
_MAX_RUNS = 3000  # that fit into one argument of a command
_AS_NEAR, _ROUNDING = 1.25, 0.25  # of squared differences, levels of 255, of small pictures
_NAMED = 5  # places that one line names


class Run(NamedTuple):
    """Frames that belong together one by one: the first of each video, and how many."""

    reference: int
    distorted: int
    length: int


@dataclasses.dataclass(frozen=True)
class Alignment:
    """Frames of two videos that belong together.

    Attributes:
        runs: rising.
        repeated: distorted frames that show again what one beside them shows.
        frames: of the reference and of the distorted video.
    """

    runs: tuple[Run, ...]
    repeated: tuple[int, ...]
    frames: tuple[int, int]

    @property
    def first(self) -> tuple[int, int]:
        """The first frames of both that belong together."""
        return self.runs[0].reference, self.runs[0].distorted

    @property
    def span(self) -> int:
        """Frames of the reference from the first to the last that have a partner."""
        return self.runs[-1].reference + self.runs[-1].length - self.runs[0].reference

    def part(self, start: int, count: int | None) -> "Alignment":
        """Returns the alignment of a part of the span.

        Raises:
            InputError: no frames of the part belong together.
        """
        low = self.first[0] + start
        high = self.first[0] + self.span if count is None else low + count
        runs = []
        for run in self.runs:
            skip = max(low - run.reference, 0)
            left = min(run.reference + run.length, high) - run.reference - skip
            if left > 0:
                runs.append(Run(run.reference + skip, run.distorted + skip, left))
        if not runs:
            raise InputError("--start: no frames from there on belong together; lower it.")
        return dataclasses.replace(self, runs=tuple(runs))

    def filters(self) -> tuple[str, str]:
        """Returns ffmpeg's filters that leave of each video what is measured.

        Of the reference it is the whole span, since motion is measured between neighbours; where a
        frame of it has no partner, it is paired with the distorted frame before, its row dropped.
        """
        first = self.first[0]
        picked, places, passed = [], [], 0
        for run in self.runs:
            picked.append((run.distorted, run.distorted + run.length - 1))
            places.append((passed, run.reference - first - passed))
            passed += run.length
        chosen = interval_expression(picked)
        reference = f"trim=start_frame={first}:end_frame={first + self.span},"
        place = f"N+{_step_expression(places)}"
        return reference, f"select='{chosen}',settb=1/25,setpts='{place}',fps=25,"

    def rows(self) -> Numbers:
        """Returns the rows of the span whose frames belong together."""
        first = self.first[0]
        return np.concatenate(
            [np.arange(r.reference - first, r.reference - first + r.length) for r in self.runs]
        )

    def partner(self, frame: int) -> int:
        """Returns the distorted frame of a frame of the reference that has one."""
        run = self.runs[bisect.bisect(self.runs, frame, key=lambda run: run.reference) - 1]
        return run.distorted + frame - run.reference

    def dropped(self) -> list[tuple[int, int]]:
        """Returns frames of the reference within the span without a partner, first and count."""
        ends = [(a.reference + a.length, b.reference) for a, b in itertools.pairwise(self.runs)]
        return [(end, start - end) for end, start in ends if start > end]

    def foreign(self) -> list[tuple[int, int]]:
        """Returns distorted frames between paired ones that show none of the reference."""
        repeated = set(self.repeated)
        ends = [(a.distorted + a.length, b.distorted) for a, b in itertools.pairwise(self.runs)]
        return _group([k for end, start in ends for k in range(end, start) if k not in repeated])

    def describe(self) -> Description:
        """Returns the alignment as JSON takes it; `from_description` reads it."""
        (n, m), (first, own_first) = self.frames, self.first
        last = self.runs[-1]
        return {
            "paired": sum(run.length for run in self.runs),
            "runs": [list(run) for run in self.runs],
            "dropped": [list(gap) for gap in self.dropped()],
            "repeated": [list(gap) for gap in _group(self.repeated)],
            "without_partner": {
                "reference": [first, n - first - self.span],
                "distorted": [own_first, m - last.distorted - last.length],
                "between": [list(gap) for gap in self.foreign()],
            },
            "frames": [n, m],
        }

    @classmethod
    def from_description(cls, entry: Description) -> "Alignment":
        """Returns the alignment that `describe` described."""
        repeated = [first + k for first, count in entry["repeated"] for k in range(count)]
        frames = (int(entry["frames"][0]), int(entry["frames"][1]))
        return cls(tuple(Run(*run) for run in entry["runs"]), tuple(repeated), frames)

    def sentences(self, rates: Sequence[float | None]) -> list[str]:
        """Says what has no partner, with times.

        Args:
            rates: frames per second of the reference and of the distorted video, where known.
        """
        described = self.describe()
        ends = described["without_partner"]
        lines = []
        for role, (before, after), rate in zip(
            ("reference", "distorted video"),
            (ends["reference"], ends["distorted"]),
            rates,
            strict=True,
        ):
            for count, where in ((before, "first"), (after, "last")):
                if count:
                    lines.append(f"the {role}'s {where} {_length(count, rate)} have no partner")
        for gaps, words, rate in (
            (self.dropped(), "of the reference dropped", rates[0]),
            (_group(self.repeated), "of the distorted video repeated", rates[1]),
            (self.foreign(), "of the distorted video without a partner", rates[1]),
        ):
            if gaps:
                total = sum(count for _, count in gaps)
                more = ", ..." if len(gaps) > _NAMED else ""
                places = ", ".join(_place(gap, rate) for gap in gaps[:_NAMED])
                lines.append(f"{_length(total, None)} {words}: {places}{more}")
        return lines


def align_pair(ffmpeg: Ffmpeg, videos: VideoPair, chains: tuple[str, str]) -> Alignment:
    """Finds which frames of two videos belong together.

    Args:
        chains: filters that bring the reference and the distorted video to one picture.

    Raises:
        InputError: they are too short or too long, or have nothing in common.
    """
    pictures = [
        read_small_pictures(ffmpeg, video, chain, _MAX_FRAMES + 1)
        for video, chain in zip(videos, chains, strict=True)
    ]
    for video, frames in zip(videos, pictures, strict=True):
        if len(frames) < _LEAST:
            raise InputError(
                f"{video.path}: too short to align ({format_count(len(frames), 'frame')}); pass "
                f"--offset."
            )
        if len(frames) > _MAX_FRAMES:
            raise InputError(
                f"{video.path}: --align takes {_MAX_FRAMES} frames at most; cut it into parts."
            )
    alignment = align_frames(*pictures)
    if alignment is None:
        raise InputError(
            f"{videos[1].path}: has nothing in common with {videos[0].path.name} that --align "
            f"could find; check that it was made of it."
        )
    if len(alignment.runs) > _MAX_RUNS:
        raise InputError(
            f"{videos[1].path}: falls out of step {len(alignment.runs)} times, --align follows "
            f"{_MAX_RUNS}; cut it into parts."
        )
    return alignment


def measured_rows(description: Description) -> Numbers | None:
    """Returns which rows of a measurement are of frames that belong together; None for all.

    Args:
        description: of the comparison, as a result carries it.
    """
    if "alignment" not in description:
        return None
    alignment = Alignment.from_description(description["alignment"])
    return alignment.part(description["start"], description["limit"]).rows()


def align_frames(reference: Pictures, distorted: Pictures) -> Alignment | None:
    """Returns which frames belong together, by small pictures `[frames, pixels]` of both.

    None where the two have too little in common.
    """
    course = frame_course(reference, distorted)
    partners = _choose_partners(course, reference, distorted)
    rows = np.flatnonzero(partners >= 0)
    if len(rows) < max(_LEAST, min(len(reference), len(distorted)) // 20):
        return None
    frames = partners[rows]
    breaks = np.flatnonzero((np.diff(rows) != 1) | (np.diff(frames) != 1)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    runs = [Run(int(frames[a]), int(rows[a]), b - a) for a, b in itertools.pairwise(edges)]
    repeated = np.flatnonzero((course >= 0) & (partners < 0))
    sizes = (len(reference), len(distorted))
    return Alignment(tuple(runs), tuple(repeated.tolist()), sizes)


def _choose_partners(course: Numbers, reference: Pictures, distorted: Pictures) -> Numbers:
    """Returns the course with -1 for all but one of the frames that show the same one.

    It is the first that is about as near as the nearest: the best of several encodes of one frame
    would score better than an encode that has it once.
    """
    partners = course.copy()
    shown = np.flatnonzero(course >= 0)
    for group in np.split(shown, np.flatnonzero(np.diff(course[shown])) + 1):
        if len(group) > 1:
            own = reference[course[group[0]]].astype(np.float32)
            differences = np.square(distorted[group].astype(np.float32) - own).mean(axis=1)
            is_near = differences <= _AS_NEAR * (differences.min() + _ROUNDING)
            partners[np.delete(group, int(np.argmax(is_near)))] = -1
    return partners


def interval_expression(intervals: Sequence[tuple[int, int]], variable: str = "n") -> str:
    """Returns ffmpeg's expression that is above 0 within intervals, both ends in.

    It is a search tree, since ffmpeg evaluates it for every frame.

    Args:
        intervals: rising, apart from each other.
        variable: what is looked up, itself an expression.
    """
    if len(intervals) == 1:
        low, high = intervals[0]
        return f"between({variable},{low},{high})"
    middle = len(intervals) // 2
    left = interval_expression(intervals[:middle], variable)
    right = interval_expression(intervals[middle:], variable)
    return f"if(lt({variable},{intervals[middle][0]}),{left},{right})"


def _step_expression(places: Sequence[tuple[int, int]]) -> str:
    """Returns ffmpeg's expression of `N` for values that hold from given frames on; a tree too."""
    if len(places) == 1:
        return str(places[0][1])
    middle = len(places) // 2
    left, right = _step_expression(places[:middle]), _step_expression(places[middle:])
    return left if left == right else f"if(lt(N,{places[middle][0]}),{left},{right})"


def _group(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Returns rising numbers as first and count of those that follow each other."""
    every = np.asarray(numbers, np.int64)
    parts = np.split(every, np.flatnonzero(np.diff(every) != 1) + 1)
    return [(int(part[0]), len(part)) for part in parts if len(part)]


def _length(count: int, rate: float | None) -> str:
    frames = format_count(count, "frame")
    return frames if rate is None else f"{frames} ({count / rate:.2f} s)"


def _place(gap: tuple[int, int], rate: float | None) -> str:
    first, count = gap
    several = f" ({count})" if count > 1 else ""
    return f"frame {first}{several}" if rate is None else f"{first / rate:.2f} s{several}"
