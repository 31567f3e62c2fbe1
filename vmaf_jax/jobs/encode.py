"""The job `encode`: the cheapest encode of a video that keeps a target score.

Probes, encodes of some segments, tell how scores fall with the encoder's setting. Then the whole
file is encoded and measured, and again while it misses or is better than requested. The weakest
setting that keeps the target is written; where none does, there is no file.
"""

import contextlib
import dataclasses
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation.clip_pooling import check_pool
from vmaf_jax.evaluation.sampling import SegmentPlan, plan_segments
from vmaf_jax.evaluation.target_search import Observation, forecast, next_encode, next_probe
from vmaf_jax.extraction.extract import VideoLike, as_video
from vmaf_jax.extraction.libvmaf import libvmaf_version, other_build
from vmaf_jax.features.feature_set import HIGHEST
from vmaf_jax.files import (
    atomic_path,
    check_replaceable,
    check_writable,
    new_folder,
    work_folder,
)
from vmaf_jax.printable import format_count
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.encode_probes import Probe, SegmentProbes, choose_segments
from vmaf_jax.scoring.encode_trials import ShotSettings, Target, Trials, WholeEncode, choose_shots
from vmaf_jax.scoring.model import Model, choose_model, load_scorer
from vmaf_jax.tables.table import to_hundred
from vmaf_jax.video.encoders import (
    CONTAINERS,
    Encoder,
    EncodeRecipe,
    SettingRange,
    check_arguments,
    check_format,
    check_recipe,
    find_encoder,
)
from vmaf_jax.video.ffmpeg import Ffmpeg, find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pixel_format import sample_bits
from vmaf_jax.video.survey import Survey, survey_source

_LEAST_LINES = 16


