"""A gate on scores: limits on them, and on drops from an earlier document of `score --json`.

A drop is between two encodes of one source, frame by frame. Its interval is a circular block
bootstrap: blocks of one second are drawn with replacement, the same ones from both encodes, and
each draw is pooled. If some seconds lose what others gain, the interval includes 0. The worst
second and the worst shot are one moment each, so their drops have no interval.
Source: Politis and Romano, "A circular block-resampling procedure for stationary data" (1992).
"""

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pydantic

from vmaf_jax.errors import GateError, InputError
from vmaf_jax.evaluation.clip_pooling import PERCENTILES, POOLS, WORST_SHOT, check_pool, pool_clip
from vmaf_jax.features.feature_set import HIGHEST
from vmaf_jax.files import check_json_keys, read_limited, write_bytes
from vmaf_jax.printable import format_count
from vmaf_jax.reporting.score_logs import Case, to_junit
from vmaf_jax.scoring.measured_pair import find_shots
from vmaf_jax.scoring.rank import Failure, Ranking
from vmaf_jax.scoring.scores import Scores

_MAX_BYTES = 256 << 20  # a document with ten million frames
Floats = npt.NDArray[np.float64]
LEVEL = 0.95
_DRAWS = 400  # ten of them beyond each end of the interval
_LEAST_BLOCKS = 4  # of a clip; shorter ones are cut into blocks of less than a second
_ROUNDING = 1e-3  # points, by which builds of libvmaf differ on the same pair
_RATE = 25.0  # frames per second, where files have none


# Points by pooling, one of `POOLS`; None is the clip's score, pooled as it is.
Limits = Mapping[str | None, float]


class Drop(NamedTuple):
    """How far a clip's score fell, VMAF points; below 0 where it rose.

    Attributes:
        points: Earlier score less the later one.
        low, high: Ends of its interval at `LEVEL`; both `points` where it has none.
    """

    points: float
    low: float
    high: float

    @classmethod
    def exactly(cls, points: float) -> "Drop":
        """Returns a drop without an interval."""
        return cls(points, points, points)

    def is_beyond(self, most: float) -> bool:
        """Tells whether it is more than `most` points, and certain to be a drop."""
        return self.points > most and self.low > _ROUNDING

    def widen(self, half_width: float) -> "Drop":
        """Returns the drop with an interval that is wider by `half_width` points at both ends."""
        return Drop(self.points, self.low - half_width, self.high + half_width)


@dataclasses.dataclass(frozen=True)
class Check:
    """A limit, and whether a clip's score is within it.

    Attributes:
        reference, distorted: Names of the files.
        pool: The pooling that the limit is of.
        score: By that pooling, VMAF points.
        limit: The least score; or, where there is a `drop`, the largest drop.
        baseline: The earlier score; None where the limit is of the score itself.
        drop: From it.
        passed: Whether the score is within the limit.
    """

    reference: str
    distorted: str
    pool: str
    score: float
    limit: float
    baseline: float | None
    drop: Drop | None
    passed: bool

    @property
    def requirement(self) -> str:
        """The limit in words."""
        if self.drop is None:
            return f"{self.pool} at least {self.limit:g}"
        return f"{self.pool} falls by at most {self.limit:g}"

    def __str__(self) -> str:
        if self.drop is None or self.baseline is None:
            relation = "not below" if self.passed else "below"
            return f"{self.pool} {self.score:.2f} is {relation} {self.limit:g}"
        points, low, high = self.drop
        if points <= 0:
            return f"{self.pool} {self.score:.2f} did not fall from {self.baseline:.2f}"
        sure = "" if low == high else f" (95 % interval {low:.2f} to {high:.2f})"
        text = f"{self.pool} fell by {points:.2f}{sure} from {self.baseline:.2f}"
        noise = ", which may be noise" if self.passed and points > self.limit else ""
        return f"{text}{noise}; at most {self.limit:g} is allowed"

    def to_dict(self) -> dict[str, object]:
        """Returns the check as JSON writes it."""
        drop = None if self.drop is None else self.drop._asdict()
        return {**dataclasses.asdict(self), "drop": drop}


