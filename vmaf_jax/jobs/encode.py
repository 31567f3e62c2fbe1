"""The job `encode`: the cheapest encode of a video that keeps a target score.

Whole files are encoded and measured against their source until the weakest setting is found whose
file keeps the target; that file is written, and none where no setting keeps it.
"""

import dataclasses
import statistics
import time
from pathlib import Path

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation.target_search import Observation, next_encode
from vmaf_jax.extraction.extract import VideoLike, as_video
from vmaf_jax.files import atomic_path, check_replaceable, check_writable, work_folder
from vmaf_jax.progress import NO_PROGRESS, Progress
from vmaf_jax.scoring.encode_trials import Trials, WholeEncode
from vmaf_jax.scoring.model import ModelLike, choose_model, load_scorer
from vmaf_jax.video.encoders import (
    CONTAINERS,
    Encoder,
    EncodeRecipe,
    check_arguments,
    find_encoder,
)
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.pixel_format import sample_bits
from vmaf_jax.video.survey import Survey, survey_source

MAX_ENCODES = 12  # of the whole file; bisection of the finest scale takes eight
_CLOSE = 0.25  # points above the target that end the search
_LEAST_LINES = 16
_FAR = 5.0  # points above the target at the weakest setting that are no near miss


@dataclasses.dataclass(frozen=True)
class EncodeSettings:
    """Settings of `encode`.

    Attributes:
        target: Points, in (0, 100), that the finished file keeps.
        model: What scores, as for `score`.
        encoder: ffmpeg's name of it, of `ENCODERS`.
        preset: The encoder's speed; None for its default.
        pix_fmt: Of the encode; None for 4:2:0 with 8 bits, 10 where the source has more.
        height: Lines of the encode; None for those of the source.
        encoder_args: Further options of the encoder, names and values by turns.
        confidence: At which the finished file keeps the target, in [0.5, 1).

    Raises:
        InputError: A value is out of range.
    """

    target: float
    model: ModelLike = "auto"
    encoder: str = "libx264"
    preset: str | None = None
    pix_fmt: str | None = None
    height: int | None = None
    encoder_args: tuple[str, ...] = ()
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not 0 < self.target < 100:
            raise InputError(f"--target {self.target:g}: expected points above 0 and below 100.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"--confidence {self.confidence:g}: expected from 0.5 to below 1.")
        if self.height is not None and (self.height < _LEAST_LINES or self.height % 2):
            raise InputError(
                f"--height {self.height}: expected an even number from {_LEAST_LINES} up."
            )


@dataclasses.dataclass(frozen=True)
class Encoding:
    """Outcome of a search for a target.

    Attributes:
        reference: The source.
        out: The finished file; None where none was written.
        target: Points.
        confidence: At which the finished file keeps the target.
        model: What scored, with the reason where it was chosen for the source.
        encoder, preset, pix_fmt, height: How it was encoded.
        frames, rate: Of the source, and its frames per second.
        finished: The encode that was written; None without one.
        encodes: All encodes of the whole file, in their order.
        bytes: Of the finished file, sound included.
        saving: Share of the source's bytes that it saves.
        miss: Why there is no file, in a sentence; None where there is one, and in a dry run.
        seconds: Of each stage.
    """

    reference: str
    out: str | None
    target: float
    confidence: float
    model: str
    encoder: str
    preset: str
    pix_fmt: str
    height: int
    frames: int
    rate: float
    finished: WholeEncode | None
    encodes: tuple[WholeEncode, ...]
    bytes: int | None
    saving: float | None
    miss: str | None
    seconds: dict[str, float]

    def lines(self) -> list[str]:
        """Returns the outcome in words; a miss is told by `check`."""
        how = f"{self.encoder}, preset {self.preset}, {self.pix_fmt}, {self.height} lines"
        if self.finished is None:
            seconds = self.frames / self.rate
            return [f"{self.reference}: {self.frames} frames, {seconds:.1f} s, for {how}"]
        done = self.finished
        return [
            f"{self.out}: {self.model} {done.score:.2f} (target {self.target:g}) at setting "
            f"{done.setting:g} of {how}: {done.kbps:.0f} kbit/s, {self.bytes} bytes, "
            f"{100 * (self.saving or 0):.0f} % less than the source; {len(self.encodes)} encodes"
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
    started = time.perf_counter()
    ffmpeg, video = find_ffmpeg(), as_video(reference, None, None, None)
    encoder = find_encoder(ffmpeg, settings.encoder)
    check_arguments(ffmpeg, encoder, settings.encoder_args)
    check_video(video)
    _check_out(out, encoder, video)
    progress.say("looking at the source")
    source = survey_source(ffmpeg, video)
    model = load_scorer(choose_model(settings.model, source.video).model)
    recipe = _recipe(encoder, settings, source)
    surveyed = time.perf_counter()
    encodes: list[WholeEncode] = []
    finished, size = None, None
    with work_folder(out.absolute().parent) as work:
        trials = Trials(ffmpeg, source, recipe, model, settings.target, work, progress)
        best = work / f"best{out.suffix}"
        while not dry_run and (setting := _next_setting(encoder, encodes, settings)) is not None:
            file = work / f"trial{out.suffix}"
            encodes.append(trials.encode_whole(setting, file))
            if encodes[-1].holds and (finished is None or setting > finished.setting):
                finished = encodes[-1]
                file.replace(best)
        if finished is not None:
            _check_not_far(finished, encoder, settings)
            size = best.stat().st_size
            with atomic_path(out) as temporary:
                best.replace(temporary)
    is_miss = finished is None and not dry_run
    return Encoding(
        reference=str(video.path),
        out=None if finished is None else str(out),
        target=settings.target,
        confidence=settings.confidence,
        model=model.name,
        encoder=encoder.name,
        preset=recipe.preset,
        pix_fmt=recipe.pix_fmt,
        height=recipe.height or source.stream.height,
        frames=source.n_frames,
        rate=source.rate,
        finished=finished,
        encodes=tuple(encodes),
        bytes=size,
        saving=None if size is None else 1 - size / video.path.stat().st_size,
        miss=_describe_miss(encodes, encoder, settings) if is_miss else None,
        seconds={"survey": surveyed - started, "encodes": time.perf_counter() - surveyed},
    )


def _next_setting(
    encoder: Encoder, encodes: list[WholeEncode], settings: EncodeSettings
) -> float | None:
    """Returns the setting to encode the whole file at next; None at the end of the search."""
    if len(encodes) == MAX_ENCODES:
        return None
    whole = [Observation(e.setting, e.score, holds=e.holds) for e in encodes]
    z = statistics.NormalDist().inv_cdf(settings.confidence)
    return next_encode(encoder.settings, [], whole, settings.target, z, _CLOSE)


def _recipe(encoder: Encoder, settings: EncodeSettings, source: Survey) -> EncodeRecipe:
    is_deep = sample_bits(source.stream.pix_fmt) > 8
    return EncodeRecipe(
        encoder=encoder,
        preset=settings.preset or encoder.preset,
        pix_fmt=settings.pix_fmt or ("yuv420p10le" if is_deep else "yuv420p"),
        height=settings.height,
        arguments=settings.encoder_args,
    )


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
    check_writable(out.parent)


def _check_not_far(finished: WholeEncode, encoder: Encoder, settings: EncodeSettings) -> None:
    """Raises InputError where even the weakest setting is far above the target."""
    above = finished.score - settings.target
    if finished.setting >= encoder.settings.worst and above > _FAR:
        raise InputError(
            f"--target {settings.target:g}: even the weakest setting of {encoder.name}, "
            f"{finished.setting:g}, scores {finished.score:.2f}; raise the target, or lower "
            f"--height."
        )


def _describe_miss(encodes: list[WholeEncode], encoder: Encoder, settings: EncodeSettings) -> str:
    best = max(encodes, key=lambda entry: entry.score)
    return (
        f"--target {settings.target:g}: missed by {encoder.name}; the best of {len(encodes)} "
        f"encodes has {best.score:.2f} at setting {best.setting:g} ({best.kbps:.0f} kbit/s). "
        f"Nothing was written."
    )
