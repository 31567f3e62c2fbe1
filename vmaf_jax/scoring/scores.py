"""Scores of a clip, and their forms: JSON, text, tables, a plot, a log, a notebook's HTML."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import (
    PERCENTILES,
    WORST_SECOND,
    WORST_SHOT,
    Numbers,
    PooledScore,
    pool_clip,
)
from vmaf_jax.extraction.request import METRICS
from vmaf_jax.files import write_bytes
from vmaf_jax.printable import format_count, format_time
from vmaf_jax.scoring.intervals import SAMPLING, describe_interval, format_interval
from vmaf_jax.scoring.model import CALIBRATED
from vmaf_jax.tables.table import FeatureTable, LabelScale, from_hundred, to_pandas
from vmaf_jax.video.comparison import Comparison
from vmaf_jax.video.inputs import Video

if TYPE_CHECKING:
    import pyarrow as pa

    from vmaf_jax.evaluation.conformal import ScoreInterval
    from vmaf_jax.evaluation.explanation import Explanation
    from vmaf_jax.video.alignment import Alignment

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class ComparedPair:
    """The two videos of a score, and how they were compared."""

    reference: Video
    distorted: Video
    comparison: Comparison


class Place(NamedTuple):
    """Where a compared frame lies in one of the two videos.

    Attributes:
        frame: Its number there, from 0; of the common rate where frames were paired by time.
        seconds, end: When it begins and ends, by the video's rate; None without one.
    """

    frame: int
    seconds: float | None
    end: float | None


@dataclasses.dataclass(frozen=True)
class WorstRegion:
    """The part of a frame whose error departs most from the rest of its frame.

    Attributes:
        frame: Its number, as in the table.
        time: When that frame begins in the reference, seconds; None where it has no rate.
        box: Left, top, width and height, pixels of the reference; as `--region` takes them.
        score: Of the model, for this part of this frame, VMAF points; None where the model takes no
            pictures so small.
        frame_score: Of the whole frame.
        stands_out: Whether the error is visible, and a multiple of what the frame has elsewhere.
    """

    frame: int
    time: float | None
    box: tuple[int, int, int, int]
    score: float | None
    frame_score: float
    stands_out: bool

    @property
    def region(self) -> str:
        """The box as `--region` takes it."""
        return ",".join(map(str, self.box))

    def score_text(self) -> str:
        """Returns the box with its score, and the frame's, in words."""
        if self.score is None:
            return f"{self.region}, in a frame of {self.frame_score:.2f}"
        return f"{self.region} scores {self.score:.2f}, the frame {self.frame_score:.2f}"

    def cell(self) -> str:
        """Returns the region for a table: its score, box and time, or that none stands out."""
        if not self.stands_out:
            return "none stands out"
        points = "" if self.score is None else f"{self.score:.3f} at "
        when = f"frame {self.frame}" if self.time is None else format_time(self.time)
        return f"{points}{self.region}, {when}"

    def sentence(self) -> str:
        """Returns the region in words."""
        when = f"frame {self.frame}"
        if self.time is not None:
            when += f" at {format_time(self.time)}"
        if not self.stands_out:
            return f"no region stands out; {self.region} of {when} departs most"
        scores = f"is in a frame of {self.frame_score:.2f}"
        if self.score is not None:
            scores = f"scores {self.score:.2f}, the frame {self.frame_score:.2f}"
        return f"worst region: {self.region} of {when} {scores}; it stands out, look at it"