@dataclasses.dataclass(frozen=True)
class EncodeSettings:
    """Settings of `encode`.

    Attributes:
        target: Points above 0 and below the model's highest score, that the finished file keeps.
        votes: Whether the target is on the scale that the model's viewers voted on, in place of
            points.
        model: What scores, as for `score`.
        encoder: ffmpeg's name of it, of `ENCODERS`.
        preset: The encoder's speed; None for its default.
        pix_fmt: Of the encode; None for 4:2:0 with 8 bits, 10 where the source has more.
        height: Lines of the encode; None for those of the source.
        encoder_args: Further options of the encoder, names and values alternating.
        confidence: At which the finished file keeps the target, in [0.5, 1).
        pool: How frames become a score, of `POOLS`; None for the model's own pooling.
        tolerance: Points above the target that end the search, above 0.
        max_kbps: Most kbit/s of the finished file's video.
        min_saving: Least percent of the source's bytes that the finished file saves.
        per_shot: Whether each shot has a setting of its own; for targets that are a mean of frames.

    Raises:
        InputError: A value is out of range.
    """

    target: float
    model: str | Path = "auto"
    encoder: str = "libx264"
    preset: str | None = None
    pix_fmt: str | None = None
    height: int | None = None
    encoder_args: tuple[str, ...] = ()
    confidence: float = 0.95
    pool: str | None = None
    tolerance: float = 1.5
    max_kbps: float | None = None
    min_saving: float | None = None
    votes: bool = False
    per_shot: bool = False

    def __post_init__(self) -> None:
        if not self.votes and not 0 < self.target < HIGHEST:
            raise InputError(f"--target {self.target:g}: expected points above 0 and below 100.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"--confidence {self.confidence:g}: expected from 0.5 to below 1.")
        if not 0 < self.tolerance <= 100:
            raise InputError(f"--tolerance {self.tolerance:g}: expected points above 0, up to 100.")
        if self.pool is not None:
            check_pool(self.pool)
        if self.max_kbps is not None and not 0 < self.max_kbps < math.inf:
            raise InputError(f"--max-kbps {self.max_kbps:g}: expected kbit/s above 0.")
        if self.min_saving is not None and not 0 < self.min_saving < 100:
            raise InputError(
                f"--min-saving {self.min_saving:g}: expected percent above 0 and below 100."
            )
        if self.height is not None and (self.height < _LEAST_LINES or self.height % 2):
            raise InputError(
                f"--height {self.height}: expected an even number from {_LEAST_LINES} up."
            )


def look_at_source(
    ffmpeg: Ffmpeg, video: Video, encoder: Encoder, settings: EncodeSettings, progress: Progress
) -> tuple[Survey, Model]:
    """Surveys a source, and loads what scores its encodes.

    Raises:
        InputError: The encoder refuses its options or format, the source cannot be encoded and
            compared frame by frame, or the model cannot be loaded.
    """
    check_arguments(ffmpeg, encoder, settings.encoder_args)
    if settings.pix_fmt is not None:
        check_format(encoder, settings.pix_fmt)
    progress.say("looking at the source")
    source = survey_source(ffmpeg, video, choose_segments)
    return source, load_scorer(choose_model(settings.model, source.video).model)


def target_in_points(settings: EncodeSettings, model: Model) -> EncodeSettings:
    """Returns settings whose target is in points, where it is in votes.

    Raises:
        InputError: The model is not one of votes, or the target lies outside their scale or above
            the model's scores.
    """
    if not settings.votes:
        if settings.target >= model.top:
            raise InputError(
                f"--target {settings.target:g}: scores of {model.name} end at {model.top:g}; lower "
                f"it."
            )
        return settings
    if model.label != "mos":
        raise InputError(
            f"--votes: {model.name} is no model of votes; name one, as "
            f"--model opinions, or drop --votes."
        )
    low, high = model.label_scale
    if not low < settings.target < high:
        raise InputError(
            f"--target {settings.target:g}: {model.name}'s viewers voted from {low:g} to {high:g}; "
            f"name a vote between them."
        )
    points = float(to_hundred(np.array([settings.target]), model.label_scale)[0])
    return dataclasses.replace(settings, target=points, votes=False)


def make_recipe(encoder: Encoder, settings: EncodeSettings, source: Survey) -> EncodeRecipe:
    """Returns how a source is encoded.

    Raises:
        InputError: The encode is to have more lines than the source, or a format or size that the
            encoder does not take.
    """
    is_deep = sample_bits(source.stream.pix_fmt) > 8
    recipe = EncodeRecipe(
        encoder=encoder,
        preset=settings.preset or encoder.preset,
        pix_fmt=settings.pix_fmt or ("yuv420p10le" if is_deep else "yuv420p"),
        height=settings.height,
        arguments=settings.encoder_args,
    )
    check_recipe(recipe, source.video.path, source.stream.width, source.stream.height)
    return recipe


MAX_PROBES = 6
MAX_ENCODES = 12  # of the whole file; bisection of the finest scale takes eight
_CLOSE = 0.25  # points above the target that end the search where whole files are cheap
_LOG_KBPS_PER_T = 0.7  # usual change of ln(kbit/s) for one of t (`evaluation.target_search`)
_FAR = 5.0  # points above the target at the weakest setting that are no near miss


@dataclasses.dataclass(frozen=True)
class Encoding:
    """Outcome of a search for a target.

    Attributes:
        reference: The source.
        out: The finished file; None where none was written.
        target: Points.
        pooling: How frames become the score.
        confidence: At which the finished file keeps the target.
        model: What scored.
        top: Its highest score, points.
        encoder, preset, pix_fmt, height: How it was encoded.
        scale: The quality settings of the encoder.
        n_frames, rate: Frames of the source, and its frames per second.
        segments: First frame and number of frames of each segment that probes are of; none where
            the whole file was encoded from the start.
        probes: Encodes of the segments, in their order.
        small_pictures: Settings at which the segments were encoded in small pictures, each with
            its score.
        frames_probed: Frames encoded, and of them those measured, for all probes of this source
            and recipe; small pictures count by their share of the pixels.
        encodes: Encodes of the whole file, in their order.
        finished: The encode that was written; None without one. Where each shot has a setting of
            its own, its setting is their mean over frames.
        shots: The setting of each shot; None where all have the same.
        note: Why all shots have the same setting though each was to have its own; else None.
        bytes: Of the finished file, sound included.
        saving: Share of the source's bytes that it saves.
        miss: Why there is no file, in a sentence; None where there is one, and in a dry run.
        seconds: Of each stage.
        libvmaf: Version that measured.
    """

    reference: str
    out: str | None
    target: float
    pooling: str
    confidence: float
    model: str
    top: float
    encoder: str
    preset: str
    pix_fmt: str
    height: int
    scale: SettingRange
    n_frames: int
    rate: float
    segments: tuple[tuple[int, int], ...]
    probes: tuple[Probe, ...]
    small_pictures: tuple[tuple[float, float], ...]
    frames_probed: tuple[float, float]
    encodes: tuple[WholeEncode, ...]
    finished: WholeEncode | None
    shots: ShotSettings | None
    note: str | None
    bytes: int | None
    saving: float | None
    miss: str | None
    seconds: dict[str, float]
    libvmaf: str

    def lines(self) -> list[str]:
        """Returns the outcome in words; a miss is reported by `check`."""
        notes = [note for note in (self.note, other_build(self.libvmaf)) if note]
        how = f"{self.encoder}, preset {self.preset}, {self.pix_fmt}, {self.height} lines"
        if self.finished is not None:
            done, shots = self.finished, self.shots
            setting = f"setting {done.setting:g}"
            if shots is not None:
                low, high = min(shots.settings), max(shots.settings)
                setting = f"settings {low:g} to {high:g}, by shot,"
            lines = [
                f"{self.out}: {self.model} {done.score:.2f} (target {self.target:g}) at {setting} "
                f"of {how}: {done.kbps:.0f} kbit/s, {self.bytes:,} bytes, "
                f"{100 * (self.saving or 0):.3g} % less than the source; "
                f"{format_count(len(self.probes), 'probe')}, "
                f"{format_count(len(self.encodes), 'encode')}"
            ]
            if shots is not None:
                one = shots.one_setting
                lines.append(
                    f"{len(shots.settings)} shots: {100 * shots.saving:.1f} % less than one "
                    f"setting for the same score; setting {one.setting:g} takes {one.kbps:.0f} "
                    f"kbit/s for {one.score:.2f}"
                )
            return [*lines, *notes]
        if self.miss is not None:
            return []
        sampled = sum(length for _, length in self.segments)
        probed = f"probes of {sampled} frames in {format_count(len(self.segments), 'segment')}"
        length = f"{self.n_frames} frames, {self.n_frames / self.rate:.1f} s"
        return [
            f"{self.reference}: {length}, by {how}: "
            f"{probed if self.segments else 'short, so whole files are encoded from the start'}"
        ]

    def check(self) -> None:
        """Raises GateError where the target was missed."""
        if self.miss is not None:
            raise GateError(self.miss)


def encode(
    reference: VideoLike,
    out: Path,
    settings: EncodeSettings,
    *,
    dry_run: bool = False,
    progress: Progress = NO_PROGRESS,
) -> Encoding:
    """Encodes a video as cheaply as a target score allows.

    Args:
        reference: The source, a file.
        out: The finished file, with a suffix of `CONTAINERS`; there must be none yet.
        settings: The target, what scores, and how to encode.
        dry_run: Whether to stop before the first encode.

    Returns:
        The outcome. Where the target was missed there is no file, and `check()` raises GateError.

    Raises:
        InputError: The source cannot be encoded and compared frame by frame, the encoder is
            missing or refuses its options, every setting is far above the target, or the output
            cannot be written.
    """
    times = [time.perf_counter()]
    ffmpeg, video = find_ffmpeg(), as_video(reference, None, None, None)
    encoder = find_encoder(ffmpeg, settings.encoder)
    _check_out(out, encoder, video)
    source, model = look_at_source(ffmpeg, video, encoder, settings, progress)
    settings = target_in_points(settings, model)
    if settings.per_shot and (pool := settings.pool or model.pooling) != "mean":
        raise InputError(f"--per-shot: takes a target of the mean, not of {pool}; drop one.")
    plan = plan_segments(source.difficulty, source.rate)
    recipe = make_recipe(encoder, settings, source)
    target = Target(settings.target, settings.pool, settings.confidence)
    times.append(time.perf_counter())
    with contextlib.ExitStack() as folders:
        place = None if dry_run else folders.enter_context(new_folder(out.absolute().parent))
        work = folders.enter_context(work_folder(place))
        trials = Trials(ffmpeg, source, recipe, model, target, work, progress)
        known = _probe_segments(trials, None if dry_run else plan, settings)
        times.append(time.perf_counter())
        best = work / f"best{out.suffix}"
        encodes, finished = ([], None) if dry_run else _encode(trials, known.seen, settings, best)
        shots, finished, note = _choose_shots(trials, finished, settings, best)
        size = None if finished is None else best.stat().st_size
        saving = None if size is None else 1 - size / video.path.stat().st_size
        miss = None
        if not dry_run:
            miss = _find_miss(known, encodes, finished, saving, settings, trials)
        if finished is not None and miss is None:
            with atomic_path(out) as temporary:
                best.replace(temporary)
    times.append(time.perf_counter())
    is_written = finished is not None and miss is None
    return Encoding(
        reference=str(video.path),
        out=str(out) if is_written else None,
        target=settings.target,
        pooling=settings.pool or model.pooling,
        confidence=settings.confidence,
        model=model.name,
        top=model.top,
        encoder=encoder.name,
        preset=recipe.preset,
        pix_fmt=recipe.pix_fmt,
        height=recipe.height or source.stream.height,
        scale=encoder.settings,
        n_frames=source.n_frames,
        rate=source.rate,
        segments=() if plan is None else plan.segments,
        probes=tuple(known.probes),
        small_pictures=tuple(known.small),
        frames_probed=known.frames,
        encodes=tuple(encodes),
        finished=finished if is_written else None,
        shots=shots if is_written else None,
        note=note,
        bytes=size if is_written else None,
        saving=saving if is_written else None,
        miss=miss,
        seconds=dict(zip(("survey", "probes", "encodes"), np.diff(times).tolist(), strict=True)),
        libvmaf=libvmaf_version(ffmpeg),
    )


class _Probed(NamedTuple):
    """Findings of all probes: themselves, as the search takes them, and as `Encoding` has them."""

    probes: list[Probe]
    seen: list[Observation]
    small: list[tuple[float, float]]
    frames: tuple[float, float]


def _probe_segments(trials: Trials, plan: SegmentPlan | None, settings: EncodeSettings) -> _Probed:
    """Encodes segments at a few settings; none without a plan.

    Raises:
        InputError: Every setting is far above the target.
    """
    if plan is None:
        return _Probed([], [], [], (0.0, 0.0))
    segments, encoder = SegmentProbes(trials, plan), trials.recipe.encoder
    probes = probe_settings(segments, settings, _observe_files(trials.known_encodes()))
    _check_not_below(probes, encoder, settings)
    seen = segments.observe(probes)
    trials.progress.say(_say_expected(probes, seen, settings, trials))
    return _Probed(probes, seen, segments.known_small(), segments.count_frames())


def probe_settings(
    segments: SegmentProbes, settings: EncodeSettings, whole: Sequence[Observation] = ()
) -> list[Probe]:
    """Encodes the segments at a few settings, each where the decision is made by then.

    Where there are small pictures, they are encoded first, until they tell about where that is.

    Args:
        whole: Encodes of the whole file by earlier searches.

    Returns:
        All probes of the segments, those of earlier searches first.
    """
    known = segments.known_probes()
    probes = list(known)
    z = statistics.NormalDist().inv_cdf(settings.confidence)
    scale, target = segments.trials.recipe.encoder.settings, settings.target
    top = segments.trials.model.top
    while len(probes) < len(known) + MAX_PROBES:
        seen = segments.observe(probes)
        setting = next_probe(scale, seen, whole, target, z, settings.tolerance, top)
        if segments.has_outline and not probes:
            if setting is not None and len(seen) < MAX_PROBES:
                score = segments.score_small(setting)
                segments.trials.progress.say(f"small pictures at {setting:g}: {score:.2f}")
                continue
            setting = forecast(scale, seen, [], top).weakest(target) or scale.best
        if setting is None:
            break
        probes.append(segments.probe(setting))
    return probes


def _encode(
    trials: Trials, seen: list[Observation], settings: EncodeSettings, best: Path
) -> tuple[list[WholeEncode], WholeEncode | None]:
    """Encodes the whole file until one keeps the target closely, or none can.

    Returns:
        All encodes, those of earlier searches first, and the one of the weakest setting that keeps
        the target, whose file is `best`.
    """
    known = trials.known_encodes()
    made: list[WholeEncode] = []
    finished = None
    encoder, top = trials.recipe.encoder, trials.model.top
    tolerance = settings.tolerance if seen else min(settings.tolerance, _CLOSE)
    z = statistics.NormalDist().inv_cdf(settings.confidence)
    while len(made) < MAX_ENCODES:
        whole = _observe_files([*known, *made])
        setting = next_encode(encoder.settings, seen, whole, settings.target, z, tolerance, top)
        if setting is None:  # what is known suffices, but its file may be gone
            setting = max((file.setting for file in whole if file.holds), default=None)
        if setting is None or (finished is not None and setting <= finished.setting):
            break
        file = best.with_stem("trial")
        made.append(trials.encode_whole(setting, file))
        known = [encode for encode in known if encode.setting != setting]
        if made[-1].holds and (finished is None or setting > finished.setting):
            finished = made[-1]
            file.replace(best)
    if finished is not None and finished.setting >= encoder.settings.worst:
        _check_not_far(finished.score, encoder, settings)
    return [*known, *made], finished


def _choose_shots(
    trials: Trials, one: WholeEncode | None, settings: EncodeSettings, best: Path
) -> tuple[ShotSettings | None, WholeEncode | None, str | None]:
    """Replaces `best` by a file whose shots have settings of their own, where that is smaller.

    Returns:
        The settings of shots, None where all have the same; the encode that is `best` then; and
        why all have the same.
    """
    if one is None or not settings.per_shot:
        return None, one, None
    joined = best.with_stem("joined")
    found = choose_shots(trials, one, best, joined)
    if isinstance(found, str):
        return None, one, f"--per-shot: {found}; the file has one setting."
    joined.replace(best)
    return *found, None


def _say_expected(
    probes: list[Probe],
    seen: list[Observation],
    settings: EncodeSettings,
    trials: Trials,
) -> str:
    """Returns what probes foretell of the finished file, in words."""
    source = trials.source
    view = forecast(trials.recipe.encoder.settings, seen, [], trials.model.top)
    setting = view.weakest(settings.target)
    if setting is None:
        return "expected: no setting meets the target"
    error = float(np.interp(setting, view.setting, view.error))
    kbps = interpolate_kbps(probes, setting)
    size = kbps * 125 * source.n_frames / source.rate
    saving = 1 - size / source.video.path.stat().st_size
    return (
        f"expected: setting {setting:g} (+-{error:.1f} points), at most about {kbps:.0f} kbit/s, "
        f"{100 * saving:.3g} % less than the source"
    )


def interpolate_kbps(probes: Sequence[Probe], setting: float) -> float:
    """Returns the rate of segments at a setting, kbit/s; beyond the probes, of the nearest."""
    at = sorted(probes, key=lambda probe: probe.setting)
    logs = np.interp(setting, [p.setting for p in at], np.log([p.kbps for p in at]))
    return math.exp(float(logs))


def _observe_files(encodes: Sequence[WholeEncode]) -> list[Observation]:
    """Returns encodes of the whole file as the search takes them."""
    return [Observation(e.setting, e.score, e.error, holds=e.holds) for e in encodes]


def observe_probes(probes: Sequence[Probe]) -> list[Observation]:
    """Returns probes as the search takes them."""
    return [Observation(probe.setting, probe.score, probe.error) for probe in probes]


def _check_out(out: Path, encoder: Encoder, video: Video) -> None:
    """Raises InputError unless the finished file can be written, and there is none."""
    check_replaceable(out, [video.path])
    if out.suffix not in CONTAINERS or out.suffix not in encoder.containers:
        raise InputError(
            f"{out}: {encoder.name} is written into {', '.join(encoder.containers)}; name such a "
            f"file."
        )
    if out.exists():
        raise InputError(f"{out}: exists already, and is not replaced; name another file.")
    check_writable(out.absolute().parent)


def _check_not_far(score: float, encoder: Encoder, settings: EncodeSettings) -> None:
    """Raises InputError where `score`, of the weakest setting, is far above the target."""
    if score - settings.target > _FAR:
        raise InputError(
            f"--target {settings.target:g}: even the weakest setting of {encoder.name}, "
            f"{encoder.settings.worst:g}, scores {score:.2f}; raise the target, or lower --height."
        )


def _check_not_below(probes: list[Probe], encoder: Encoder, settings: EncodeSettings) -> None:
    """Raises InputError where a probe at the weakest setting is far above the target."""
    weakest = [probe.score for probe in probes if probe.setting >= encoder.settings.worst]
    if weakest:
        _check_not_far(weakest[0], encoder, settings)


def _find_miss(
    known: _Probed,
    encodes: list[WholeEncode],
    finished: WholeEncode | None,
    saving: float | None,
    settings: EncodeSettings,
    trials: Trials,
) -> str | None:
    """Returns why nothing is written, with the best that can be had; None where all is kept."""
    asked = f"--target {settings.target:g}"
    if finished is None:
        tried: list[Probe | WholeEncode] = [*encodes, *known.probes]
        best = max(tried, key=lambda entry: entry.score)
        of = "encodes" if encodes else "probes of segments"
        return (
            f"{asked}: missed by {settings.encoder}; the best of its {of} has {best.score:.2f} at "
            f"setting {best.setting:g} ({best.kbps:.0f} kbit/s). Nothing was written."
        )
    most, limit = settings.max_kbps or math.inf, ""
    if finished.kbps > most:
        limit = f"--max-kbps {most:g}"
    least = settings.min_saving
    if least is not None and saving is not None and 100 * saving < least:
        most = min(most, finished.kbps * (1 - least / 100) / (1 - saving))
        limit = f"--min-saving {least:g}"
    if not limit:
        return None
    scale, whole = trials.recipe.encoder.settings, Observation(finished.setting, finished.score)
    view = forecast(scale, known.seen, [whole], trials.model.top)
    logs = {trial.setting: math.log(trial.kbps) for trial in (known.probes or encodes)}
    slope = scale.slope * _LOG_KBPS_PER_T
    if len(logs) > 1:
        slope = float(np.polyfit(list(logs), list(logs.values()), 1)[0])
    kbps = finished.kbps * np.exp(slope * (view.setting - finished.setting))
    within = np.flatnonzero(kbps <= most)
    offer = "no setting is expected within it"
    if len(within):
        offer = f"within it about {view.mean[within[0]]:.1f} can be had"
    return (
        f"{asked}: takes {finished.kbps:.0f} kbit/s by {settings.encoder} "
        f"({100 * (saving or 0):.3g} % less than the source), against {limit}; {offer}. Nothing "
        f"was written."
    )
