"""The job `ladder`: scored encodes to rate-quality curves, BD-rate and the convex hull."""

import dataclasses
from collections.abc import Iterable, Sequence, Sized
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.encodes import Encode, group_encodes, read_encodes
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.intervals import MIN_CLIPS, bootstrap_mean
from vmaf_jax.evaluation.rate_quality import (
    METHODS,
    Curve,
    NotComparableError,
    RateDifference,
    make_curve,
    rate_difference,
    upper_hull,
)
from vmaf_jax.files import to_csv

MAX_PANELS = 24  # contents of one plot
MIN_OVERLAP = 0.75  # less is pointed out: the mean is of few of the scores


@dataclasses.dataclass(frozen=True)
class Rung:
    """An encode and its place on convex hulls.

    Attributes:
        on_hull: Whether it is on the hull of all encodes of its content.
        on_codec_hull: Whether it is on the hull of its own codec's.
    """

    encode: Encode
    on_hull: bool
    on_codec_hull: bool


@dataclasses.dataclass(frozen=True)
class LeftOut:
    """Encodes without a curve, or two codecs without a comparison.

    Attributes:
        content: None where it is a codec as a whole.
        codec: The codec, or the two.
        reason: The reason, and what would fix it.
    """

    content: str | None
    codec: str
    reason: str

    def __str__(self) -> str:
        of = "" if self.content is None else f"{self.content!r} by "
        return f"left out: {of}{self.codec} {self.reason}"


@dataclasses.dataclass(frozen=True)
class BdRate:
    """BD-rate of a codec against the anchor.

    Attributes:
        codec: The codec whose rate is compared.
        contents: The difference on every content that both have a curve of, by its name.
        mean: By method, the mean over contents, a fraction of the anchor's rate.
        intervals: Of those means, at the ladder's level; None with fewer than `MIN_CLIPS` contents.
    """

    codec: str
    contents: dict[str, RateDifference]
    mean: dict[str, float]
    intervals: dict[str, tuple[float, float] | None]


@dataclasses.dataclass(frozen=True)
class Ladder:
    """Rate-quality curves of scored encodes, and how codecs compare.

    Attributes:
        anchor: The codec that others are compared with.
        level: Of the intervals.
        hull: Whether curves go through each codec's hull rather than through all its encodes.
        rungs: All encodes, by content, then by rate.
        curves: By content and codec.
        bd_rates: Of every codec but the anchor that shares a content with it.
        left_out: Curves of too few points, and pairs of codecs that share no score.
    """

    anchor: str
    level: float
    hull: bool
    rungs: tuple[Rung, ...]
    curves: dict[str, dict[str, Curve]]
    bd_rates: tuple[BdRate, ...]
    left_out: tuple[LeftOut, ...]

    def hulls(self) -> dict[str, list[Encode]]:
        """Returns the encodes on each content's convex hull, by content, then by rate."""
        hulls: dict[str, list[Encode]] = {name: [] for name in self.curves}
        for rung in self.rungs:
            if rung.on_hull:
                hulls[rung.encode.content].append(rung.encode)
        return hulls

    def to_dict(self) -> dict[str, object]:
        """Returns the result as JSON writes it; BD-rates in percent."""
        return {
            "anchor": self.anchor,
            "level": self.level,
            "curves_through": "hull" if self.hull else "all encodes",
            "bd_rate": [_bd_rate_to_dict(entry) for entry in self.bd_rates],
            "left_out": [dataclasses.asdict(entry) for entry in self.left_out],
            "rungs": [
                {
                    **dataclasses.asdict(rung.encode),
                    "on_hull": rung.on_hull,
                    "on_codec_hull": rung.on_codec_hull,
                }
                for rung in self.rungs
            ],
        }