@dataclasses.dataclass(frozen=True)
class Scores:
    """A model's scores of a clip's frames, and of the clip.

    Attributes:
        model: The model's name.
        kind: `run` (JAX), `onnx`, `libvmaf` or `calibrated`.
        per_frame: float64 `[frames]`, VMAF points, 0 to `top`.
        table: The features (and the teachers' scores) that the scores were computed from.
        seconds: Of `extraction` (the model loads meanwhile) and of `inference`.
        pooled: The clip's score, VMAF points: by the model's own pooling, or by the one requested.
        pooling: That pooling's name.
        label_scale: The worst and the best vote behind 0 and 100, of a model of votes.
        top: The model's highest score.
        label: What the model was trained on: the name of a teacher, or `mos`; None if unknown.
        interval: Of the clip's score, where one was requested.
        inside_training_region: Whether the clip is like those that the model was trained on; None
            where its files do not say.
        frames: Frames of the clip, where only some were measured. `per_frame` and `table` are of
            those, `pooled` is an estimate for all.
        choice: Why this model was taken, in a sentence, where `auto` or `phone` stood for it.
        pair: The two videos, where they can be read again.
        cuts: First frames of new shots, where they were looked for.
        explanation: What each feature takes from the scores, with `--explain`; else None.
        worst_region: The region that departs most from its frame, with `--worst-region`; else None.
    """

    model: str
    kind: str
    per_frame: Floats
    table: FeatureTable
    seconds: dict[str, float]
    pooled: float
    pooling: str = "mean"
    label_scale: LabelScale | None = None
    label: str | None = None
    top: float = 100.0
    interval: "ScoreInterval | None" = None
    inside_training_region: bool | None = None
    frames: int | None = None
    choice: str | None = None
    pair: ComparedPair | None = None
    cuts: tuple[int, ...] | None = None
    explanation: "Explanation | None" = None
    worst_region: WorstRegion | None = None

    def __repr__(self) -> str:
        frames = len(self.per_frame)
        lines = [
            f"Scores({self.paths[1].name!r} against {self.paths[0].name!r}",
            f"  {self.model}: {self.pooled:.3f}, {format_count(frames, 'frame')} pooled by "
            f"{self.pooling}, {np.min(self.per_frame):.3f} to {np.max(self.per_frame):.3f}",
        ]
        lines += [f"  {line}" for line in self.interval_lines()]
        return "\n".join(lines) + ")"

    @property
    def mean(self) -> float:
        """The mean over frames, VMAF points."""
        return float(np.mean(self.per_frame))

    @property
    def mos(self) -> float | None:
        """The clip's score on the scale that people voted on; None for a model of no votes."""
        if self.label_scale is None:
            return None
        return float(from_hundred(np.array([self.pooled]), self.label_scale)[0])

    @property
    def paths(self) -> tuple[Path, Path]:
        """The reference and the distorted video; of arrays, names that stand for them."""
        if self.pair is None:
            return Path(str(self.table.source[0])), Path(str(self.table.clip[0]))
        return self.pair.reference.path, self.pair.distorted.path

    @property
    def size(self) -> int | None:
        """Bytes of the distorted file; None where there is no file any more."""
        try:
            return None if self.pair is None else self.pair.distorted.path.stat().st_size
        except OSError:
            return None

    @property
    def rate(self) -> float | None:
        """Frames per second at which frames are paired; None where neither file has a rate."""
        comparison = self.table.provenance["comparison"]
        stated = None if self.pair is None else self.pair.reference.fps
        rates = (stated, comparison["reference"]["rate"], comparison["distorted"]["rate"])
        return next((float(rate) for rate in rates if rate), None)

    @property
    def is_sample(self) -> bool:
        """Whether frames between those measured were left out."""
        return self.frames is not None and len(self.per_frame) < self.frames

    def pool(self, pool: str) -> PooledScore:
        """Returns the clip's score by a pooling of `evaluation.clip_pooling.POOLS`.

        Raises:
            InputError: It is unknown, or needs a frame rate, shots or all frames, which these
                scores have not.
        """
        if pool == WORST_SHOT and self.cuts is None:
            raise InputError(f"shots were not looked for; score with pool={WORST_SHOT!r}.")
        if self.is_sample and pool != "mean":
            raise InputError(f"--pool {pool}: takes all frames; drop --within.")
        return pool_clip(
            self.per_frame, pool, rate=self.rate, cuts=self.cuts or (), numbers=self.table.index
        )

    def moments(self) -> dict[str, PooledScore]:
        """Returns the worst second, and the worst shot where shots were looked for, by pooling.

        Their frames are numbered as in the table.
        """
        known = {WORST_SECOND: self.rate is not None, WORST_SHOT: self.cuts is not None}
        if self.is_sample:
            return {}
        rows = {name: self.pool(name) for name, is_known in known.items() if is_known}
        numbers = self.table.index  # which leave frames out where the two were aligned
        return {
            name: PooledScore(m.score, int(numbers[m.first]), int(numbers[m.last]))
            for name, m in rows.items()
        }

    def seconds_at(self, frame: int) -> float | None:
        """Returns when a frame begins in the reference, seconds; None where it has no rate.

        Args:
            frame: Its number in the table.
        """
        return self.places(frame)[0].seconds

    @functools.cached_property
    def _alignment(self) -> "Alignment | None":
        comparison = self.table.provenance["comparison"]
        if (entry := comparison.get("alignment")) is None:
            return None
        from vmaf_jax.video.alignment import Alignment

        return Alignment.from_description(entry).part(comparison["start"], comparison["limit"])

    def places(self, frame: int) -> tuple[Place, Place]:
        """Returns where a compared frame lies in the reference and in the distorted video.

        Args:
            frame: Its number in the table.
        """
        comparison = self.table.provenance["comparison"]
        if self._alignment is None:
            start, offset = comparison["start"], comparison["offset"]
            numbers = (frame + start + max(-offset, 0), frame + start + max(offset, 0))
        else:
            own = frame + self._alignment.first[0]
            numbers = (own, self._alignment.partner(own))
        rates = [self.rate, self.rate]
        if comparison["pairing"] != "time stamps":
            stated = None if self.pair is None else self.pair.distorted.fps
            rates[1] = stated or comparison["distorted"]["rate"] or self.rate
        reference, distorted = (
            Place(k, None, None) if rate is None else Place(k, k / rate, (k + 1) / rate)
            for k, rate in zip(numbers, rates, strict=True)
        )
        return reference, distorted

    def frame_name(self, frame: int) -> str:
        """Names a frame, with its numbers in the two videos where these are others."""
        numbers = [place.frame for place in self.places(frame)]
        if numbers == [frame, frame]:
            return f"frame {frame}"
        return f"frame {frame} (the reference's {numbers[0]}, the distorted video's {numbers[1]})"

    @property
    def region_text(self) -> str:
        """The part of the picture that was measured, in words; "" for the whole."""
        region = self.table.provenance["comparison"].get("region")
        return "the region {},{},{},{} (x, y, width, height)".format(*region) if region else ""

    @property
    def bitrate(self) -> float | None:
        """Size of the distorted file, sound included, over its duration, kbit/s; None if unknown.

        Where frames were left out (`--frames`) the duration is not known.
        """
        comparison = self.table.provenance["comparison"]
        rate = comparison["distorted"]["rate"]
        if self.pair is not None and self.pair.distorted.fps:
            rate = self.pair.distorted.fps
        if self.size is None or not rate or comparison["limit"] is not None:
            return None
        return self.size * 8 * rate / comparison["decoded"][1] / 1000

    def all_statistics(self) -> dict[str, dict[str, float]]:
        """Returns statistics of the model's scores and of each teacher's, by name."""
        return {self.model: self.statistics(), **self._teacher_statistics()}

    def statistics(self) -> dict[str, float]:
        """Returns statistics of the model's scores over frames, VMAF points."""
        return statistics(self.per_frame, None if self.is_sample else self.rate, self.table.index)

    def extra_metric_statistics(self) -> dict[str, dict[str, float]]:
        """Returns mean, deviation, median, minimum and maximum of the other metrics, by name."""
        return {n: _metric_statistics(v) for n, v in self.table.labels.items() if n in METRICS}

    def _teacher_statistics(self) -> dict[str, dict[str, float]]:
        rate, labels = None if self.is_sample else self.rate, self.table.labels
        numbers = self.table.index
        return {n: statistics(v, rate, numbers) for n, v in labels.items() if n not in METRICS}

    def to_dict(self, *, per_frame: bool = False) -> dict[str, object]:
        """Returns the result as JSON writes it."""
        document: dict[str, object] = {"model": self.model, "kind": self.kind}
        if self.choice is not None:
            document["model_choice"] = self.choice
        document |= {
            "backend": self.table.provenance["backend"],
            "reference": self.paths[0].name,
            "distorted": self.paths[1].name,
            "score": self.pooled,
            "pooling": self.pooling,
        }
        if self.label_scale is not None:
            document |= {"mos": self.mos, "label_scale": self.label_scale}
        document["statistics"] = self.statistics()
        if moments := self.moments():
            document["moments"] = {n: self.describe_moment(m) for n, m in moments.items()}
        document["teachers"] = self._teacher_statistics()
        if extra := self.extra_metric_statistics():
            document["extra_metrics"] = extra
        document |= {
            "seconds": self.seconds,
            "comparison": self.table.provenance["comparison"],
            "inside_training_region": self.inside_training_region,
        }
        if self.interval is not None:
            trained_on = {} if self.interval.kind == SAMPLING else {"of": self.label}
            document["interval"] = dataclasses.asdict(self.interval) | trained_on
        if self.explanation is not None:
            document["explanation"] = self._describe_explanation(self.explanation)
        if self.worst_region is not None:
            document["worst_region"] = dataclasses.asdict(self.worst_region)
        if self.frames is not None:
            document |= {"frames_measured": len(self.per_frame), "frames": self.frames}
        elif per_frame:
            document["frames"] = self.per_frame.tolist()
            if self._alignment is not None:  # some have no score
                document["frame_numbers"] = self.table.index.tolist()
        return document

    def describe_moment(self, moment: PooledScore) -> dict[str, object]:
        """Returns a moment as JSON writes it; seconds are the reference's."""
        (begins, own_begins), (ends, own_ends) = map(self.places, (moment.first, moment.last))
        return {
            "score": moment.score,
            "first_frame": moment.first,
            "last_frame": moment.last,
            "from_s": begins.seconds,
            "to_s": ends.end,
            "reference_frames": [begins.frame, ends.frame],
            "distorted_frames": [own_begins.frame, own_ends.frame],
            "distorted_from_s": own_begins.seconds,
            "distorted_to_s": own_ends.end,
        }

    def worst_text(self) -> str:
        """Returns when the worst second is, for a table: " at 3.21 s"; "" where it is unknown."""
        if (moment := self.moments().get(WORST_SECOND)) is None:
            return ""
        seconds = self.seconds_at(moment.first)
        return "" if seconds is None else f" at {format_time(seconds)}"

    def summary_lines(self) -> list[str]:
        """Returns lines below a table of statistics: pooled score, form of VMAF v1, interval."""
        lines = [f"only {self.region_text} was measured"] if self.region_text else []
        lines += [*self._pooled_lines(), *self.v1_lines(), *self.interval_lines()]
        if self.explanation is not None:
            lowest = int(np.argmin(self.per_frame))
            lines.append(f"why: {self.explanation.mean().words()}")
            words = self.explanation.mean(lowest).words()
            lines.append(f"why {self.frame_name(int(self.table.index[lowest]))}: {words}")
        if self.worst_region is not None:
            lines.append(self.worst_region.sentence())
        return lines

    def _describe_explanation(self, explanation: "Explanation") -> dict[str, object]:
        """Returns why the mean over frames and the lowest frame are below the identical pair's."""
        lowest = int(np.argmin(self.per_frame))
        number, score = int(self.table.index[lowest]), float(self.per_frame[lowest])
        places = self.places(number)
        return {
            **explanation.describe(),
            "lowest_frame": {
                "frame": number,
                "reference_frame": places[0].frame,
                "distorted_frame": places[1].frame,
                "score": score,
                **explanation.describe(lowest),
            },
        }

    def _pooled_lines(self) -> list[str]:
        """Returns the clip's score in words, where it is more than the mean over frames."""
        if self.label_scale is None and self.pooling == "mean":
            return []
        line = f"{self.model}: {self.pooled:.2f} of {self.top:g}, {self.how_pooled}"
        if self.pooling in (moments := self.moments()):
            moment = moments[self.pooling]
            line += f", frames {moment.first} to {moment.last}"
            if (seconds := self.seconds_at(moment.first)) is not None:
                line += f", from {format_time(seconds)}"
        return [line + self.vote_words]

    @property
    def how_pooled(self) -> str:
        """How the clip's score comes about, in words."""
        return "by votes" if self.kind == CALIBRATED else f"pooled by {self.pooling}"

    @property
    def vote_words(self) -> str:
        """The score as a vote, in words that continue a line; "" where the model predicts none."""
        if self.label_scale is None:
            return ""
        low, high = self.label_scale
        return f"; a vote of {self.mos:.2f} on {low:g} to {high:g}"

    def v1_lines(self) -> list[str]:
        """Returns in which form VMAF v1 was measured; nothing for other models."""
        comparison = self.table.provenance["comparison"]
        if "v1_bits" not in comparison:
            return []
        line = f"VMAF v1: measured at {comparison['v1_bits']} bits, as Netflix recommends"
        if (encode := comparison["v1_encode"]) is not None:
            width, height, bits = encode
            line += f"; banding (CAMBI) at the encode's {width}x{height} and {bits} bits"
        return [line]

    def interval_lines(self) -> list[str]:
        """Returns how many frames were measured, the interval and the training region, in words.

        A line each, without what was not requested and what is as usual.
        """
        lines = []
        if self.frames is not None:
            line = f"{self.pooled:.2f}: the mean of {self.frames} frames, "
            n = len(self.per_frame)
            line += (
                "of which none was left out"
                if n == self.frames
                else f"from {n} of them (the table is of these)"
            )
            lines.append(line)
        if self.interval is not None and self.interval.low < self.interval.high:
            lines.append(describe_interval(self.interval, self.label_scale, self.label))
        if self.other_title is not None:
            lines.append(self.other_title)
        elif self.inside_training_region is False:
            lines.append("outside the training region: unlike the clips that the model learnt from")
        return lines

    @property
    def other_title(self) -> str | None:
        """A warning where a model that votes calibrated scores a title that it does not know."""
        if self.kind != CALIBRATED or self.inside_training_region:
            return None
        return (
            f"warning: of no title that {self.model} has votes on (the reference's motion is none "
            f"of theirs); the score is drawn from votes on other titles"
        )

    @property
    def interval_text(self) -> str:
        """The interval and the training region for a cell of a table."""
        return format_interval(self.interval, self.inside_training_region)

    def frame_lines(self) -> list[str]:
        """Returns a line a frame: number, tab, score."""
        pairs = zip(self.table.index, self.per_frame, strict=True)
        return [f"{index}\t{value:.6f}" for index, value in pairs]

    def to_arrow(self) -> "pa.Table":
        """Returns a row a frame: `frame`, `score`, the features and each teacher's score."""
        import pyarrow as pa

        columns = {"frame": self.table.index, "score": self.per_frame}
        columns |= dict(zip(self.table.feature_set, self.table.features.T, strict=True))
        return pa.table({**columns, **self.table.labels})

    def to_pandas(self) -> Any:
        """Returns `to_arrow()` as a pandas data frame.

        Raises:
            InputError: pandas is not installed.
        """
        return to_pandas(self.to_arrow())

    def _repr_html_(self) -> str:
        from vmaf_jax.reporting.notebook import clip_html

        title = self.paths[1].name
        return clip_html(
            title,
            self.all_statistics(),
            self.per_frame,
            self.interval_lines(),
            self.table.index,
        )

    def plot(self) -> bytes:
        """Draws the scores over the frames, PNG."""
        from vmaf_jax.reporting.plots import plot_scores

        title = self.paths[1].name
        band = None if self.interval is None else (self.interval.low, self.interval.high)
        scores = {self.model: self.per_frame, **self.table.labels}
        return plot_scores(scores, title, self.table.index, band)

    def write_plot(self, path: Path) -> None:
        """Writes the scores over the frames, PNG."""
        write_bytes(path, self.plot())

    def write_log(self, path: Path) -> None:
        """Writes a log laid out as libvmaf's, `.xml` or else JSON."""
        from vmaf_jax.reporting import score_logs

        keys = self.table.feature_set.libvmaf_keys
        columns = dict(zip(keys, self.table.features.T, strict=True))
        # A model that is given no name is `vmaf` in libvmaf's logs, and readers look for that.
        columns["vmaf"] = self.per_frame
        for name, values in self.table.labels.items():
            columns[METRICS[name].key if name in METRICS else name] = values
        columns[self.model] = self.per_frame
        pooled = {"vmaf": self.statistics(), **self.all_statistics()}
        write = score_logs.to_xml if path.suffix == ".xml" else score_logs.to_json
        version = str(self.table.provenance.get("backend_version", "unknown"))
        region = None if self.worst_region is None else dataclasses.asdict(self.worst_region)
        log = write(columns, version, pooled, self.table.index, region)
        write_bytes(path, log.encode())

    def write_csv(self, path: Path) -> None:
        """Writes one row a frame: `frame`, `score`, the features and each teacher's score."""
        import pyarrow as pa
        from pyarrow import csv

        sink = pa.BufferOutputStream()
        csv.write_csv(self.to_arrow(), sink)
        write_bytes(path, sink.getvalue().to_pybytes())


