"""Settings of a search for a target: what is to be kept, what scores, and how to encode."""

import dataclasses
import math
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import check_pool
from vmaf_jax.progress import Progress
from vmaf_jax.scoring.encode_probes import choose_segments
from vmaf_jax.scoring.model import Model, choose_model, load_scorer
from vmaf_jax.tables.opinions import to_hundred
from vmaf_jax.video.encoders import Encoder, EncodeRecipe, check_arguments
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.pixel_format import sample_bits
from vmaf_jax.video.survey import Survey, survey_source

_LEAST_LINES = 16


@dataclasses.dataclass(frozen=True)
class EncodeSettings:
    """Settings of `encode`.

    Attributes:
        target: Points, in (0, 100), that the finished file keeps.
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
        if not self.votes and not 0 < self.target < 100:
            raise InputError(f"--target {self.target:g}: expected points above 0 and below 100.")
        if not 0.5 <= self.confidence < 1:
            raise InputError(f"--confidence {self.confidence:g}: expected from 0.5 to below 1.")
        if not 0 < self.tolerance <= 100:
            raise InputError(f"--tolerance {self.tolerance:g}: expected points above 0.")
        if self.pool is not None:
            check_pool(self.pool)
        if self.max_kbps is not None and not 0 < self.max_kbps < math.inf:
            raise InputError(f"--max-kbps {self.max_kbps:g}: expected kbit/s above 0.")
        if self.min_saving is not None and not 0 < self.min_saving < 100:
            raise InputError(f"--min-saving {self.min_saving:g}: expected percent, 0 to 100.")
        if self.height is not None and (self.height < _LEAST_LINES or self.height % 2):
            raise InputError(
                f"--height {self.height}: expected an even number from {_LEAST_LINES} up."
            )


def look_at_source(
    ffmpeg: Ffmpeg, video: Video, encoder: Encoder, settings: EncodeSettings, progress: Progress
) -> tuple[Survey, Model]:
    """Surveys a source, and loads what scores its encodes.

    Raises:
        InputError: The encoder refuses its options, the source cannot be encoded and compared
            frame by frame, or the model cannot be loaded.
    """
    check_arguments(ffmpeg, encoder, settings.encoder_args)
    progress.say("looking at the source")
    source = survey_source(ffmpeg, video, choose_segments)
    return source, load_scorer(choose_model(settings.model, source.video).model)


def target_in_points(settings: EncodeSettings, model: Model) -> EncodeSettings:
    """Returns settings whose target is in points, where it is in votes.

    Raises:
        InputError: The model is not one of votes, or the target lies outside their scale.
    """
    if not settings.votes:
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
        InputError: The encode is to have more lines than the source.
    """
    if settings.height is not None and settings.height > source.stream.height:
        raise InputError(
            f"--height {settings.height}: is above the source's {source.stream.height} lines; "
            f"lower or drop it."
        )
    is_deep = sample_bits(source.stream.pix_fmt) > 8
    return EncodeRecipe(
        encoder=encoder,
        preset=settings.preset or encoder.preset,
        pix_fmt=settings.pix_fmt or ("yuv420p10le" if is_deep else "yuv420p"),
        height=settings.height,
        arguments=settings.encoder_args,
    )