def ladder(
    path: Path,
    *,
    anchor: str | None = None,
    level: float = 0.95,
    hull: bool | None = None,
    allow_crossing: bool = False,
    content: str | None = None,
) -> Ladder:
    """Computes curves, BD-rates and hulls of the encodes that a file lists.

    Args:
        path: CSV, JSON, JSON Lines or Parquet; the columns are in `corpora.encodes`.
        anchor: The codec that others are compared with, by default the first listed that has a
            curve.
        level: Of the intervals over contents, in (0, 1).
        hull: Curves through each codec's convex hull; by default where a codec encodes one content
            at several resolutions.
        allow_crossing: Compare curves that cross, whose BD-rate depends on the range of scores.
        content: Name of the only content to look at.

    Raises:
        InputError: As `read_encodes`; or the level is outside (0, 1), a curve does not rise, curves
            cross, an anchor or content is not listed, no curve (of the anchor) has enough points,
            or no two codecs share a content and a score.
    """
    if not 0 < level < 1:
        raise InputError(f"--level {level:g}: expected more than 0 and less than 1, such as 0.95.")
    encodes = read_encodes(path)
    if content is not None:
        encodes = [encode for encode in encodes if encode.content == content]
        if not encodes:
            raise InputError(f"--content {content}: {path} lists no encode of it; check the name.")
    codecs = list(dict.fromkeys(encode.codec for encode in encodes))
    if anchor is not None and anchor not in codecs:
        raise InputError(f"--anchor {anchor}: {path} has {', '.join(codecs)[:200]}; name one.")
    # Encodes of several resolutions are no one curve; a ladder is made of those on their hull.
    groups = group_encodes(encodes)
    through_hull = _has_several_heights(groups) if hull is None else hull
    left_out: list[LeftOut] = []
    curves = _fit_curves(groups, path, through_hull, left_out)
    with_curve = [codec for codec in codecs if any(codec in found for found in curves.values())]
    if not with_curve:
        raise InputError(f"{path}: no curve can be made; {left_out[0]}.")
    chosen = with_curve[0] if anchor is None else anchor
    if chosen not in with_curve:
        reason = next(entry for entry in left_out if entry.codec == chosen)
        raise InputError(f"--anchor {chosen}: has no curve in {path}; {reason}.")
    others = [codec for codec in with_curve if codec != chosen]  # in the order of the file
    rates = [
        _compare_codecs(curves, chosen, c, path, level, allow_crossing, left_out) for c in others
    ]
    bd_rates = tuple(rate for rate in rates if rate is not None)
    if others and not bd_rates:
        raise InputError(f"{path}: nothing can be compared with {chosen}; {left_out[-1]}.")
    rungs = tuple(rung for by_codec in groups.values() for rung in _rungs(by_codec))
    return Ladder(chosen, level, through_hull, rungs, curves, bd_rates, tuple(left_out))


def _fit_curves(
    groups: dict[str, dict[str, list[Encode]]], path: Path, hull: bool, left_out: list[LeftOut]
) -> dict[str, dict[str, Curve]]:
    """Returns the curve of each content and codec; adds those of too few points to `left_out`."""
    curves: dict[str, dict[str, Curve]] = {}
    for name, by_codec in groups.items():
        curves[name] = {}
        for codec, group in by_codec.items():
            through = " on its convex hull" if hull else ""
            try:
                curves[name][codec] = make_curve(_rates(group), _scores(group), hull=hull)
            except NotComparableError as error:
                left_out.append(LeftOut(name, codec, str(error).replace(";", f"{through};", 1)))
            except ValueError as error:
                raise InputError(f"{path}: {name!r} by {codec}{through} {error}.") from error
    return curves


def _has_several_heights(groups: dict[str, dict[str, list[Encode]]]) -> bool:
    ladders = (ladder for by_codec in groups.values() for ladder in by_codec.values())
    return any(len({encode.height for encode in ladder}) > 1 for ladder in ladders)


def _rates(encodes: Sequence[Encode]) -> npt.NDArray[np.float64]:
    return np.array([encode.kbps for encode in encodes], np.float64)


