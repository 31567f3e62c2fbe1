"""Trials of an encoder's settings on whole files, each measured.

Their scores are cached by the content of the source and all that they depend on. A search begins
with all trials that earlier ones made.
"""

import dataclasses
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import pool_clip
from vmaf_jax.evaluation.frame_sample import CELL, LEVEL
from vmaf_jax.extraction.extract import RECIPE, extract_one
from vmaf_jax.extraction.frame_subset import (
    FirstLook,
    check_frames_separable,
    look_arguments,
    read_look,
)
from vmaf_jax.extraction.request import Request
from vmaf_jax.files import cache_dir, to_json, work_folder, write_text
from vmaf_jax.progress import Progress
from vmaf_jax.scoring.frame_budget import Floats, draw_pattern, measure_sample
from vmaf_jax.scoring.model import Model
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON
from vmaf_jax.video.encoders import EncodeRecipe, decodes_beside, encode_video, stream_bytes
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.inputs import Video, file_digest, text_digest
from vmaf_jax.video.streams import DecodedStream
from vmaf_jax.video.survey import Survey

_TRIAL_RECIPE = 6  # raised with every change of what a trial is, so that none is served old
_SAMPLED_ROWS = 32  # of features, by whose scores models are told apart
_LEAST_SAMPLED = 300  # frames of a whole file of which some are measured, not all
_ENOUGH_SAMPLED = 100  # frames of a whole file, the fewest that are measured first of a long one
_WIDEST_CELL = 8 * CELL  # measuring one frame of 48 costs little beside encoding them
_SAMPLED_UP_TO = (1 + LEVEL) / 2  # confidence that the interval of a sample has on one side
_SIGMAS = statistics.NormalDist().inv_cdf(_SAMPLED_UP_TO)  # of that interval's half-width


@dataclasses.dataclass(frozen=True)
class Target:
    """A score to keep.

    Attributes:
        points: 0 to 100.
        pool: A pooling of `evaluation.clip_pooling.POOLS`; None for the model's own.
        confidence: At which the score is kept.
    """

    points: float
    pool: str | None
    confidence: float


@dataclasses.dataclass(frozen=True)
class WholeEncode:
    """A measured encode of the whole file.

    Attributes:
        setting: The encoder's quality setting.
        score: Points; an estimate where not every frame was measured.
        lower_bound: Points, which the score keeps at the requested confidence; the score itself
            where every frame was measured.
        frames_measured: Frames.
        kbps: Rate of its video, kbit/s.
        holds: Whether the lower bound reaches the target.
        seconds: That encoding and measuring took.
        is_cached: Whether it was encoded and measured in an earlier search; its file is gone.
    """

    setting: float
    score: float
    lower_bound: float
    frames_measured: int
    kbps: float
    holds: bool
    seconds: float
    is_cached: bool = False

    @property
    def error(self) -> float:
        """Standard error of the score, points; 0 where every frame was measured."""
        return (self.score - self.lower_bound) / _SIGMAS