def statistics(
    per_frame: Floats, rate: float | None = None, numbers: Numbers | None = None
) -> dict[str, float]:
    """Computes means, minimum, percentiles and the worst second of a clip's frames, VMAF points.

    Args:
        rate: Frames per second; without one there is no worst second.
        numbers: Of the frames, where some have no score.
    """
    figures = {
        "mean": pool_clip(per_frame, "mean").score,
        "harmonic_mean": pool_clip(per_frame, "harmonic").score,
        "min": float(np.min(per_frame)),
        **{name: pool_clip(per_frame, name).score for name in PERCENTILES},
        "frames": len(per_frame),
    }
    if rate is not None:
        figures["worst_second"] = pool_clip(
            per_frame, WORST_SECOND, rate=rate, numbers=numbers
        ).score
    return figures


def _metric_statistics(values: Floats) -> dict[str, float]:
    """Computes how a metric's frames are spread, in its own unit.

    PSNR and PSNR-HVS are infinite where two pictures are equal; then so is the mean, there is no
    deviation, and `infinite` counts the frames.
    """
    infinite = int(np.isinf(values).sum())
    figures = {
        "mean": float(np.mean(values)),
        "std": float("nan") if infinite else float(np.std(values)),
        "median": float(np.median(values)),
        "min": float(np.min(values)),
        "max": float(np.max(values)),
    }
    return figures | {"infinite": infinite} if infinite else figures
