"""The job `encode --ladder`: heights and settings of a ladder, from probes of one source.

At each height the segments of the source are encoded around the settings that the targets take.
A rung is, for each target, the height that keeps it at the lowest rate.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.rate_quality import upper_hull
from vmaf_jax.evaluation.sampling import plan_segments, plan_whole
from vmaf_jax.evaluation.target_search import forecast
from vmaf_jax.extraction.extract import VideoLike, as_video
from vmaf_jax.files import work_folder
from vmaf_jax.jobs.encode import (
    EncodeSettings,
    interpolate_kbps,
    look_at_source,
    make_recipe,
    observe_probes,
    probe_settings,
    target_in_points,
)
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.encode_probes import Probe, SegmentProbes
from vmaf_jax.scoring.encode_trials import Target, Trials
from vmaf_jax.video.encoders import Encoder, find_encoder
from vmaf_jax.video.ffmpeg import find_ffmpeg

_EVEN = 2  # lines and columns of 4:2:0 pictures are multiples


@dataclasses.dataclass(frozen=True)
class LadderProbe:
    """An encode of the segments at a height.

    Attributes:
        height: Lines.
        setting, score, kbps: As of `Probe`.
        on_hull: Whether no mixture of other probes is better at its rate.
    """

    height: int
    setting: float
    score: float
    kbps: float
    on_hull: bool


@dataclasses.dataclass(frozen=True)
class LadderRung:
    """A rung of a ladder.

    Attributes:
        target: Points that it is to keep.
        width, height: Pixels.
        setting: The encoder's quality setting.
        score: Expected, points.
        kbps: Expected, kbit/s; of segments, which have more key frames than a whole file.
    """

    target: float
    width: int
    height: int
    setting: float
    score: float
    kbps: float


@dataclasses.dataclass(frozen=True)
class EncodeLadder:
    """Outcome of a search for a ladder.

    Attributes:
        reference: The source.
        model: What scored.
        encoder: What encoded.
        rate: Frames per second.
        rungs: One for each target that some height reaches, the best first.
        unreached: Targets that no height reaches.
        probes: All encodes of segments, by rate.
    """

    reference: str
    model: str
    encoder: str
    rate: float
    rungs: tuple[LadderRung, ...]
    unreached: tuple[float, ...]
    probes: tuple[LadderProbe, ...]

    def to_hls(self) -> str:
        """Returns a multivariant playlist of the rungs (RFC 8216), media playlists by height."""
        lines = ["#EXTM3U", "#EXT-X-VERSION:6"]
        for rung in self.rungs:
            lines += [
                f"#EXT-X-STREAM-INF:BANDWIDTH={math.ceil(rung.kbps * 1000)},"
                f"RESOLUTION={rung.width}x{rung.height},FRAME-RATE={self.rate:.3f}",
                f"{rung.height}p_{rung.target:g}.m3u8",
            ]
        return "\n".join(lines) + "\n"


def encode_ladder(
    reference: VideoLike,
    heights: Sequence[int],
    targets: Sequence[float],
    settings: EncodeSettings,
    *,
    progress: Progress = NO_PROGRESS,
) -> EncodeLadder:
    """Finds the rungs of a ladder: for each target the height and setting of the lowest rate.

    Args:
        reference: The source, a file.
        heights: Lines, even, at most the source's.
        targets: As `settings.target`, which is not read.
        settings: What scores, and how to encode.
        progress: Receives the stages.

    Raises:
        InputError: As `encode`; or a height or a target is listed twice or out of range.
    """
    ffmpeg, video = find_ffmpeg(), as_video(reference, None, None, None)
    encoder = find_encoder(ffmpeg, settings.encoder)
    source, model = look_at_source(ffmpeg, video, encoder, settings, progress)
    _check_heights(heights, source.stream.height)
    wanted = [
        target_in_points(dataclasses.replace(settings, target=target), model)
        for target in sorted(set(targets), reverse=True)
    ]
    plan = plan_segments(source.difficulty, source.rate) or plan_whole(source.n_frames)
    by_height: dict[int, list[Probe]] = {}
    with work_folder() as work:
        for height in sorted(heights, reverse=True):
            own = None if height == source.stream.height else height
            recipe = make_recipe(encoder, dataclasses.replace(settings, height=own), source)
            for entry in wanted:
                target = Target(entry.target, entry.pool, entry.confidence)
                trials = Trials(ffmpeg, source, recipe, model, target, work, progress)
                by_height[height] = probe_settings(SegmentProbes(trials, plan), entry)
    width = source.stream.width / source.stream.height
    found = [_find_rung(by_height, entry.target, encoder, width, model.top) for entry in wanted]
    return EncodeLadder(
        reference=str(video.path),
        model=model.name,
        encoder=encoder.name,
        rate=source.rate,
        rungs=tuple(rung for rung in found if rung is not None),
        unreached=tuple(e.target for e, rung in zip(wanted, found, strict=True) if rung is None),
        probes=_mark_hull(by_height),
    )


def _find_rung(
    by_height: dict[int, list[Probe]], target: float, encoder: Encoder, aspect: float, top: float
) -> LadderRung | None:
    """Returns the height and setting that keep a target at the lowest rate; None without one."""
    rungs = []
    for height, probes in by_height.items():
        view = forecast(encoder.settings, observe_probes(probes), [], top)
        setting = view.weakest(target)
        if setting is None:
            continue
        kbps = interpolate_kbps(probes, setting)
        score = float(np.interp(setting, view.setting, view.mean))
        width = round(height * aspect / _EVEN) * _EVEN
        rungs.append(LadderRung(target, width, height, setting, score, kbps))
    return min(rungs, key=lambda rung: rung.kbps, default=None)


def _mark_hull(by_height: dict[int, list[Probe]]) -> tuple[LadderProbe, ...]:
    """Returns all probes by rate, with whether each is on their convex hull."""
    every = [(height, probe) for height, probes in by_height.items() for probe in probes]
    every.sort(key=lambda entry: entry[1].kbps)
    rates, scores = (np.array([getattr(p, name) for _, p in every]) for name in ("kbps", "score"))
    hull = set(upper_hull(rates, scores).tolist())
    return tuple(
        LadderProbe(height, probe.setting, probe.score, probe.kbps, k in hull)
        for k, (height, probe) in enumerate(every)
    )


def _check_heights(heights: Sequence[int], most: int) -> None:
    for height in heights:
        if not 16 <= height <= most or height % _EVEN:
            raise InputError(
                f"--ladder {height}: expected an even number from 16 to the source's {most} lines."
            )
    if not heights or len(set(heights)) < len(heights):
        raise InputError("--ladder: expected heights that differ, as 1080,720,540.")