class _Finite(pydantic.BaseModel):
    """Part of a document; NaN is refused, since no drop from it is beyond a limit."""

    model_config = pydantic.ConfigDict(allow_inf_nan=False)


class _Moment(_Finite):
    score: float


class _Interval(_Finite):
    low: float
    high: float


class _Measured(pydantic.BaseModel):
    """What of the two videos a document is of."""

    region: tuple[int, ...] | None = None
    start: int = 0

    def words(self) -> str:
        """Returns it as options of `score`, or that it is all."""
        region = None if self.region is None else f"--region {','.join(map(str, self.region))}"
        start = f"--start {self.start}f" if self.start else None
        return " ".join(filter(None, (region, start))) or "the whole videos"


class _Document(_Finite):
    """A document of `score --json`, as far as a baseline needs it."""

    model: str
    reference: str
    distorted: str
    score: float
    pooling: str
    statistics: dict[str, float]
    moments: dict[str, _Moment] = {}
    interval: _Interval | None = None
    frames: list[float] | int | None = None
    frames_measured: int | None = None
    frame_numbers: list[int] | None = None
    comparison: _Measured = _Measured()

    def pooled(self, pool: str) -> float | None:
        """Returns the score by a pooling, as far as the document has it."""
        if pool == self.pooling:
            return self.score
        if self.frames_measured not in (None, self.frames):
            return None  # of `--within`, whose statistics are of the frames measured alone
        if pool in self.moments:
            return self.moments[pool].score
        return self.statistics.get({"harmonic": "harmonic_mean"}.get(pool, pool))