def _scores(encodes: Sequence[Encode]) -> npt.NDArray[np.float64]:
    return np.array([encode.score for encode in encodes], np.float64)


def _compare_codecs(
    curves: dict[str, dict[str, Curve]],
    anchor: str,
    codec: str,
    path: Path,
    level: float,
    allow_crossing: bool,
    left_out: list[LeftOut],
) -> BdRate | None:
    """Compares a codec with the anchor; None, and a reason in `left_out`, without shared scores."""
    contents = {}
    n_left_out = len(left_out)
    for name, by_codec in curves.items():
        if anchor not in by_codec or codec not in by_codec:
            continue
        try:
            difference = rate_difference(by_codec[anchor], by_codec[codec])
        except NotComparableError as error:
            left_out.append(LeftOut(name, f"{codec} and {anchor}", str(error)))
            continue
        if difference.crossings and not allow_crossing:
            raise InputError(
                f"{path}: {name!r}: the curves of {codec} and {anchor} cross at score "
                f"{difference.crossings[0]:.1f}, so one number hides which is better where; pass "
                f"--allow-crossing to compare them all the same, and --plot FILE.png to see where."
            )
        contents[name] = difference
    if not contents and len(left_out) == n_left_out:
        reason = f"and {anchor} have no content in common with curves to compare; add encodes"
        left_out.append(LeftOut(None, codec, reason))
    if not contents:
        return None
    values = {m: np.array([entry.bd_rate[m] for entry in contents.values()]) for m in METHODS}
    return BdRate(
        codec,
        contents,
        {method: float(rates.mean()) for method, rates in values.items()},
        {method: bootstrap_mean(rates, level) for method, rates in values.items()},
    )


def _rungs(by_codec: dict[str, list[Encode]]) -> list[Rung]:
    encodes = [encode for group in by_codec.values() for encode in group]
    overall = set(upper_hull(_rates(encodes), _scores(encodes)).tolist())
    own = {  # by identity: two encodes may have the same rate and score
        id(group[k])
        for group in by_codec.values()
        for k in upper_hull(_rates(group), _scores(group)).tolist()
    }
    rungs = [Rung(encode, k in overall, id(encode) in own) for k, encode in enumerate(encodes)]
    return sorted(rungs, key=lambda rung: rung.encode.kbps)


def _bd_rate_to_dict(entry: BdRate) -> dict[str, object]:
    return {
        "codec": entry.codec,
        "contents": len(entry.contents),
        **{method: 100 * value for method, value in entry.mean.items()},
        "intervals": {
            method: None if pair is None else [100 * pair[0], 100 * pair[1]]
            for method, pair in entry.intervals.items()
        },
        "interval_needs_contents": MIN_CLIPS,
        "by_content": {
            name: {
                **{method: 100 * value for method, value in difference.bd_rate.items()},
                "scores": [difference.low, difference.high],
                "overlap": difference.overlap,
                "crossings": list(difference.crossings),
            }
            for name, difference in entry.contents.items()
        },
    }


def rungs_csv(rungs: Iterable[Rung]) -> bytes:
    """Returns CSV of encodes with whether each is on the content's hull and on its codec's."""
    header = ["content", "codec", "height", "kbps", "score", "on_hull", "on_codec_hull"]
    rows = []
    for rung in rungs:
        encode = rung.encode
        # repr: the shortest digits that read back as the same number.
        cells = [encode.content, encode.codec, encode.height, repr(encode.kbps), repr(encode.score)]
        rows.append([*cells, int(rung.on_hull), int(rung.on_codec_hull)])
    return to_csv(header, rows).encode()


def check_panels(contents: Sized) -> None:
    """Raises InputError where there are more contents than a plot has panels."""
    if len(contents) > MAX_PANELS:
        raise InputError(
            f"--plot: {len(contents)} contents, at most {MAX_PANELS} in a plot; choose one with "
            f"--content."
        )
