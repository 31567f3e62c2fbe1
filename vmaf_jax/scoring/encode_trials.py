"""Trials of an encoder's settings on whole files, each measured; one setting, or one a shot.

Their scores are cached by the content of the source and all that they depend on. A search begins
with all trials that earlier ones made.

For settings chosen shot by shot, the source is encoded at a few settings around one that keeps the
target, so that no shot refers to another, and every frame is measured. The cheapest choice of a
setting for each shot is joined without being encoded again; the scores of its frames are known
before it is measured.

With b_ik the bytes and s_ik the mean score of shot i at setting k, and w_i its share of the frames,

    minimise sum_i b_ik(i)    subject to    sum_i w_i s_ik(i) >= target

For a price l of a point, each shot takes the k of the least b_ik - l w_i s_ik; the lowest l whose
choice reaches the target is found by bisection. What is left above the target is then spent by
exchanging one shot at a time.
Source: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers" (1988).
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
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import pool_clip
from vmaf_jax.evaluation.sampling import CELL, LEVEL, merge_shots
from vmaf_jax.extraction.extract import RECIPE, extract_one
from vmaf_jax.extraction.frame_subset import (
    FirstLook,
    check_frames_separable,
    look_arguments,
    read_look,
)
from vmaf_jax.extraction.request import Request
from vmaf_jax.files import cache_dir, open_regular, to_json, work_folder, write_text
from vmaf_jax.progress import Progress
from vmaf_jax.scoring.frame_budget import Floats, draw_pattern, measure_sample
from vmaf_jax.scoring.model import Model
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON
from vmaf_jax.video.encoders import (
    EncodeRecipe,
    SettingRange,
    decodes_beside,
    encode_video,
    packet_sizes,
    start_time,
    stream_bytes,
)
from vmaf_jax.video.ffmpeg import Ffmpeg
from vmaf_jax.video.inputs import Video, file_digest, text_digest
from vmaf_jax.video.shots import encode_shots, join_shots
from vmaf_jax.video.streams import DecodedStream
from vmaf_jax.video.survey import Survey

_TRIAL_RECIPE = 6  # raised with every change of what a trial is, so that none is served old
_SAMPLED_ROWS = 32  # of features, by whose scores models are told apart
_LEAST_SAMPLED = 300  # frames of a whole file of which some are measured, not all
_ENOUGH_SAMPLED = 100  # frames of a whole file, the fewest that are measured first of a long one
_WIDEST_CELL = 8 * CELL  # measuring one frame of 48 costs little beside encoding them
_SAMPLED_UP_TO = (1 + LEVEL) / 2  # confidence that the interval of a sample has on one side
_SIGMAS = statistics.NormalDist().inv_cdf(_SAMPLED_UP_TO)  # of that interval's half-width
_BISECTIONS = 60  # more than a double has bits: further ones would change nothing
_ROUNDING = 1e-9  # points kept, so that another order of sums still reaches the target
Ints = npt.NDArray[np.int64]
_STEPS = (-0.7, -0.35, 0.0, 0.35, 0.7)  # from the one setting, in t (`evaluation.target_search`)


@dataclasses.dataclass(frozen=True)
class Target:
    """A score to keep.

    Attributes:
        points: 0 to the model's highest.
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
                with open_regular(entry) as file:
                    encode = WholeEncode(**json.load(file))
            except (InputError, OSError, ValueError, TypeError) as error:
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
            score = min(max(some.estimate.mean, 0.0), self.model.top)
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


@dataclasses.dataclass(frozen=True)
class ShotSettings:
    """A setting for each shot.

    Attributes:
        first_frames: Of the shots, rising.
        settings: Of the encoder.
        one_setting: The file of one setting that keeps the target.
        saving: Share of the bits of one setting that the joined file takes less at the same score;
            by the rates of the encodes that shots were taken from.
    """

    first_frames: tuple[int, ...]
    settings: tuple[float, ...]
    one_setting: WholeEncode
    saving: float


