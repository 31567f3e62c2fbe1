"""libvmaf on chosen frames of a pair, with the values that a run over all frames gives them.

VIF and ADM see one frame; motion sees a frame, the one before it and the one after. So each chosen
frame goes in with both neighbours, and `n_subsample=3` has VIF and ADM computed on the middle ones
alone: libvmaf runs extractors with a memory, motion's, on every frame. Chosen frames less than
three apart would share neighbours, and go to different branches of the filter graph. Frame 0 has a
branch of its own, which begins as the whole does: what libvmaf gives a first frame for motion it
gives no other.

*First look.* One pass decodes and judges a pair, as a measurement does. How many frames there are
is not known before it, nor where shots start, so the frames that libvmaf measures are drawn
beforehand: one of each few, in a pattern that repeats itself. PSNR and the reference's change from
frame to frame cost little beside libvmaf. (SSIM took up no more of what varies than its own time
was worth.) An encode that ffmpeg makes can be looked at by the same run: it decodes what it has
just encoded, and the source is decoded once for both.
"""

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.libvmaf import (
    check_size,
    describe_v1_form,
    end_options,
    libvmaf_keys,
    measured_bits,
    model_options,
)
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import work_folder
from vmaf_jax.printable import format_count
from vmaf_jax.video.alignment import interval_expression
from vmaf_jax.video.comparison import DEFAULT_COMPARISON, Comparison, Description
from vmaf_jax.video.comparison_run import check_run, plan_comparison, run_comparison
from vmaf_jax.video.ffmpeg import BY_NUMBER, TO_NOTHING, VERBOSE, CompletedRun, Ffmpeg, run_ffmpeg
from vmaf_jax.video.geometry import EncodedFormat
from vmaf_jax.video.inputs import Video, VideoPair
from vmaf_jax.video.pairing import PairPlan, check_chroma, filter_chains
from vmaf_jax.video.report import EMPTY_OUTPUT, explain_failure
from vmaf_jax.video.shots import SHOT_FILTER, Floats, read_shot_log, shot_starts
from vmaf_jax.video.streams import leave_grain_out, probe_pair

STEP = 3  # frames that go in for each one chosen
MAX_CHOSEN = 1000  # frames of a run: a longer list does not fit one argument of a command
# Of an output that is run for what its filters write, its first frame alone goes on to an encoder.
RUN_THROUGH = "select=not(n)"
_FIRST_FRAMES = 3  # that frame 0's values may depend on
Features = npt.NDArray[np.float64]


def check_frames_separable(feature_set: FeatureSet) -> None:
    """Raises InputError where features of a frame depend on more frames than go in with it."""
    if feature_set.option("motion_five_frame_window"):
        raise InputError(
            f"--within: {feature_set.teacher} takes motion from five frames, so that frames cannot "
            f"be measured apart; drop it, or take a model without hfr in its name."
        )


