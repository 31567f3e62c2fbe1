"""libvmaf on chosen frames of a pair, with the values that a run over all frames gives them.

VIF and ADM see one frame; motion sees a frame, the one before it and the one after. So each chosen
frame goes in with both neighbours, and `n_subsample=3` has VIF and ADM computed on the middle ones
alone: libvmaf runs extractors with a memory, motion's, on every frame. Chosen frames less than
three apart would share neighbours, and are for different branches of the graph. Frame 0 has a
branch of its own, which begins as the whole does: what libvmaf gives a first frame for motion it
gives no other.

It is the pass that decodes and judges a pair, as a measurement does. How many frames there are is
not known before it, nor where shots start: one frame of each few is drawn beforehand, in a pattern
that repeats itself after a thousand. PSNR and the reference's change from frame to frame cost
little beside libvmaf. (SSIM took up no more of what varies than its own time was worth.)

Chosen frames less than three apart go to different branches of one graph, three at most, and frame
0 to one of its own.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.v1_form import describe, libvmaf_keys, model_options
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.video.checks import check_run
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.ffmpeg import BY_NUMBER, CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.geometry import EncodedFormat
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pairing import PairPlan, check_chroma, filter_chains
from vmaf_jax.video.pixel_format import common_bits
from vmaf_jax.video.planning import run_comparison
from vmaf_jax.video.report import explain_failure
from vmaf_jax.video.shots import SHOT_FILTER, Floats, read_shot_log, shot_starts

STEP = 3  # frames that go in for each one chosen
# Of an output that is run for what its filters write: its first frame alone goes on to an encoder.
# Filters in one thread: ffmpeg else hands parts of each frame to threads that wait for them.
RUN_THROUGH = "select=not(n)"
ONE_THREAD = ("-filter_complex_threads", "1")
FIRST_FRAMES = 3  # that frame 0's values may depend on
Intervals = Sequence[tuple[int, int]]


@dataclasses.dataclass(frozen=True)
class Branch:
    """Which frames one libvmaf is given.

    Attributes:
        pick: ffmpeg's expression, above 0 on the chosen frames and their neighbours; "" gives it
            all frames, each of which it then measures.
        is_first: whether it is for frame 0, and measures the frames picked from there on.
    """

    pick: str = ""
    is_first: bool = False

    def filters(
        self,
        k: int,
        feature_set: FeatureSet,
        *,
        threads: int,
        convert: tuple[str, str] = ("", ""),
        ending: str = "",
        encode: EncodedFormat | None = None,
    ) -> list[str]:
        """From the graph's `[dk]` and `[rk]` to `[ok]`; libvmaf writes `logk.json`.

        Args:
            k: the branch's number.
            threads: of libvmaf.
            convert: filters for the reference and for the distorted frames, after the choice.
            ending: libvmaf's options for streams of different lengths.
            encode: behind the distorted pictures, where they are scaled.
        """
        pick, step = "null", 1
        if self.is_first:
            pick = f"select='{self.pick}',setpts=N"
        elif self.pick:
            # libvmaf measures frames 0, 3, 6, ...: the first chosen one is to be 3.
            copies = STEP - 1
            pick, step = f"select='{self.pick}',loop=loop={copies}:size=1:start=0,setpts=N", STEP
        options = (
            f"log_fmt=json:log_path=log{k}.json:n_threads={threads}:n_subsample={step}{ending}:"
            f"model=version={feature_set.libvmaf_model}"
        )
        if feature_set.least_bits > 8:
            options += model_options(encode)
        return [
            f"[d{k}]{pick}{convert[1]}[e{k}]",
            f"[r{k}]{pick}{convert[0]}[s{k}]",
            f"[e{k}][s{k}]libvmaf={options},{RUN_THROUGH}[o{k}]",
        ]

    def read(
        self,
        log: Path,
        members: Sequence[int],
        feature_set: FeatureSet,
        encode: EncodedFormat | None = None,
    ) -> dict[int, list[float]]:
        """Features by frame of what was chosen, `members`, rising.

        Raises:
            InputError: the log is of other frames, or holds a value that is not finite.
        """
        first, step = (STEP, STEP) if self.pick and not self.is_first else (0, 1)
        keys = libvmaf_keys(feature_set, encode)
        try:
            entries = json.loads(log.read_bytes())["frames"]
            by_number = {int(entry["frameNum"]): entry["metrics"] for entry in entries}
            rows = {
                frame: [float(by_number[first + step * j][key]) for key in keys]
                for j, frame in enumerate(members)
            }
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(
                f"libvmaf's log lacks chosen frames ({error}); free space, or drop --within."
            ) from error
        beside = len(by_number) - 1 if self.is_first else first // step
        if len(by_number) != len(members) + beside or not _finite(rows):
            raise InputError("libvmaf's log has other frames than were chosen; drop --within.")
        return rows


FIRST = Branch(f"lt(n,{FIRST_FRAMES})", is_first=True)


def check_branches(feature_set: FeatureSet) -> None:
    """Raises InputError where features of a frame depend on more frames than go in with it."""
    if feature_set.option("motion_five_frame_window"):
        raise InputError(
            f"--within: {feature_set.teacher} takes motion from five frames, so that frames cannot "
            f"be measured apart; drop it, or take a model without hfr in its name."
        )


def _finite(rows: dict[int, list[float]]) -> bool:
    return bool(np.isfinite(list(rows.values())).all())


def expression(intervals: Intervals, variable: str = "n") -> str:
    """ffmpeg's expression that is above 0 within intervals, both ends in; a search tree.

    Args:
        intervals: rising, apart from each other.
        variable: what is looked up, itself an expression.
    """
    if len(intervals) == 1:
        low, high = intervals[0]
        return f"between({variable},{low},{high})"
    middle = len(intervals) // 2
    left, right = (expression(part, variable) for part in (intervals[:middle], intervals[middle:]))
    return f"if(lt({variable},{intervals[middle][0]}),{left},{right})"


_LEAST_MSE = 1e-2  # of samples that are equal; the log has two decimals
_MSE = re.compile(r"\bmse_y:([0-9.]+)")


@dataclasses.dataclass(frozen=True)
class Pattern:
    """Frame 0, and one frame of each cell of those after it.

    Attributes:
        cell: frames of a cell, two or more: chosen frames of every second cell are then at least
            three apart.
        offsets: of the chosen frame in its cell, 0 to `cell - 1`, `[m]`, m even; after m cells the
            same again.
    """

    cell: int
    offsets: npt.NDArray[np.int64]

    @property
    def shortest_clip(self) -> int:
        """Frames of a clip in which both lists have a member."""
        return 2 * self.cell + 1

    def members(self, n_frames: int) -> list[list[int]]:
        """The frames chosen of a clip, rising, in lists: of even cells, of odd ones, and 0."""
        count = -(-(n_frames - 1) // self.cell)
        frames = 1 + np.arange(count) * self.cell + np.resize(self.offsets, count)
        even, odd = (frames[k::2] for k in (0, 1))
        return [even[even < n_frames].tolist(), odd[odd < n_frames].tolist(), [0]]

    def branches(self) -> list[Branch]:
        """The same as ffmpeg chooses them, for clips of any length."""
        period = self.cell * len(self.offsets)
        at = f"mod(n-1,{period})"  # from 0 up: frame 0 is at the end of a period
        even, odd = self._intervals(0), self._intervals(1)
        if self.offsets[0] == 0:
            even.append((period - 1, period - 1))
        if self.offsets[-1] == self.cell - 1:
            odd.insert(0, (0, 0))
        return [Branch(expression(even, at)), Branch(f"gt(n,1)*({expression(odd, at)})"), FIRST]

    def _intervals(self, first: int) -> list[tuple[int, int]]:
        """Each chosen frame with its neighbours, of every second cell, within a period."""
        period = self.cell * len(self.offsets)
        cells = range(first, len(self.offsets), 2)
        chosen = [self.cell * k + int(self.offsets[k]) for k in cells]
        return [(max(frame - 1, 0), min(frame + 1, period - 1)) for frame in chosen]


@dataclasses.dataclass(frozen=True)
class FirstLook:
    """A pair, seen whole, measured cheaply, and some of its frames measured.

    Attributes:
        covariate: what is known of all frames, the most telling first, `[n, 4]` (`_covariate`).
        cuts: first frames of new shots of the reference.
        features: by number of the frames measured, rising.
        videos: the reference and the distorted one, with the streams that were measured.
        plan: how the two are brought together.
        ending: libvmaf's options for it.
        description: of the comparison, for the result.
        version: libvmaf's.
    """

    covariate: Floats
    cuts: list[int]
    features: dict[int, list[float]]
    videos: tuple[Video, Video]
    plan: PairPlan
    ending: str
    description: dict[str, Any]
    version: str


def first_look(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    how: Comparison,
    feature_set: FeatureSet,
    pattern: Pattern,
    *,
    threads: int,
) -> FirstLook:
    """Decodes a pair once, or twice where it has to be brought together first.

    Args:
        videos: the reference and the distorted one.
        pattern: which frames libvmaf measures.
        threads: of libvmaf.

    Raises:
        InputError: as a measurement does.
    """
    reference, distorted = videos
    ending = ":shortest=1:repeatlast=0" if how.allows_unequal_lengths or how.fps is not None else ""
    with work_folder() as work:

        def run(pair: tuple[Video, Video], plan: PairPlan | None) -> CompletedRun:
            share = max(1, threads // 2)
            graph, maps = _graph(pair, plan, pattern, feature_set, ending, share)
            ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
            inputs = [*pair[1].arguments(), *pair[0].arguments()]
            start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
            arguments = [*start, *ONE_THREAD, "-filter_complex", graph, *maps, *ends]
            return run_ffmpeg(ffmpeg, arguments, folder=work)

        result, videos, facts, plan = run_comparison(ffmpeg, videos, how, run)
        if feature_set.planes > 1:
            check_chroma(videos, facts)
        if result.code != 0:
            raise InputError(explain_failure(result.report, reference, distorted))
        description, expected = check_run(ffmpeg, videos, result, facts, plan, how)
        covariate, cuts = _read(work)
        if expected is not None and len(covariate) != expected:
            raise InputError(
                f"{distorted.path}: {len(covariate)} frames of {expected} could be compared; "
                f"re-encode the file without broken time stamps."
            )
        if len(covariate) < (least := pattern.shortest_clip):
            raise InputError(
                f"{distorted.path}: {len(covariate)} frames, --within takes {least} or more; drop "
                f"it, and all are measured."
            )
        rows: dict[int, list[float]] = {}
        for k, members in enumerate(pattern.members(len(covariate))):
            log = work / f"log{k}.json"
            rows |= pattern.branches()[k].read(log, members, feature_set, plan.encode)
        version = str(json.loads((work / "log0.json").read_bytes()).get("version", "unknown"))
    if feature_set.least_bits > 8:
        bits = common_bits(facts[0].pix_fmt, facts[1].pix_fmt, least_bits=10)
        description |= describe(bits, plan.encode)
    features = dict(sorted(rows.items()))
    return FirstLook(covariate, cuts, features, videos, plan, ending, description, version)


def _graph(
    videos: tuple[Video, Video],
    plan: PairPlan | None,
    pattern: Pattern,
    feature_set: FeatureSet,
    ending: str,
    threads: int,
) -> tuple[str, list[str]]:
    """The filter graph, and which of its outputs are run."""
    to_reference, to_distorted = filter_chains(plan, feature_set.least_bits)
    encode = plan.encode if plan else None
    parts = [
        f"[0:{videos[1].stream_specifier}]{to_distorted},split=4[d0][d1][d2][d3]",
        f"[1:{videos[0].stream_specifier}]{to_reference},split=5[r0][r1][r2][r3][r4]",
        f"[d3][r3]psnr=stats_file=psnr.log{ending},{RUN_THROUGH}[p]",
        f"[r4]{SHOT_FILTER},{RUN_THROUGH}[c]",
    ]
    for k, branch in enumerate(pattern.branches()):
        parts += branch.filters(k, feature_set, threads=threads, ending=ending, encode=encode)
    outputs = ("[p]", "[c]", "[o0]", "[o1]", "[o2]")
    return ";".join(parts), [word for label in outputs for word in ("-map", label)]


def _read(folder: Path) -> tuple[Floats, list[int]]:
    """The covariate of all frames, and where shots start."""
    try:
        mse = np.array(_MSE.findall((folder / "psnr.log").read_text()), np.float64)
    except (OSError, ValueError) as error:
        raise InputError(f"ffmpeg wrote no log of PSNR ({error}); free space.") from error
    change, score = read_shot_log(folder)
    n = len(mse)
    if not n or len(change) < n:
        raise InputError("ffmpeg's log of PSNR is too short; use a newer ffmpeg, or drop --within.")
    psnr = -10 * np.log10(np.maximum(mse, _LEAST_MSE))
    return _covariate(psnr, change[:n]), shot_starts(score[:n])


def _covariate(psnr: Floats, change: Floats) -> Floats:
    """What tells of a frame's score, `[n, 4]`, from two figures of all frames, each `[n]`.

    PSNR; the smaller of the reference's changes from the frame before and to the next, as VMAF's
    motion is; PSNR of the frame before and of the next.

    Args:
        psnr: of luma, dB but for a constant.
        change: of the reference's luma from the frame before, of 100.
    """
    before, after = np.append(psnr[:1], psnr[:-1]), np.append(psnr[1:], psnr[-1:])
    motion = np.minimum(change, np.append(change[1:], change[-1:]))
    return np.stack([psnr, motion, before, after], axis=1)


MAX_CHOSEN = 1000  # frames of a run: a longer list does not fit one argument of a command
Lists = list[list[int]]


def apart(frames: Sequence[int]) -> Lists:
    """Sorted frames in lists whose members are at least three apart, three at most; 0 is alone."""
    alone: Lists = [[0]] if frames and frames[0] == 0 else []
    lists: Lists = []
    for frame in frames[len(alone) :]:
        for members in lists:
            if frame - members[-1] >= STEP:
                members.append(frame)
                break
        else:
            lists.append([frame])
    return alone + lists


def measure_chosen(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    plan: PairPlan,
    feature_set: FeatureSet,
    frames: Sequence[int],
    *,
    threads: int,
) -> npt.NDArray[np.float64]:
    """Features `[len(frames), d]` of the frames chosen, as a measurement of all gives them.

    Args:
        videos: the reference and the distorted one.
        plan: how they are brought together.
        frames: numbers after that, rising.
        threads: of libvmaf, over all branches.

    Raises:
        InputError: ffmpeg or libvmaf fails.
    """
    if len(frames) > MAX_CHOSEN:
        parts = [frames[k : k + MAX_CHOSEN] for k in range(0, len(frames), MAX_CHOSEN)]
        return np.concatenate(
            [measure_chosen(ffmpeg, videos, plan, feature_set, p, threads=threads) for p in parts]
        )
    lists = apart(frames)
    branches = [
        FIRST if members == [0] else Branch(expression([(f - 1, f + 1) for f in members]))
        for members in lists
    ]
    rows = _run(ffmpeg, videos, plan, feature_set, branches, lists, threads)
    return np.array([rows[frame] for frame in frames], np.float64)


def measure_every(
    ffmpeg: Ffmpeg,
    pilot: FirstLook,
    feature_set: FeatureSet,
    *,
    threads: int,
) -> npt.NDArray[np.float64]:
    """Features `[n, d]` of all frames of a pair that was looked at already.

    Args:
        threads: as for `measure_chosen`.

    Raises:
        InputError: ffmpeg or libvmaf fails, or there are other frames now.
    """
    every = list(range(len(pilot.covariate)))
    how = (pilot.plan, feature_set, [Branch()], [every], threads, pilot.ending)
    rows = _run(ffmpeg, pilot.videos, *how)
    return np.array(list(rows.values()), np.float64)


def _run(
    ffmpeg: Ffmpeg,
    videos: tuple[Video, Video],
    plan: PairPlan,
    feature_set: FeatureSet,
    branches: list[Branch],
    lists: Lists,
    threads: int,
    ending: str = "",
) -> dict[int, list[float]]:
    """Features by frame: those of `lists`, one for each branch."""
    reference, distorted = videos
    graph = _frames_graph(
        videos, plan, branches, feature_set, max(1, threads // len(branches)), ending
    )
    maps = [word for k in range(len(branches)) for word in ("-map", f"[o{k}]")]
    inputs = [*distorted.arguments(), *reference.arguments()]
    start = ["-nostdin", "-nostats", "-v", "level+verbose", *inputs]
    ends = ["-fps_mode", "passthrough", "-f", "null", "-"]
    with work_folder() as work:
        arguments = [*start, *ONE_THREAD, "-filter_complex", graph, *maps, *ends]
        result = run_ffmpeg(ffmpeg, arguments, folder=work)
        if result.code != 0:
            raise InputError(explain_failure(result.report, reference, distorted))
        rows: dict[int, list[float]] = {}
        for k, (branch, members) in enumerate(zip(branches, lists, strict=True)):
            rows |= branch.read(work / f"log{k}.json", members, feature_set, plan.encode)
    return rows


def _frames_graph(
    videos: tuple[Video, Video],
    plan: PairPlan,
    branches: list[Branch],
    feature_set: FeatureSet,
    threads: int,
    ending: str,
) -> str:
    n = len(branches)
    # Frames are chosen as soon as they have their numbers, and the others never converted.
    (to_reference, convert_reference), (to_distorted, convert_distorted) = (
        chain.split(BY_NUMBER, 1) for chain in filter_chains(plan, feature_set.least_bits)
    )
    parts = [
        f"[{source}]{chain}{BY_NUMBER},split={n}" + "".join(f"[{name}{k}]" for k in range(n))
        for source, name, chain in (
            (f"0:{videos[1].stream_specifier}", "d", to_distorted),
            (f"1:{videos[0].stream_specifier}", "r", to_reference),
        )
    ]
    convert = (convert_reference, convert_distorted)
    for k, branch in enumerate(branches):
        parts += branch.filters(
            k, feature_set, threads=threads, convert=convert, ending=ending, encode=plan.encode
        )
    return ";".join(parts)
