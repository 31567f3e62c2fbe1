"""Settings chosen shot by shot: the cheapest file whose mean score keeps a target.

The source is encoded at a few settings around one that keeps the target, so that no shot refers to
another, and every frame is measured. The cheapest choice of a setting for each shot is joined
without being encoded again; the scores of its frames are known before it is measured.

With b_ik the bytes and s_ik the mean score of shot i at setting k, and w_i its share of the frames,

    minimise sum_i b_ik(i)    subject to    sum_i w_i s_ik(i) >= target

For a price l of a point, each shot takes the k of the least b_ik - l w_i s_ik; the lowest l whose
choice reaches the target is found by bisection. What is left above the target is then spent by
exchanging one shot at a time.
Source: Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers" (1988).
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.segment_plan import merge_shots
from vmaf_jax.scoring.encode_trials import Trials, WholeEncode
from vmaf_jax.video.encoders import SettingRange, packet_sizes, start_time
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.shots import encode_shots, join_shots

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_BISECTIONS = 60  # more than a double has bits: further ones would change nothing
_ROUNDING = 1e-9  # points kept, so that another order of sums still reaches the target
_STEPS = (-0.7, -0.35, 0.0, 0.35, 0.7)  # from the one setting, in t (`evaluation.target_search`)


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