@dataclasses.dataclass(frozen=True)
class Trials:
    """Encodes of one source by one recipe, measured by one model.

    Attributes:
        work: Folder of temporary files.
    """

    ffmpeg: Ffmpeg
    source: Survey
    recipe: EncodeRecipe
    model: Model
    target: Target
    work: Path
    progress: Progress

    def known_encodes(self) -> list[WholeEncode]:
        """Returns the whole files of earlier searches by this recipe, model and pooling.

        Those are left out whose interval holds the target: more frames would have to be measured.
        """
        known = []
        for entry in sorted(self._encode_folder.glob("*.json")):
            try:
                encode = WholeEncode(**json.loads(entry.read_text()))
            except (OSError, ValueError, TypeError) as error:
                raise corrupted(entry) from error
            holds = encode.lower_bound >= self.target.points
            if holds or encode.score < self.target.points:
                known.append(dataclasses.replace(encode, holds=holds, is_cached=True))
        return known

    def encode_whole(self, setting: float, out: Path) -> WholeEncode:
        """Encodes the whole source into `out` at a setting, and measures the file.

        Raises:
            InputError: ffmpeg fails.
        """
        begin = time.perf_counter()
        name, n = f"{self.recipe.encoder.name} at {setting:g}", self.source.n_frames
        self.progress.say(f"encoding by {name}")
        on_frames = self.progress.steps(name, lambda: n)
        look = self.encode_and_look(
            (self.source.video, self.source.stream, n),
            self.recipe,
            setting,
            out,
            first_cell(n) if self._samples else None,
            with_sound=True,
            on_frames=on_frames,
        )
        encode = self.measure_file(setting, out, look=look)
        encode = dataclasses.replace(encode, seconds=time.perf_counter() - begin)
        write_text(self._encode_folder / f"{setting:g}.json", to_json(encode))
        return encode

    def encode_and_look(
        self,
        source: tuple[Video, DecodedStream, int],
        recipe: EncodeRecipe,
        setting: float,
        out: Path,
        cell: int | None,
        *,
        key_frames: Sequence[float] = (),
        with_sound: bool = False,
        on_frames: Callable[[int], None] | None = None,
    ) -> FirstLook | None:
        """Encodes a video into `out`, and looks at it meanwhile.

        Args:
            source: The video, the form of its frames, and their number.
            cell: Frames of which the look measures one; None for no look.
            key_frames, with_sound, on_frames: As of `encode_video`.

        Returns:
            The look; None where frames have another form than the source's, or ffmpeg is too old.

        Raises:
            InputError: ffmpeg fails.
        """
        video, form, n_frames = source
        features, beside, pattern = self.model.feature_set, [], draw_pattern(cell or CELL)
        is_alike = recipe.height is None and recipe.pix_fmt == form.pix_fmt
        may_look = cell is not None and is_alike and features.least_bits == 8
        if may_look and decodes_beside(self.ffmpeg, recipe.encoder.name):
            threads = os.cpu_count() or 1
            beside = look_arguments(video, features, pattern, threads=threads)
        with work_folder(self.work) as folder:
            encode_video(
                self.ffmpeg,
                video,
                recipe,
                setting,
                out,
                with_sound=with_sound,
                key_frames=key_frames,
                on_frames=on_frames,
                beside=beside,
                folder=folder,
            )
            if not beside:
                return None
            return read_look(self.ffmpeg, (video, Video(out)), features, pattern, n_frames, folder)

    def measure_file(
        self, setting: float, file: Path, *, sample: bool = True, look: FirstLook | None = None
    ) -> WholeEncode:
        """Measures an encode of the whole source.

        Args:
            sample: Whether some frames are enough where they can tell.
            look: A first look at some, where there was one.
        """
        begin, n = time.perf_counter(), self.source.n_frames
        kbps = stream_bytes(self.ffmpeg, file) * 8 * self.source.rate / n / 1000
        score, lower_bound, measured = self._measure_whole(file, look, sample=sample)
        name = f"{self.recipe.encoder.name} at {setting:g}"
        self.progress.say(f"{name}: {score:.2f} at {kbps:.0f} kbit/s")
        holds = lower_bound >= self.target.points
        seconds = time.perf_counter() - begin
        return WholeEncode(setting, score, lower_bound, measured, kbps, holds, seconds)

    def score_every_frame(self, file: Path) -> Floats:
        """Returns the scores of all frames of an encode of the whole source, `[n]`."""
        table = self.measure((self.source.video, Video(file)))
        return np.asarray(self.model(table.features), np.float64)

    def _measure_whole(
        self, file: Path, look: FirstLook | None, *, sample: bool
    ) -> tuple[float, float, int]:
        """Returns the score of a whole file, its lower bound, and how many frames were measured."""
        pair = (self.source.video, Video(file))
        if sample and self._samples:
            some = measure_sample(
                pair,
                0.0,
                lambda features: np.asarray(self.model(features), np.float64),
                self.model.feature_set,
                DEFAULT_COMPARISON,
                threshold=self.target.points,
                cell=first_cell(self.source.n_frames),
                pilot=look,
            )
            score = min(max(some.estimate.mean, 0.0), 100.0)
            return score, score - some.estimate.half_width, len(some.per_frame)
        table = self.measure(pair)
        score = self.score_frames(table.features, self.source.cuts)
        return score, score, len(table)

    @property
    def _samples(self) -> bool:
        """Whether some frames of a whole file are measured first."""
        is_long = self.source.n_frames >= _LEAST_SAMPLED
        return is_long and self.target.confidence <= _SAMPLED_UP_TO and self.may_sample

    @cached_property
    def may_sample(self) -> bool:
        """Whether some frames can tell what a target asks for."""
        is_mean = self.model.pooling == "mean" and self.target.pool in (None, "mean")
        try:
            check_frames_separable(self.model.feature_set)
        except InputError:
            return False
        return is_mean

    def score_frames(self, features: Floats, cuts: Sequence[int]) -> float:
        """Returns the score of consecutive frames by the target's pooling."""
        if self.target.pool is None:
            return self.model.clip_score(features)
        per_frame = np.asarray(self.model(features), np.float64)
        return pool_clip(per_frame, self.target.pool, rate=self.source.rate, cuts=cuts).score

    def measure(self, pair: tuple[Video, Video]) -> FeatureTable:
        """Measures every frame of a pair."""
        request = Request((), self.model.feature_set, cache=self.work / "features")
        return extract_one(pair, request)

    @cached_property
    def _encode_folder(self) -> Path:
        """Where scores of whole files are cached, by setting."""
        # A model is told from others by its scores of some features.
        features = np.random.default_rng(0).uniform(
            size=(_SAMPLED_ROWS, len(self.model.feature_set))
        )
        digest = self.digest(
            encode=dataclasses.asdict(self.recipe),
            features=self.model.feature_set.name,
            model=[self.model.name, np.asarray(self.model(features)).round(3).tolist()],
            pool=self.target.pool or self.model.pooling,
            confidence=self.target.confidence,
        )
        return cache_dir() / "encodes" / digest

    def digest(self, **key: object) -> str:
        """Returns a digest of the source, the program, and what else a result depends on."""
        common = {
            "recipe": [_TRIAL_RECIPE, RECIPE],
            "source": file_digest(self.source.video.path),
            "stream": self.source.video.stream,
            "program": [self.ffmpeg.path, self.ffmpeg.version],
        }
        return text_digest(json.dumps({**common, **key}))


def first_cell(n_frames: int) -> int:
    """Returns how many frames of a file one is measured of at first: 6, 12, 24 or 48."""
    cell = CELL
    while cell < _WIDEST_CELL and n_frames >= 2 * cell * _ENOUGH_SAMPLED:
        cell *= 2
    return cell


def corrupted(entry: Path) -> InputError:
    """Returns the error of a cache entry that cannot be read."""
    return InputError(f"{entry}: this cache entry is corrupted; delete it and run again.")
