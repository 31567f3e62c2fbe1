"""Probes: encodes of segments of a source that foretell scores of whole files.

Segments are few, so that they alone tell little of the whole. An outline, all frames in small
pictures, costs little, and its scores rise and fall with those of the source: where there is one,

    t(whole) = t(segments) + t(outline) - t(outline of the segments)

with t as in `evaluation.target_search`, all three encoded at one setting. It takes away most of the
error by the choice of segments (a difference estimator; Cochran, "Sampling techniques", 7.1). The
outline of the segments costs next to nothing, and tells first about which setting that is.
Probes are cached as frames' features, so that any target and pooling is read from them again.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.sampling import SegmentPlan, estimate_statistic, plan_segments
from vmaf_jax.evaluation.target_search import Observation, from_t, to_t
from vmaf_jax.files import cache_dir
from vmaf_jax.scoring.encode_trials import Trials, corrupted
from vmaf_jax.scoring.frame_budget import Floats, measure_some
from vmaf_jax.tables.reading import read_file
from vmaf_jax.tables.table import FeatureTable
from vmaf_jax.video.comparison import DEFAULT_COMPARISON
from vmaf_jax.video.encoders import EncodeRecipe, stream_bytes
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.streams import DecodedStream
from vmaf_jax.video.survey import (
    Segments,
    find_outline,
    find_reel,
    outline_lines,
    outline_stream,
    segment_starts,
)

_PROBED = 3  # frames of segments, of which one is measured
_LEAST_PROBED = 60  # frames of segments, of which not all are measured
_REEL, _OUTLINE, _SMALL_REEL = "reel", "outline", "outline of the reel"  # parts that are encoded
# Small pictures of segments differ from the whole by about this much of t, give or take the points.
_SMALL_SHIFT, _SMALL_ERROR = 0.2, 2.0
# Error of what they differ by, as a share of the points to the next probe: 0.08, 0.08, 0.11 and
# 0.22 on four clips by libx264 at six settings.
_SMALL_CARRY = 0.15


@dataclasses.dataclass(frozen=True)
class Probe:
    """A measured encode of the segments that stand for the whole.

    Attributes:
        setting: The encoder's quality setting.
        score: Estimate for the whole, points.
        error: Its standard error by the choice of segments, points.
        kbps: Of the segments, kbit/s; by the outline's rate, that of the whole.
        is_cached: Whether it was measured before.
        small: Score of the segments in small pictures, points; None without an outline.
    """

    setting: float
    score: float
    error: float
    kbps: float
    is_cached: bool
    small: float | None = None


@dataclasses.dataclass(frozen=True)
class SegmentProbes:
    """Encodes of segments of one source.

    Attributes:
        trials: The source, how it is encoded, and what scores.
        plan: The segments.
    """

    trials: Trials
    plan: SegmentPlan

    def known_probes(self) -> list[Probe]:
        """Returns the probes that earlier searches made of these segments by this recipe."""
        return [self.probe(setting) for setting in self._known_settings(_REEL)]

    def observe(self, probes: Sequence[Probe]) -> list[Observation]:
        """Returns probes, and small pictures at other settings, as far apart as at the next probe.

        Without probes small pictures stand for the whole, with what they usually differ by.
        """
        seen = [Observation(probe.setting, probe.score, probe.error) for probe in probes]
        probed, small = {probe.setting for probe in probes}, dict(self.known_small())
        top = self.trials.model.top
        for setting, score in small.items():
            apart, error, next_one = np.asarray(_SMALL_SHIFT), _SMALL_ERROR, None
            if setting in probed:
                continue
            if probes:
                next_one = min(probes, key=lambda probe: abs(probe.setting - setting))
                apart = to_t(next_one.score, top) - to_t(small[next_one.setting], top)
                error = next_one.error
            expected = float(from_t(to_t(score, top) + apart, top))
            carried = 0.0 if next_one is None else _SMALL_CARRY * abs(expected - next_one.score)
            seen.append(Observation(setting, expected, error, carried))
        return seen

    def known_small(self) -> list[tuple[float, float]]:
        """Returns the settings of small pictures of the segments by this recipe, and the scores."""
        return [(at, self.score_small(at)) for at in self._known_settings(_SMALL_REEL)]

    def count_frames(self) -> tuple[float, float]:
        """Returns the frames that were encoded, and measured, of all parts by this recipe.

        They are in frames of the source: small pictures count by their share of the pixels.
        """
        encoded = measured = 0.0
        source = self.trials.source
        for part in (_REEL, _OUTLINE, _SMALL_REEL):
            lines = source.stream.height if part == _REEL else self._outline_lines or 0
            share = (lines / source.stream.height) ** 2
            n = source.n_frames if part == _OUTLINE else self.plan.n_frames
            for setting in self._known_settings(part):
                encoded += share * n
                measured += share * len(_read_probe(self._entry(part, setting)))
        return encoded, measured

    @property
    def has_outline(self) -> bool:
        """Whether there are small pictures that tell of the source's."""
        return self._outline_lines is not None

    def score_small(self, setting: float) -> float:
        """Encodes the segments in small pictures, and returns their score, points.

        Raises:
            InputError: As `probe`.
        """
        score_some = self._segment_scores(self._read_or_measure(_SMALL_REEL, setting))
        return score_some(range(len(self.plan.segments)))

    def probe(self, setting: float) -> Probe:
        """Encodes the segments at a setting and measures them, unless that was done before.

        Raises:
            InputError: ffmpeg fails, or a cached probe is corrupted.
        """
        is_cached = self._entry(_REEL, setting).exists()
        table = self._read_or_measure(_REEL, setting)
        n, small = len(self.plan.segments), None
        seconds = self.plan.n_frames / self.trials.source.rate
        kbps = table.provenance["bytes"] * 8 / 1000 / seconds
        score_some = self._segment_scores(table)
        if self.has_outline:
            small_table = self._read_or_measure(_SMALL_REEL, setting)
            score_small = self._segment_scores(small_table)
            small = score_small(range(n))
            outline = self._read_or_measure(_OUTLINE, setting)
            more = outline.provenance["bytes"] / small_table.provenance["bytes"]
            kbps *= more * self.plan.n_frames / self.trials.source.n_frames
            whole = self.trials.score_frames(outline.features, self.trials.source.cuts)
            score_some = _correct(score_some, score_small, whole, self.trials.model.top)
        score, error = estimate_statistic(score_some, n, self.plan.share)
        lines = "" if (height := self.trials.recipe.height) is None else f" and {height} lines"
        found = f"segments at {setting:g}{lines}: {score:.2f}, about {kbps:.0f} kbit/s"
        self.trials.progress.say(found)
        return Probe(setting, score, error, kbps, is_cached, small)

    def _segment_scores(self, table: FeatureTable) -> Callable[[Sequence[int]], float]:
        """Returns a function from places of segments, in order of difficulty, to their score."""
        index, is_whole = np.asarray(table.index), self.plan.share == 1
        ends = [np.searchsorted(index, (rows.start, rows.stop)) for rows in self.plan.rows()]
        features = [table.features[start:end] for start, end in ends]

        def score_some(chosen: Sequence[int]) -> float:
            parts = [features[k] for k in chosen]
            starts = np.cumsum([len(part) for part in parts])[:-1].tolist()
            cuts = self.trials.source.cuts if is_whole else starts
            return self.trials.score_frames(np.concatenate(parts), cuts)

        return score_some

    def _read_or_measure(self, part: str, setting: float) -> FeatureTable:
        """Returns the features of frames of a part of the source, encoded at a setting."""
        entry = self._entry(part, setting)
        if entry.exists():
            return _read_probe(entry)
        video, form = self._find_part(part)
        starts, n_frames = [], self.trials.source.n_frames
        if part != _OUTLINE:
            starts = segment_starts(self.plan.segments, self.trials.source.rate)
            n_frames = self.plan.n_frames
        file, ffmpeg = self.trials.work / f"probe-{setting:g}.mkv", self.trials.ffmpeg
        cell = self._probe_cell
        look = self.trials.encode_and_look(
            (video, form, n_frames),
            self._recipe_of(part),
            setting,
            file,
            None if cell == 1 else cell,
            key_frames=starts,
        )
        pair, features = (video, Video(file)), self.trials.model.feature_set
        if cell == 1:
            table = self.trials.measure(pair)
        else:
            table = measure_some(pair, cell, features, DEFAULT_COMPARISON, pilot=look)
        size = stream_bytes(ffmpeg, file)
        file.unlink()
        table = dataclasses.replace(table, provenance={**table.provenance, "bytes": size})
        table.write(entry)
        return table

    def _find_part(self, part: str) -> tuple[Video, DecodedStream]:
        """Returns the file of a part of the source, written when first needed, and its form."""
        source, lines, ffmpeg = self.trials.source, self._outline_lines, self.trials.ffmpeg
        segments, rate, stream = self.plan.segments, source.rate, source.stream
        if part == _REEL or lines is None:
            return find_reel(ffmpeg, source.video, stream, segments, rate), stream
        outline = find_outline(ffmpeg, source.video, stream, lines, rate)
        form = outline_stream(stream, lines)
        if part == _OUTLINE:
            return outline, form
        return find_reel(ffmpeg, outline, form, segments, rate), form

    def _recipe_of(self, part: str) -> EncodeRecipe:
        """Returns how a part is encoded: an outline of a lower rung is as much lower."""
        height, lines = self.trials.recipe.height, self._outline_lines
        if part == _REEL or height is None or lines is None:
            return self.trials.recipe
        height = 2 * max(round(height * lines / self.trials.source.stream.height / 2), 8)
        return dataclasses.replace(self.trials.recipe, height=height)

    @cached_property
    def _outline_lines(self) -> int | None:
        """Lines of the outline; None where segments are the whole, or chroma is measured."""
        if self.plan.share == 1 or self.trials.model.feature_set.planes > 1:
            return None
        return outline_lines(self.trials.source.stream, self.trials.source.n_frames)

    @property
    def _probe_cell(self) -> int:
        """Frames of segments of which one is measured."""
        is_long = self.plan.n_frames >= _LEAST_PROBED
        return _PROBED if is_long and self.trials.may_sample else 1

    def _known_settings(self, part: str) -> list[float]:
        """Returns the settings at which a part was encoded by this recipe, rising."""
        return sorted(float(entry.stem) for entry in self._folder(part).glob("*.parquet"))

    def _entry(self, part: str, setting: float) -> Path:
        return self._folder(part) / f"{setting:g}.parquet"

    def _folder(self, part: str) -> Path:
        """Returns where probes of a part are cached, by setting."""
        digest = self.trials.digest(
            part=part,
            encode=dataclasses.asdict(self._recipe_of(part)),
            segments=self.plan.segments,
            features=self.trials.model.feature_set.name,
            cell=self._probe_cell,
        )
        return cache_dir() / "probes" / digest


def _correct(
    full: Callable[[Sequence[int]], float],
    small: Callable[[Sequence[int]], float],
    outline: float,
    top: float,
) -> Callable[[Sequence[int]], float]:
    """Returns the score of segments as `full`, corrected by that of small ones to the whole's."""

    def score_some(chosen: Sequence[int]) -> float:
        apart = to_t(outline, top) - to_t(small(chosen), top)
        return float(from_t(to_t(full(chosen), top) + apart, top))

    return score_some


def _read_probe(entry: Path) -> FeatureTable:
    try:
        table = read_file(entry)
    except InputError as error:
        raise corrupted(entry) from error
    if "bytes" not in table.provenance:
        raise corrupted(entry)
    return table


def choose_segments(difficulty: Floats, rate: float) -> Segments:
    """Returns the segments that probes of a source are of; none of a short one."""
    plan = plan_segments(difficulty, rate)
    return () if plan is None else plan.segments