def measure_chosen(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    plan: PairPlan,
    feature_set: FeatureSet,
    frames: Sequence[int],
    *,
    threads: int,
) -> Features:
    """Measures the features `[len(frames), d]` of chosen frames.

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
    lists = separate_neighbours(frames)
    branches = [
        FIRST_BRANCH
        if members == [0]
        else Branch(interval_expression([(f - 1, f + 1) for f in members]))
        for members in lists
    ]
    threads = max(1, threads // len(branches))
    libvmaf = BranchSettings(feature_set, threads, encode=plan.encode)
    rows = measure_lists(ffmpeg, videos, plan, libvmaf, branches, lists)
    return np.array([rows[frame] for frame in frames], np.float64)


@dataclasses.dataclass(frozen=True)
class BranchSettings:
    """Settings of libvmaf in every branch of a graph.

    Attributes:
        threads: of each libvmaf.
        ending: libvmaf's options for videos of different lengths.
        encode: size and depth of the distorted pictures before they are scaled, for v1's CAMBI.
    """

    feature_set: FeatureSet
    threads: int
    ending: str = ""
    encode: EncodedFormat | None = None


@dataclasses.dataclass(frozen=True)
class Branch:
    """A branch of a filter graph, in which one libvmaf measures some frames.

    Attributes:
        pick: ffmpeg's expression, above 0 on the chosen frames and their neighbours; "" gives
            libvmaf all frames, each of which it then measures.
        is_first: whether it is for frame 0, and measures the frames picked from there on.
    """

    pick: str = ""
    is_first: bool = False

    def filters(
        self, k: int, settings: BranchSettings, convert: tuple[str, str] = ("", "")
    ) -> list[str]:
        """Returns filters from the graph's `[dk]` and `[rk]` to `[ok]`; they write `logk.json`.

        Args:
            k: the branch's number.
            convert: filters for the reference and for the distorted frames, after the choice.
        """
        pick, step = "null", 1
        if self.is_first:
            pick = f"select='{self.pick}',setpts=N"
        elif self.pick:
            # libvmaf measures frames 0, 3, 6, ...: copies of the first make the first chosen one 3.
            copies = STEP - 1
            pick, step = f"select='{self.pick}',loop=loop={copies}:size=1:start=0,setpts=N", STEP
        options = (
            f"log_fmt=json:log_path=log{k}.json:n_threads={settings.threads}:n_subsample={step}"
            f"{settings.ending}:model=version={settings.feature_set.libvmaf_model}"
        )
        if settings.feature_set.least_bits > 8:
            options += model_options(settings.encode)
        return [
            f"[d{k}]{pick}{convert[1]}[e{k}]",
            f"[r{k}]{pick}{convert[0]}[s{k}]",
            f"[e{k}][s{k}]libvmaf={options},{RUN_THROUGH}[o{k}]",
        ]

    def read(
        self, log: Path, members: Sequence[int], settings: BranchSettings
    ) -> dict[int, list[float]]:
        """Reads the features of the chosen frames, `members`, rising, by their numbers.

        Raises:
            InputError: the log is of other frames, or holds a value that is not finite.
        """
        first, step = (STEP, STEP) if self.pick and not self.is_first else (0, 1)
        keys = libvmaf_keys(settings.feature_set, settings.encode)
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
        unused = len(by_number) - 1 if self.is_first else first // step
        finite = np.isfinite(list(rows.values())).all()
        if len(by_number) != len(members) + unused or not finite:
            raise InputError("libvmaf's log has other frames than were chosen; drop --within.")
        return rows


FIRST_BRANCH = Branch(f"lt(n,{_FIRST_FRAMES})", is_first=True)


def separate_neighbours(frames: Sequence[int]) -> list[list[int]]:
    """Distributes rising frames over lists, each with members at least three apart; 0 is alone."""
    alone = [[0]] if frames and frames[0] == 0 else []
    lists: list[list[int]] = []
    for frame in frames[len(alone) :]:
        for members in lists:
            if frame - members[-1] >= STEP:
                members.append(frame)
                break
        else:
            lists.append([frame])
    return alone + lists


def run_graph(
    ffmpeg: Ffmpeg, videos: VideoPair, graph: list[str], outputs: list[str], folder: Path
) -> CompletedRun:
    """Runs a filter graph of the distorted video, input 0, and the reference, for its files.

    Args:
        graph: its chains.
        outputs: labels of what is run.
        folder: where ffmpeg works.
    """
    reference, distorted = videos
    line = [*VERBOSE, *distorted.arguments(), *reference.arguments()]
    return run_ffmpeg(ffmpeg, [*line, *_graph_arguments(graph, outputs)], folder=folder)


def _graph_arguments(graph: list[str], outputs: list[str]) -> list[str]:
    # ffmpeg else hands parts of each frame to threads that wait for them.
    line = ["-filter_complex_threads", "1", "-filter_complex", ";".join(graph)]
    line += [word for label in outputs for word in ("-map", f"[{label}]")]
    return [*line, *TO_NOTHING]


def measure_lists(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    plan: PairPlan,
    libvmaf: BranchSettings,
    branches: list[Branch],
    lists: list[list[int]],
) -> dict[int, list[float]]:
    """Measures lists of frames, a branch each, and returns features by frame.

    Raises:
        InputError: ffmpeg or libvmaf fails, or there are other frames.
    """
    n = len(branches)
    # Frames are chosen as soon as they have their numbers, and the others never converted.
    (to_reference, convert_reference), (to_distorted, convert_distorted) = (
        chain.split(BY_NUMBER, 1) for chain in filter_chains(plan, libvmaf.feature_set.least_bits)
    )
    distorted_outputs = "".join(f"[d{k}]" for k in range(n))
    reference_outputs = "".join(f"[r{k}]" for k in range(n))
    graph = [
        f"[0:{videos[1].stream_specifier}]{to_distorted}{BY_NUMBER},split={n}{distorted_outputs}",
        f"[1:{videos[0].stream_specifier}]{to_reference}{BY_NUMBER},split={n}{reference_outputs}",
    ]
    for k, branch in enumerate(branches):
        graph += branch.filters(k, libvmaf, (convert_reference, convert_distorted))
    with work_folder() as work:
        result = run_graph(ffmpeg, videos, graph, [f"o{k}" for k in range(n)], work)
        if result.code != 0:
            raise InputError(explain_failure(result.report, *videos))
        rows: dict[int, list[float]] = {}
        for k, (branch, members) in enumerate(zip(branches, lists, strict=True)):
            rows |= branch.read(work / f"log{k}.json", members, libvmaf)
    return rows


_OUTPUTS = ["p", "c", "o0", "o1", "o2"]  # of `_graph`
_LEAST_MSE = 1e-2  # of samples that are equal; the log has two decimals
_MSE = re.compile(r"\bmse_y:([0-9.]+)")


@dataclasses.dataclass(frozen=True)
class FramePattern:
    """A choice of frames for clips of any length: frame 0, and one frame of each cell after it.

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
        """Frames of a clip in which even and odd cells have a member."""
        return 2 * self.cell + 1

    def members(self, n_frames: int) -> list[list[int]]:
        """Returns the frames chosen of a clip, rising, in lists: of even cells, of odd ones, 0."""
        count = -(-(n_frames - 1) // self.cell)
        frames = 1 + np.arange(count) * self.cell + np.resize(self.offsets, count)
        even, odd = (frames[k::2] for k in (0, 1))
        return [even[even < n_frames].tolist(), odd[odd < n_frames].tolist(), [0]]

    def branches(self) -> list[Branch]:
        """Returns a branch for each list of `members`."""
        period = self.cell * len(self.offsets)
        place = f"mod(n-1,{period})"  # from 0 up; frame 0 is at the end of a period
        even, odd = self._intervals(0), self._intervals(1)
        if self.offsets[0] == 0:
            even.append((period - 1, period - 1))
        if self.offsets[-1] == self.cell - 1:
            odd.insert(0, (0, 0))
        return [
            Branch(interval_expression(even, place)),
            Branch(f"gt(n,1)*({interval_expression(odd, place)})"),
            FIRST_BRANCH,
        ]

    def _intervals(self, first: int) -> list[tuple[int, int]]:
        """Returns each chosen frame of every second cell with its neighbours, within a period."""
        period = self.cell * len(self.offsets)
        cells = range(first, len(self.offsets), 2)
        chosen = [self.cell * k + int(self.offsets[k]) for k in cells]
        return [(max(frame - 1, 0), min(frame + 1, period - 1)) for frame in chosen]


@dataclasses.dataclass(frozen=True)
class FirstLook:
    """Findings of a first look at a pair.

    Attributes:
        covariate: what is known of all frames, the most telling first, `[n, 4]` (`_covariate`).
        cuts: first frames of new shots of the reference.
        features: of the frames measured, by their numbers, rising.
        videos: the reference and the distorted one, with the streams that were measured.
        plan: how the two are brought together.
        ending: libvmaf's options for videos of different lengths.
        description: of the comparison, for the result.
        version: libvmaf's.
    """

    covariate: Floats
    cuts: list[int]
    features: dict[int, list[float]]
    videos: VideoPair
    plan: PairPlan
    ending: str
    description: Description
    version: str


def first_look(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    comparison: Comparison,
    feature_set: FeatureSet,
    pattern: FramePattern,
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
    libvmaf = _branch_settings(feature_set, threads, comparison)
    with work_folder() as work:

        def run(pair: VideoPair, plan: PairPlan | None) -> CompletedRun:
            inputs = f"[0:{pair[1].stream_specifier}]", f"[1:{pair[0].stream_specifier}]"
            graph = _graph(inputs, plan, pattern, libvmaf)
            return run_graph(ffmpeg, pair, graph, _OUTPUTS, work)

        result, videos, facts, plan = run_comparison(ffmpeg, videos, comparison, run)
        if feature_set.planes > 1:
            check_chroma(videos, facts)
        if result.code != 0 and EMPTY_OUTPUT not in result.report:
            raise InputError(explain_failure(result.report, reference, distorted))
        # A branch without frames fails a run over a short clip, which is told as such.
        description, expected = check_run(ffmpeg, videos, result, facts, plan, comparison)
        if expected is not None:
            _check_length(distorted, expected, pattern)
        if result.code != 0:
            raise InputError(explain_failure(result.report, reference, distorted))
        if not (work / "log0.json").is_file():
            check_size(reference, facts[0], plan, [feature_set] if feature_set.planes > 1 else [])
        if feature_set.least_bits > 8:
            description |= describe_v1_form(measured_bits(facts), plan.encode)
        libvmaf = dataclasses.replace(libvmaf, encode=plan.encode)
        return _read_look(work, videos, plan, description, expected, pattern, libvmaf)


def look_arguments(
    source: Video, feature_set: FeatureSet, pattern: FramePattern, *, threads: int
) -> list[str]:
    """Returns ffmpeg's arguments that look at an encode while it is made, after those that make it.

    The encode is of input 0, the source, and is the first stream of output 0.
    """
    libvmaf = _branch_settings(feature_set, threads, DEFAULT_COMPARISON)
    graph = _graph(("[dec:0]", f"[0:{source.stream_specifier}]"), None, pattern, libvmaf)
    return ["-dec", "0:0", *_graph_arguments(graph, _OUTPUTS)]


def read_look(
    ffmpeg: Ffmpeg,
    videos: VideoPair,
    feature_set: FeatureSet,
    pattern: FramePattern,
    n_frames: int,
    folder: Path,
) -> FirstLook | None:
    """Reads the look at an encode that `look_arguments` wrote into `folder`.

    Args:
        videos: the source and its encode.
        n_frames: of the source.

    Returns:
        The look; None where the two have to be brought together first.

    Raises:
        InputError: there is no such look, frames are missing, or the two cannot be compared.
    """
    videos, streams = probe_pair(ffmpeg, videos)
    plan = plan_comparison(ffmpeg, videos, streams, DEFAULT_COMPARISON)
    if plan.changed or leave_grain_out(ffmpeg, videos, streams, None) != videos:
        return None
    libvmaf = _branch_settings(feature_set, 1, DEFAULT_COMPARISON)
    return _read_look(folder, videos, plan, plan.description, n_frames, pattern, libvmaf)


def _branch_settings(
    feature_set: FeatureSet, threads: int, comparison: Comparison
) -> BranchSettings:
    # Two branches of libvmaf work at a time; frame 0's is soon done.
    return BranchSettings(feature_set, max(1, threads // 2), end_options(comparison))


def _read_look(
    folder: Path,
    videos: VideoPair,
    plan: PairPlan,
    description: Description,
    expected: int | None,
    pattern: FramePattern,
    libvmaf: BranchSettings,
) -> FirstLook:
    """Reads what a run over the chains of `_graph` wrote, of as many frames as are expected."""
    covariate, cuts = _read_logs(folder)
    n = len(covariate)
    if expected is not None and n != expected:
        raise InputError(
            f"{videos[1].path}: {format_count(n, 'frame')} of {expected} could be compared; "
            f"re-encode the file without broken time stamps."
        )
    _check_length(videos[1], n, pattern)
    rows: dict[int, list[float]] = {}
    for k, (branch, members) in enumerate(zip(pattern.branches(), pattern.members(n), strict=True)):
        rows |= branch.read(folder / f"log{k}.json", members, libvmaf)
    version = str(json.loads((folder / "log0.json").read_bytes()).get("version", "unknown"))
    features = dict(sorted(rows.items()))
    return FirstLook(covariate, cuts, features, videos, plan, libvmaf.ending, description, version)


def _check_length(video: Video, n: int, pattern: FramePattern) -> None:
    if n < (least := pattern.shortest_clip):
        raise InputError(
            f"{video.path}: {format_count(n, 'frame')}, --within takes {least} or more; drop "
            f"it, and all are measured."
        )


def measure_all(
    ffmpeg: Ffmpeg, look: FirstLook, feature_set: FeatureSet, *, threads: int
) -> npt.NDArray[np.float64]:
    """Measures the features `[n, d]` of all frames of a pair that was looked at.

    Raises:
        InputError: ffmpeg or libvmaf fails, or there are other frames now.
    """
    libvmaf = BranchSettings(feature_set, threads, look.ending, look.plan.encode)
    every = list(range(len(look.covariate)))
    rows = measure_lists(ffmpeg, look.videos, look.plan, libvmaf, [Branch()], [every])
    return np.array(list(rows.values()), np.float64)


def _graph(
    inputs: tuple[str, str],
    plan: PairPlan | None,
    pattern: FramePattern,
    libvmaf: BranchSettings,
) -> list[str]:
    """Returns the chains of the graph: PSNR, changes of the reference, and libvmaf's branches.

    Args:
        inputs: labels of the distorted video and of the reference.
    """
    to_reference, to_distorted = filter_chains(plan, libvmaf.feature_set.least_bits)
    if plan is not None:
        libvmaf = dataclasses.replace(libvmaf, encode=plan.encode)
    graph = [
        f"{inputs[0]}{to_distorted},split=4[d0][d1][d2][d3]",
        f"{inputs[1]}{to_reference},split=5[r0][r1][r2][r3][r4]",
        f"[d3][r3]psnr=stats_file=psnr.log{libvmaf.ending},{RUN_THROUGH}[p]",
        f"[r4]{SHOT_FILTER},{RUN_THROUGH}[c]",
    ]
    for k, branch in enumerate(pattern.branches()):
        graph += branch.filters(k, libvmaf)
    return graph


def _read_logs(folder: Path) -> tuple[Floats, list[int]]:
    """Returns the covariate of all frames, and where shots start."""
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
    """Returns four figures of each frame that tell of its score, `[n, 4]`.

    PSNR; the smaller of the reference's changes from the frame before and to the next, as VMAF's
    motion is; PSNR of the frame before and of the next.

    Args:
        psnr: of luma, `[n]`, dB but for a constant.
        change: of the reference's luma from the frame before, `[n]`, of 100.
    """
    before, after = np.append(psnr[:1], psnr[:-1]), np.append(psnr[1:], psnr[-1:])
    motion = np.minimum(change, np.append(change[1:], change[-1:]))
    return np.stack([psnr, motion, before, after], axis=1)