class Gate:
    """Limits that scores are checked against.

    Args:
        fail_below: Least scores, such as `90` or `p5=75,worst-second=60`.
        baseline: An earlier document of `score --json`; with `--per-frame`, drops have intervals.
        max_drop: Largest drops from it, such as `0.5` or `mean=0.5,p5=1`.

    Raises:
        InputError: A limit is none, one of `baseline` and `max_drop` lacks the other, or the
            baseline is no such document.
    """

    def __init__(
        self,
        fail_below: str | None = None,
        baseline: Path | None = None,
        max_drop: str | None = None,
    ) -> None:
        if (baseline is None) != (max_drop is None):
            raise InputError("--baseline and --max-drop go together; give both, or neither.")
        self._least = {} if fail_below is None else parse_limits(fail_below, "--fail-below")
        self._drops = {} if max_drop is None else parse_limits(max_drop, "--max-drop")
        self._path = baseline
        self._documents = [] if baseline is None else _read_documents(baseline)

    @property
    def pools(self) -> list[str | None]:
        """The poolings that limits are of; None is the clip's score."""
        return list(dict.fromkeys([*self._least, *self._drops]))

    def check(self, scores: Scores, names: tuple[str, str] | None = None) -> list[Check]:
        """Checks the scores of a pair.

        Args:
            names: Of reference and distorted video in the checks; those of the files by default.

        Raises:
            InputError: A limit is above the model's highest score; the baseline is of another model
                or clip, or lacks the pooling; or as `Scores.pool`.
        """
        if (most := max(self._least.values(), default=0.0)) > scores.top:
            raise InputError(
                f"--fail-below {most:g}: scores of {scores.model} end at {scores.top:g}; lower it."
            )
        if WORST_SHOT in self.pools and scores.cuts is None:
            scores = dataclasses.replace(scores, cuts=find_shots(scores))
        checks = [self._check(scores, pool, least, None) for pool, least in self._least.items()]
        if self._drops:
            earlier = self._find(scores)
            checks += [
                self._check(scores, pool, most, earlier) for pool, most in self._drops.items()
            ]
        if names is None:
            return checks
        reference, distorted = names
        return [dataclasses.replace(c, reference=reference, distorted=distorted) for c in checks]

    def check_each(self, ranking: Ranking) -> tuple[list[Check], list[Failure]]:
        """Checks the scores of all videos of a ranking; returns what cannot be checked too."""
        checks, unchecked = [], []
        for scores, names in zip(ranking.ranked, ranking.names(), strict=True):
            try:
                checks += self.check(scores, names)
            except InputError as error:
                reference, distorted = map(str, scores.paths)
                unchecked.append(Failure(reference, distorted, str(error)))
        return checks, unchecked

    def _check(
        self, scores: Scores, named: str | None, points: float, earlier: _Document | None
    ) -> Check:
        reference, distorted = scores.paths
        pool = named or scores.pooling
        score = scores.pooled if named is None else scores.pool(named).score
        drop = None if earlier is None else self._drop(scores, score, pool, earlier)
        return Check(
            reference=reference.name,
            distorted=distorted.name,
            pool=pool,
            score=score,
            limit=points,
            baseline=None if drop is None else score + drop.points,
            drop=drop,
            passed=score >= points if drop is None else not drop.is_beyond(points),
        )

    def _drop(self, scores: Scores, score: float, pool: str, earlier: _Document) -> Drop:
        if isinstance(earlier.frames, list) and pool in POOLS and not scores.is_sample:
            frames = np.array(earlier.frames)
            if has_interval(pool):
                drop = paired_drop(frames, scores.per_frame, pool, scores.rate)
            else:
                before = pool_clip(frames, pool, rate=scores.rate, cuts=scores.cuts or ())
                drop = Drop.exactly(before.score - score)
        elif (known := earlier.pooled(pool)) is not None:
            drop = Drop.exactly(known - score)
        else:
            raise InputError(
                f"{self._path}: has no score by {pool}; make it again with --per-frame, or with "
                f"--pool {pool}."
            )
        if pool == scores.pooling == earlier.pooling:
            for interval in (earlier.interval, scores.interval):
                if interval is not None:
                    drop = drop.widen((interval.high - interval.low) / 2)
        return drop

    def _find(self, scores: Scores) -> _Document:
        """Returns the baseline's document of the same clip."""
        reference, distorted = scores.paths
        of_clip = [d for d in self._documents if _is_name_of(d.reference, reference)]
        if len(self._documents) > 1:
            of_clip = [d for d in of_clip if _is_name_of(d.distorted, distorted)]
        if len(of_clip) > 1:  # files of one name, which a ranking tells apart by their folders
            of_clip = [d for d in of_clip if _ends_with(reference, d.reference)]
            of_clip = [d for d in of_clip if _ends_with(distorted, d.distorted)]
        if len(of_clip) != 1:
            raise InputError(
                f"{self._path}: has {len(of_clip) or 'no'} scores of {distorted.name} against "
                f"{reference.name}; make the baseline of the same files."
            )
        (found,) = of_clip
        if found.model != scores.model:
            raise InputError(
                f"{self._path}: scored by {found.model}, not by {scores.model}; score both with "
                f"one model."
            )
        measured = _Measured.model_validate(scores.table.provenance["comparison"])
        if found.comparison != measured:
            raise InputError(
                f"{self._path}: of {found.comparison.words()}, these scores of "
                f"{measured.words()}; make the baseline of the same part."
            )
        count = found.frames if isinstance(found.frames, int) else found.statistics.get("frames")
        if count != (scores.frames or len(scores.per_frame)):
            raise InputError(
                f"{self._path}: of {format_count(count or 0, 'frame', 'g')}, the clip has "
                f"{scores.frames or len(scores.per_frame)}; make the baseline of the same frames."
            )
        if isinstance(found.frames, list) and not scores.is_sample:
            numbers = found.frame_numbers or range(len(found.frames))
            if list(numbers) != scores.table.index.tolist():
                raise InputError(
                    f"{self._path}: aligned otherwise, its scores are of other frames; make the "
                    f"baseline again."
                )
        return found


def gate_document(checks: Sequence[Check], unchecked: Sequence[Failure] = ()) -> dict[str, object]:
    """Returns checks as JSON writes them.

    Args:
        unchecked: Videos that have a score and could not be checked.
    """
    return {
        "passed": not unchecked and all(check.passed for check in checks),
        "checks": [check.to_dict() for check in checks],
        **({"unchecked": [dataclasses.asdict(f) for f in unchecked]} if unchecked else {}),
    }