def choose_shots(
    trials: Trials, one: WholeEncode, file: Path, out: Path
) -> tuple[ShotSettings, WholeEncode] | str:
    """Writes `out`, the cheapest choice of a setting for each shot, and measures it.

    Args:
        one: An encode of one setting that keeps the target.
        file: Its file; the sound and its place in time are taken from it.
        out: With its suffix.

    Returns:
        The choice and the measured file; or why there is none.
    """
    source = trials.source
    starts = merge_shots(source.n_frames, source.cuts, source.rate)
    if len(starts) == 1:
        return "the source is one shot, so nothing was split"
    settings = _settings_around(trials.recipe.encoder.settings, one.setting)
    folder = trials.work / "shots"
    folder.mkdir()
    delay = start_time(trials.ffmpeg, file)
    measured = [_try_setting(trials, setting, starts, delay, folder) for setting in settings]
    size, score = (np.stack(table, axis=1) for table in zip(*measured, strict=True))
    share = np.diff([*starts, source.n_frames]) / source.n_frames
    choice = allocate_settings(size, score, share, trials.target.points)
    smaller = f"no choice of settings for its {len(starts)} shots is smaller"
    if choice is None:
        return smaller
    files = [folder / f"{settings[k]:g}-{shot}.mp4" for shot, k in enumerate(choice)]
    join_shots(trials.ffmpeg, files, out, sound=Video(file), delay=delay)
    chosen = tuple(settings[k] for k in choice)
    # It is so close to the target that a sample would not tell.
    joined = trials.measure_file(float(share @ chosen), out, sample=False)
    if not joined.holds or joined.kbps >= one.kbps:
        return smaller
    saving = 1 - joined.kbps / _kbps_of_one(size.sum(axis=0), share @ score, joined.score, trials)
    return ShotSettings(tuple(starts), chosen, one, saving), joined


def _try_setting(
    trials: Trials, setting: float, starts: Sequence[int], delay: float, folder: Path
) -> tuple[Floats, Floats]:
    """Returns the bytes of each shot at a setting and the mean score of its frames, `[n]` each."""
    source = trials.source
    ffmpeg, video, recipe = trials.ffmpeg, source.video, trials.recipe
    files = encode_shots(ffmpeg, video, recipe, setting, starts, source.rate, delay, folder)
    whole = folder / "whole.mkv"
    join_shots(ffmpeg, files, whole)
    size = np.array(packet_sizes(ffmpeg, whole), np.float64)
    score = trials.score_every_frame(whole)
    whole.unlink()
    count = np.diff([*starts, source.n_frames])
    trials.progress.say(f"shots at {setting:g}: {score.mean():.2f}")
    return np.add.reduceat(size, starts), np.add.reduceat(score, starts) / count


def _settings_around(scale: SettingRange, setting: float) -> list[float]:
    """Returns settings around one, rising."""
    steps = np.round(np.array(_STEPS) / -scale.slope / scale.step) * scale.step
    return np.unique(np.clip(setting + steps, scale.best, scale.worst)).tolist()


def _kbps_of_one(size: Floats, score: Floats, reached: float, trials: Trials) -> float:
    """Returns the rate of one setting for all shots that reaches a score, kbit/s."""
    order = np.argsort(score)
    size = np.exp(np.interp(reached, score[order], np.log(size[order])))
    return float(size) * 8 * trials.source.rate / trials.source.n_frames / 1000


def allocate_settings(size: Floats, score: Floats, share: Floats, target: float) -> Ints | None:
    """Chooses a setting for each shot.

    Args:
        size: Bytes of each shot at each setting, `[n, k]`.
        score: Mean score of its frames, points, `[n, k]`.
        share: Of the frames, `[n]`; they sum to 1.
        target: Points, of the mean over all frames.

    Returns:
        The chosen settings' places, `[n]`; None where the best encodes of all shots miss the
        target. No single setting that reaches it takes fewer bytes.
    """
    gain = share[:, None] * score
    best = gain.argmax(axis=1)
    if _take(gain, best) < target:
        return None
    low, high = 0.0, 1.0
    while _take(gain, _priced(size, gain, high)) < target and np.isfinite(2 * high):
        high *= 2
    for _ in range(_BISECTIONS):
        price = (low + high) / 2
        if _take(gain, _priced(size, gain, price)) < target:
            low = price
        else:
            high = price
    starts = [best, _priced(size, gain, high)]
    starts += [np.full(len(size), k) for k in range(size.shape[1])]
    reached = [_spend(size, gain, s, target) for s in starts if _take(gain, s) >= target]
    return min(reached, key=lambda choice: _take(size, choice))


def _priced(size: Floats, gain: Floats, price: float) -> Ints:
    return np.asarray((size - price * gain).argmin(axis=1))


def _take(table: Floats, choice: Ints) -> float:
    return float(table[np.arange(len(table)), choice].sum())


def _spend(size: Floats, gain: Floats, choice: Ints, target: float) -> Ints:
    """Returns a choice from which no exchange of one shot saves bytes and keeps the target."""
    choice, rows = choice.copy(), np.arange(len(size))
    while True:
        saved = size[rows, choice][:, None] - size
        lost = gain[rows, choice][:, None] - gain
        slack = _take(gain, choice) - target - _ROUNDING
        saved = np.where(lost <= slack, saved, 0.0)
        shot, place = np.unravel_index(int(saved.argmax()), saved.shape)
        if saved[shot, place] <= 0:
            return choice
        choice[shot] = place