def write_junit(path: Path, checks: Sequence[Check], failed: Sequence[Failure] = ()) -> None:
    """Writes checks as JUnit XML, a test case each.

    Args:
        failed: Videos that could not be scored, which are errors.
    """
    cases = [
        Case(
            group=check.reference,
            name=f"{check.distorted}: {check.requirement}",
            failure=None if check.passed else str(check),
        )
        for check in checks
    ]
    cases += [Case(f.reference, f.distorted, error=f.reason) for f in failed]
    write_bytes(path, to_junit("vmaf-jax score", cases))


def check_gate(checks: Sequence[Check]) -> None:
    """Raises GateError where a check has failed, with the first of them and their number."""
    missed = [check for check in checks if not check.passed]
    if missed:
        count = f" ({len(missed)} of {len(checks)} limits missed)" if len(checks) > 1 else ""
        raise GateError(f"{missed[0].distorted}: {missed[0]}{count}.")


def _is_name_of(name: str, path: Path) -> bool:
    """Tells whether a document's name, with or without folder and ending, is that of a file."""
    return name == path.stem or Path(name).name == path.name


def _ends_with(path: Path, name: str) -> bool:
    """Tells whether a document's name is the end of a file's path."""
    parts = Path(name).parts
    return path.absolute().parts[-len(parts) :] == parts


def _read_documents(path: Path) -> list[_Document]:
    content = read_limited(path, "BASELINE_BYTES", _MAX_BYTES)
    try:
        check_json_keys(content)
    except ValueError as error:
        raise InputError(f"{path}: {error}; make it again by `score --json`.") from error
    try:
        document = json.loads(content)
        ranked = document.get("ranked") if isinstance(document, dict) else None
        return [_Document.model_validate(d) for d in ([document] if ranked is None else ranked)]
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no document of `score --json`; make it again.") from error


def parse_limits(text: str, flag: str) -> Limits:
    """Parses limits such as `90` or `p5=75,worst-second=60`; a lone number is of the clip's score.

    Raises:
        InputError: A limit is no number from 0 to 110, is of an unknown pooling, or is there twice;
            the message begins with `flag`.
    """
    limits: dict[str | None, float] = {}
    for part in text.split(","):
        name, equals, number = part.strip().rpartition("=")
        if equals:
            check_pool(name, flag)
        try:
            points = float(number)
        except ValueError:
            points = math.nan
        if not 0 <= points <= HIGHEST:
            raise InputError(
                f"{flag} {text}: {part.strip()!r} is no limit; write points from 0 to 100, as 90, "
                f"or with a pooling, as p5=75,worst-second=60."
            )
        if (pool := name if equals else None) in limits:
            raise InputError(f"{flag} {text}: has two limits of one pooling; drop one of them.")
        limits[pool] = points
    return limits


def paired_drop(earlier: Floats, later: Floats, pool: str, rate: float | None) -> Drop:
    """Computes how far the score of the same frames fell, with an interval.

    Args:
        earlier, later: Scores of the clip's frames, `[frames]` each, VMAF points.
        pool: One of `POOLS`, but not a moment.
        rate: Frames per second; None where it is unknown.
    """
    n = len(earlier)
    points = pool_clip(earlier, pool).score - pool_clip(later, pool).score
    length = max(1, min(round(rate or _RATE), n // _LEAST_BLOCKS))
    rng = np.random.default_rng(0)
    drops = np.empty(_DRAWS)
    for k in range(_DRAWS):
        starts = rng.integers(n, size=math.ceil(n / length))
        drawn = ((starts[:, None] + np.arange(length)) % n).ravel()[:n]
        drops[k] = pool_clip(earlier[drawn], pool).score - pool_clip(later[drawn], pool).score
    low, high = np.quantile(drops, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Drop(points, float(low), float(high))


def has_interval(pool: str) -> bool:
    """Tells whether drops by a pooling have an interval: those of moments have none."""
    return pool in ("mean", "harmonic", *PERCENTILES)
