"""The page of a clip: quality over time, pairs of frames to compare, the worst frames.

Each picture is in the page once, in its card; the script shows the pictures of two cards side by
side, as a wipe or as a difference, or one with a quality map over it.
"""

import base64
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from vmaf_jax.evaluation.clip_pooling import PooledScore
from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.evaluation.explanation import MEANINGS, Reasons
from vmaf_jax.printable import format_count, format_time
from vmaf_jax.reporting.page import (
    HATCH,
    Plot,
    Tile,
    bullets,
    details,
    drawing,
    figure,
    header,
    page,
    page_json,
    section,
    table,
    text,
)
from vmaf_jax.reporting.plots import MAP_KINDS, heat_gradient, heat_overlay, scale_top

Floats = npt.NDArray[np.float64]
MAX_BINS = 1200  # columns of a curve, more than a screen tells apart; longer clips share them
MAX_DRAWN = 8  # encodes with a curve and pictures; a table has the others


@dataclasses.dataclass(frozen=True)
class BoxedRegion:
    """The worst region of an encode, as a box in a frame's picture.

    Attributes:
        frame: its number.
        place: left, top, width and height, shares of the picture.
        words: its place in pixels, and its score.
    """

    frame: int
    place: tuple[float, float, float, float]
    words: str


@dataclasses.dataclass(frozen=True)
class Encode:
    """One distorted video.

    Attributes:
        name: its file's, with as many folders as tell it from the others.
        score: the clip's, points; `interval` is of it.
        frames: numbers of the frames measured, rising, `[n]`; `per_frame` their scores, points.
        own_frames: the same frames by their numbers in its file, `[n]`.
        worst: its lowest frames, the lowest first.
        notes: warnings, a sentence each.
        compared: settings of the comparison, by name.
        pictures: JPEG by frame.
        worst_second: the mean of the second that is worst, and its frames; None without a rate.
        why: the reasons of the scores of the clip (None) and of its lowest frames.
        region: the region that stands out; None where none does, or none was looked for.
        vote: the score as a vote, in words that continue a line; "" where none is predicted.
        maps: of some pictures, by frame and feature: losses of tiles, 0 to 1, `[rows, columns]`.
    """

    name: str
    score: float
    interval: ScoreInterval | None
    frames: npt.NDArray[np.int32]
    per_frame: Floats
    own_frames: Sequence[int]
    worst: Sequence[int]
    notes: Sequence[str]
    compared: Mapping[str, str]
    pictures: Mapping[int, bytes]
    worst_second: PooledScore | None = None
    why: Sequence[tuple[int | None, Reasons]] = ()
    region: BoxedRegion | None = None
    vote: str = ""
    maps: Mapping[int, Mapping[str, Floats]] = dataclasses.field(default_factory=dict)

    @property
    def marked(self) -> list[int]:
        """Its frames to look at: the worst region's, and the lowest."""
        region = [] if self.region is None else [self.region.frame]
        return list(dict.fromkeys([*region, *self.worst]))

    def at(self, frame: int) -> float:
        """Returns the score of a frame that was measured, points."""
        return float(self.per_frame[np.searchsorted(self.frames, frame)])

    def own(self, frame: int) -> int:
        """Returns the number in its file of a frame that was measured."""
        return self.own_frames[int(np.searchsorted(self.frames, frame))]


@dataclasses.dataclass(frozen=True)
class ClipView:
    """A reference and its encodes.

    Attributes:
        reference: its file's name.
        model: its name.
        top: its highest score, points.
        pooled: how the clip's score comes about, such as `pooled by mean`.
        n_frames: of the clip.
        encodes: the best first; the first `MAX_DRAWN` are drawn.
        failed: encodes without a score, each with its reason.
        cuts: first frames of new shots.
        rate: frames per second, None where the file has none.
        start: frames left out before frame 0.
        pictures: of the reference, JPEG by frame.
        size: of the pictures, pixels; `full` that of the reference.
        notes: sentences on the whole.
        map_extent: size of maps over the picture's, at least 1: the last tiles reach over its edge.
        no_maps: why there are none; "" where there are.
    """

    reference: str
    model: str
    top: float
    pooled: str
    n_frames: int
    encodes: Sequence[Encode]
    failed: Sequence[tuple[str, str]]
    cuts: Sequence[int]
    rate: float | None
    start: int
    pictures: Mapping[int, bytes]
    size: tuple[int, int]
    full: tuple[int, int]
    notes: Sequence[str] = ()
    map_extent: tuple[float, float] = (1.0, 1.0)
    no_maps: str = ""

    @property
    def drawn(self) -> Sequence[Encode]:
        """The encodes with a curve and pictures."""
        return self.encodes[:MAX_DRAWN]

    def when(self, frame: int, encode: Encode | None = None) -> str:
        """Names a frame, with its time in the reference where that is known.

        Its numbers in the two files follow where they are others.
        """
        own, notes = frame + self.start, []
        if self.rate is not None:
            notes.append(format_time(own / self.rate))
        if own != frame:
            notes.append(f"the reference's {own}")
        if encode is not None and encode.own(frame) != own:
            notes.append(f"the encode's {encode.own(frame)}")
        return f"frame {frame} ({', '.join(notes)})" if notes else f"frame {frame}"


@dataclasses.dataclass(frozen=True)
class Curve:
    """Scores over the frames, a column for each few of them.

    Attributes:
        first, last: frames of each column, `[b]`.
        mean, low: their mean and their lowest score, points, `[b]`; `lowest` is that frame.
    """

    first: npt.NDArray[np.int32]
    last: npt.NDArray[np.int32]
    mean: Floats
    low: Floats
    lowest: npt.NDArray[np.int32]

    @property
    def middle(self) -> Floats:
        """Position of each column, in frames."""
        return np.asarray((self.first + self.last) / 2, np.float64)


def bin_scores(encode: Encode) -> Curve:
    """Bins the scores of an encode in at most `MAX_BINS` columns."""
    n = len(encode.per_frame)
    edges = np.linspace(0, n, min(n, MAX_BINS) + 1).astype(int)
    starts, ends = edges[:-1], edges[1:]
    mean = np.add.reduceat(encode.per_frame, starts) / (ends - starts)
    low = np.minimum.reduceat(encode.per_frame, starts)
    lowest = [a + int(np.argmin(encode.per_frame[a:b])) for a, b in zip(starts, ends, strict=True)]
    frames = encode.frames
    return Curve(frames[starts], frames[ends - 1], mean, low, frames[np.array(lowest)])


_MAX_CUTS = 200  # drawn; a film has more than a drawing can tell apart
_NAME = 60  # characters of a name in captions
_MAX_LISTED = 300  # rows of a table


def clip_page(view: ClipView) -> str:
    """Returns the page of a clip and its encodes as HTML."""
    curves = [bin_scores(encode) for encode in view.drawn]
    plot = _quality_frame(view, curves)
    lead = view.encodes[0]
    title = view.reference if len(view.encodes) > 1 else f"{lead.name} against {view.reference}"
    worst, others = _pictured_frames(view)
    body = [
        header(title, _verdict(view), _tiles(view), _notes(view)),
        section("quality", "Quality over time", [_quality(view, curves, plot), _viewer(view)]),
    ]
    if any(encode.why for encode in view.drawn):
        body.append(section("why", "Why it is low", _why(view)))
    if len(view.encodes) > 1 or view.failed:
        body.append(section("encodes", "Encodes, the best first", _encodes(view)))
    body += [
        section("worst", "Worst frames", _cards(view, worst, "ringed")),
        section(
            "frames",
            "Frames evenly spaced",
            [details(format_count(len(others), "frame"), "".join(_cards(view, others, "")))],
        ),
        section("compared", "How they were compared", _compared(view)),
        section("limits", "What these figures do not say", [bullets(_limits(view))]),
        _data(view, curves, plot),
    ]
    return page(f"vmaf-jax: {title}", body, extra="clip")


def _verdict(view: ClipView) -> str:
    lead = view.encodes[0]
    lowest = lead.worst[0]
    pooled = f"{view.pooled} over {format_count(view.n_frames, 'frame')}"
    if len(view.encodes) == 1:
        words = f"{lead.score:.2f} of {view.top:g} by {view.model}, {pooled}"
    else:
        last = view.encodes[-1]
        words = (
            f"{lead.name} is the best of {len(view.encodes)} encodes with {lead.score:.2f} of "
            f"{view.top:g} by {view.model}, {last.name} the last with {last.score:.2f}; {pooled}"
        )
    whose = "The" if len(view.encodes) == 1 else f"{lead.name}'s"
    return f"{words}. {whose} lowest is {view.when(lowest, lead)} with {lead.at(lowest):.2f}."


def _tiles(view: ClipView) -> list[Tile]:
    lead = view.encodes[0]
    low = float(np.percentile(lead.per_frame, 5))
    share = float(np.mean(lead.per_frame < lead.score - 10))
    if lead.interval is None:
        sure = Tile("Uncertainty", "not computed", "--interval 0.9 computes it for students")
    else:
        width = lead.interval.high - lead.interval.low
        ends = f"{lead.interval.low:.2f} to {lead.interval.high:.2f}"
        kind = f"{100 * lead.interval.level:g} % interval, {lead.interval.kind}"
        sure = Tile("Uncertainty", f"± {width / 2:.2f}", f"{ends}, {kind}")
    worst = f"{100 * share:.1f} % of frames are more than 10 points below the clip's score"
    if (second := lead.worst_second) is not None:
        worst += f"; the worst second has {second.score:.2f}, from {view.when(second.first, lead)}"
    return [
        Tile("Score", f"{lead.score:.2f}", f"points of {view.top:g}{lead.vote}, {lead.name}"),
        Tile("Worst frames", f"{low:.2f}", f"5 % of frames are below; {worst}"),
        sure,
    ]


def _notes(view: ClipView) -> list[str]:
    lines = [
        f"Not scored: {reason if name in reason else f'{name}: {reason}'}"
        for name, reason in view.failed
    ]
    lines += [f"{encode.name}: {note}" for encode in view.encodes for note in encode.notes]
    return [*lines, *view.notes]


def _quality(view: ClipView, curves: Sequence[Curve], plot: Plot) -> str:
    note = "Ringed: the lowest frames. Ticks below the axis: frames with pictures."
    note += " A level line: the worst second and its mean."
    if any(encode.region is not None for encode in view.drawn):
        note += " In a square: the frame of an encode's worst region."
    note += f" ▼ and a dotted line: a scene cut ({len(view.cuts)})." if view.cuts else ""
    if any(encode.interval is not None for encode in view.drawn):
        how = "bars at the right" if len(view.drawn) > 1 else "hatched, and a bar at the right"
        note += f" {how[0].upper()}{how[1:]}: the interval of the clip's score, not of a frame's."
    if any(len(c.mean) < len(e.per_frame) for c, e in zip(curves, view.drawn, strict=True)):
        note += f" {MAX_BINS} columns of several frames each: their mean, down to their lowest."
    if len(view.encodes) > MAX_DRAWN:
        note += f" The best {MAX_DRAWN} of {len(view.encodes)} are drawn."
    key = "".join(
        f'<li><svg viewBox="0 0 40 12" aria-hidden="true"><path class="line s{k}" d="M2 6h36"/>'
        f"</svg>{k + 1}: {text(e.name, _NAME)}, {e.score:.2f}</li>"
        for k, e in enumerate(view.drawn)
    )
    svg = _draw_quality(view, curves, plot)
    drawn = (
        f'<ul class="key">{key}</ul><div class="scroll">{svg}</div>'
        f'<output aria-live="polite">Point at a frame, or use the arrow keys.</output>'
    )
    wide = 'class="wide" tabindex="0"'
    return figure("time", "Score of every frame", drawn, note, attributes=wide)


def _viewer(view: ClipView) -> str:
    """Returns the viewer of a frame's pictures, which the script fills; hidden without it."""
    if not view.pictures:
        return ""
    names = "".join(
        f'<option value="{k}">{k + 1}: {text(e.name, _NAME)}</option>'
        for k, e in enumerate(view.drawn)
    )
    width, height = view.size
    ways = [("side", "side by side"), ("wipe", "wipe"), ("difference", "difference")]
    maps = _map_controls(view)
    if maps:
        ways.append(("map", "map of losses"))
    modes = "".join(
        f'<label><input type="radio" name="way" value="{way}"{" checked" * (way == "side")}> '
        f"{words}</label> "
        for way, words in ways
    )
    return (
        f'<figure id="pair" class="wide" hidden><figcaption>The pictures of a frame</figcaption>'
        f'<p class="controls"><label>Encode <select id="which">{names}</select></label> '
        f'<span role="radiogroup" aria-label="View">{modes}</span></p>'
        f'<div class="stage side" style="--shape:{width}/{height}"></div>'
        f'<p class="controls"><label>Pictured frame <input type="range" id="at" min="0" step="1" '
        f'max="{len(view.pictures) - 1}" value="0"></label> <label id="wiping">Wipe '
        f'<input type="range" id="wipe" min="0" max="100" value="50"></label></p>{maps}'
        f'<output aria-live="polite"></output><p class="note" id="differing">Difference: of the '
        f"two small pictures, four times as bright; fine differences are lost in scaling down.</p>"
        f"</figure>\n"
    )


def _mapped_features(view: ClipView) -> list[str]:
    """Returns the features that any frame has maps of, in the order of `MAP_KINDS`."""
    found = {name for e in view.drawn for maps in e.maps.values() for name in maps}
    return [name for name in MAP_KINDS if name in found]


def _map_top(view: ClipView, feature: str) -> float:
    """Returns the loss that the scale of a feature's maps ends at, for the whole page."""
    return scale_top(maps[feature] for e in view.drawn for maps in e.maps.values())


def _map_controls(view: ClipView) -> str:
    """Returns the choice of a map and its scale; "" where there are no maps."""
    features = _mapped_features(view)
    if not features:
        return ""
    options = ""
    for name in features:
        kind = MAP_KINDS[name]
        most = f"{kind.amount(_map_top(view, name))} {kind.loss}"
        options += f'<option value="{name}" data-most="{most}">{kind.title}</option>'
    return (
        f'<div id="mapping" class="controls"><label>Map <select id="feature">{options}</select>'
        f'</label><p class="heat"><span>clear: as in the reference</span>'
        f'<i aria-hidden="true" style="background: {heat_gradient()}, #777"></i>'
        f"<span>bright: <b></b></span></p></div>"
    )


def _map_data(view: ClipView, encode: Encode) -> dict[str, dict[str, tuple[str, str]]]:
    """Returns an encode's maps by frame and feature: the overlay's address, and words."""
    tops = {name: _map_top(view, name) for name in _mapped_features(view)}
    return {
        str(frame): {
            name: (
                f"data:image/png;base64,{_base64(heat_overlay(tiles, tops[name]))}",
                MAP_KINDS[name].describe(tiles),
            )
            for name, tiles in maps.items()
        }
        for frame, maps in encode.maps.items()
    }


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _pictured_frames(view: ClipView) -> tuple[list[int], list[int]]:
    """Returns frames with pictures: those of worst regions, the worst by score, the others."""
    worst: dict[int, float] = {}
    for encode in view.drawn:
        for frame in view.pictures.keys() & encode.marked:
            worst[frame] = min(worst.get(frame, 101.0), encode.at(frame))
    boxed = {encode.region.frame for encode in view.drawn if encode.region is not None}
    ordered = sorted(worst, key=lambda frame: (frame not in boxed, worst[frame], frame))
    return ordered, [frame for frame in sorted(view.pictures) if frame not in worst]


def _cards(view: ClipView, frames: Iterable[int], why: str) -> list[str]:
    parts = ['<div class="cards">']
    for frame in frames:
        shots = [_shot(view, view.pictures[frame], frame, -1, "reference")]
        for k, encode in enumerate(view.drawn):
            mark = f" ({why})" if why and frame in encode.worst else ""
            caption = f"{k + 1}: {encode.name[:_NAME]}, {encode.at(frame):.2f}{mark}"
            box = ""
            if encode.region is not None and encode.region.frame == frame:
                caption += f"; boxed, the worst region: {encode.region.words}"
                box = _box(encode.region)
            shots.append(_shot(view, encode.pictures[frame], frame, k, caption, box))
        parts.append(
            f'<section class="card"><h3>{text(view.when(frame))}</h3>'
            f'<div class="shots">{"".join(shots)}</div>'
            f'<p><button type="button" data-show="{frame}" hidden>Compare above</button></p>'
            f"</section>\n"
        )
    return [*parts, "</div>\n"]


def _shot(
    view: ClipView, picture: bytes, frame: int, which: int, caption: str, box: str = ""
) -> str:
    width, height = view.size
    said = text(f"{view.when(frame)}: {caption}", 400)
    return (
        f'<div class="shot"><div class="picture"><img width="{width}" height="{height}" '
        f'decoding="async" data-frame="{frame}" data-which="{which}" alt="{said}" '
        f'src="data:image/jpeg;base64,{_base64(picture)}">{box}</div>'
        f"<span>{text(caption, 300)}</span></div>"
    )


def _box(region: BoxedRegion) -> str:
    """Returns the outline of a region, to lie over a picture."""
    sides = zip(("left", "top", "width", "height"), region.place, strict=True)
    style = ";".join(f"{side}:{100 * share:.2f}%" for side, share in sides)
    return f'<i class="box" style="{style}"></i>'


def _why(view: ClipView) -> list[str]:
    explained = [(k, e, *reason) for k, e in enumerate(view.drawn, 1) for reason in e.why]
    names = [name for name in explained[0][3].contributions if name in MEANINGS]
    rows = []
    for k, encode, frame, reasons in explained:
        begins = f"{k}: {encode.name}, mean" if frame is None else view.when(frame, encode)
        start, added = reasons.identical, [reasons.contributions[name] for name in names]
        points = [f"{start:.1f}", *(f"{value:+.1f}" for value in added)]
        rows.append([begins, f"{start + sum(added):.1f}", reasons.main_losses(), *points])
    note = (
        "Points of the identical pair, and what each feature adds to them (Shapley values); their "
        "sum is the score. Mainly: what takes at least half as much as the largest loss."
    )
    meanings = [f"{MEANINGS[name].title}: {MEANINGS[name].loss}" for name in names]
    columns = ["", "score", "mainly", "identical pair", *(MEANINGS[name].title for name in names)]
    return [f"<p>{note} {text('; '.join(meanings), 1000)}.</p>", table(columns, rows)]


def _encodes(view: ClipView) -> list[str]:
    rows = []
    for rank, encode in enumerate(view.encodes[:_MAX_LISTED], 1):
        interval = encode.interval
        between = "–" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
        scores = encode.per_frame
        figures = (encode.score, float(scores.min()), float(np.percentile(scores, 5)))
        cells = [f"{value:.3f}" for value in figures]
        second = encode.worst_second
        when = "–" if second is None else f"{second.score:.3f}, {view.when(second.first, encode)}"
        lowest = view.when(encode.worst[0], encode) if encode.worst else "–"
        rows.append([f"{rank}: {encode.name}", *cells, when, between, lowest, f"{len(scores):,}"])
    header = ["encode", "score", "min", "5 %", "worst second", "interval", "lowest", "frames"]
    rows += [[name, "not scored", *["–"] * 6] for name, _ in view.failed[:_MAX_LISTED]]
    return [table(header, rows)]


def _compared(view: ClipView) -> list[str]:
    shown: Sequence[Encode] = view.encodes[:_MAX_LISTED]
    keys = list(dict.fromkeys(key for encode in shown for key in encode.compared))
    rows = [[key, *(encode.compared.get(key, "–") for encode in shown)] for key in keys]
    return [table(["", *(encode.name[:_NAME] for encode in shown)], rows)]


def _limits(view: ClipView) -> list[str]:
    (width, height), (across, down) = view.size, view.full
    return [
        f"Pictures are JPEG of {width}x{height}, scaled from {across}x{down}: what they show of an "
        f"encode is less than a viewer of the video sees. Scores are of the video itself.",
        f"Pictures are of {len(view.pictures)} of {format_count(view.n_frames, 'frame', ',')}: the "
        f"worst, and evenly spaced ones. {_describe_maps(view)}",
        "A frame's score is of a model that learnt from clips; it tells frames apart better than "
        "it says how a viewer would judge one. An interval is of the clip's score.",
        "Scene cuts are found by how much the reference changes; fades and flashes can mislead.",
    ]


def _describe_maps(view: ClipView) -> str:
    if view.no_maps:
        return f"None has a map of where it loses quality: {view.no_maps}"
    n_mapped = len({frame for encode in view.drawn for frame in encode.maps})
    return (
        f"{n_mapped} of the worst have maps, by tiles of 32x32 pixels: of what the features lose "
        f"there, which is not what the score loses."
    )


def _data(view: ClipView, curves: Sequence[Curve], plot: Plot) -> str:
    edges = (plot.left, plot.right, plot.top, plot.bottom)
    frame = (*plot.x, *plot.y, plot.width, plot.height, *edges)
    value = {
        "frame": [round(float(v), 4) for v in frame],
        "rate": view.rate,
        "start": view.start,
        "cuts": list(view.cuts[:_MAX_LISTED]),
        "pictures": sorted(view.pictures),
        "extent": [round(100 * share, 4) for share in view.map_extent],
        "encodes": [
            {
                "name": encode.name[:_NAME],
                "first": c.first.tolist(),
                "last": c.last.tolist(),
                "mean": np.round(c.mean, 3).tolist(),
                "low": np.round(c.low, 3).tolist(),
                "lowest": c.lowest.tolist(),
                "at": {str(f): round(encode.at(f), 3) for f in sorted(view.pictures)},
                "maps": _map_data(view, encode),
                "region": encode.region
                and {"frame": encode.region.frame, "words": encode.region.words},
            }
            for encode, c in zip(view.drawn, curves, strict=True)
        ],
    }
    return f'<script type="application/json" data-clip>{page_json(value)}</script>\n'


def _quality_frame(view: ClipView, curves: Sequence[Curve]) -> Plot:
    """Returns the frame of the drawing: all frames across, and all scores and intervals up."""
    lows = [float(curve.low.min()) for curve in curves]
    highs = [float(curve.mean.max()) for curve in curves]
    for encode in view.drawn:
        if encode.interval is not None:
            lows.append(encode.interval.low)
            highs.append(encode.interval.high)
    pad = max(0.08 * (max(highs) - min(lows)), 1.0)
    low, high = max(min(lows) - pad, -1.0), min(max(highs) + pad, view.top + 1)
    last = float(max(view.n_frames - 1, 1))
    return Plot((0.0, last), (low, high), width=880, height=340, left=50, right=44)


def _draw_quality(view: ClipView, curves: Sequence[Curve], plot: Plot) -> str:
    """Draws scores over the frames; encodes are told apart by number, dashes and colour."""
    right, floor = plot.width - plot.right, plot.height - plot.bottom
    parts = [HATCH]
    if len(curves) == 1 and (interval := view.encodes[0].interval) is not None:
        top, bottom = float(plot.py(interval.high)), float(plot.py(interval.low))
        parts.append(plot.shade(plot.left, top, right, bottom))
    parts.append(plot.axes("frame", f"{view.model} (points)"))
    for cut in view.cuts[:_MAX_CUTS]:
        x = float(plot.px(cut))
        label = f"scene cut at {view.when(cut)}"
        parts.append(
            f'<g><title>{text(label)}</title><path class="cut" d="M{x:.1f} {plot.top}V{floor}"/>'
            f'<path class="mark" d="M{x - 4:.1f} {plot.top - 8}h8l-4 7Z"/></g>'
        )
    for number, (encode, line) in enumerate(zip(view.drawn, curves, strict=True)):
        if len(line.mean) == 1:
            parts.append(plot.dots(line.middle, line.mean, f"line s{number} dot1"))
        if not np.array_equal(line.mean, line.low):
            parts.append(plot.area(line.middle, line.low, line.mean, f"low s{number}"))
        parts.append(plot.line(line.middle, line.mean, f"line s{number}"))
        at = float(plot.py(encode.score))
        parts.append(f'<path class="line s{number}" d="M{right + 4} {at:.1f}h12"/>')
        parts.append(f'<text class="strong" x="{right + 20}" y="{at + 4:.1f}">{number + 1}</text>')
        if encode.interval is not None:
            ends = plot.py([encode.interval.low, encode.interval.high])
            parts.append(
                f'<path class="line s{number}" d="M{right + 10} {ends[0]:.1f}V{ends[1]:.1f}"/>'
            )
        if (second := encode.worst_second) is not None:
            ends = np.array([second.first, second.last], np.float64)
            parts.append(plot.line(ends, np.full(2, second.score), f"line s{number}"))
        for frame in encode.worst:
            x, y = float(plot.px(frame)), float(plot.py(encode.at(frame)))
            parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="6"/>')
        if (region := encode.region) is not None:
            x, y = float(plot.px(region.frame)), float(plot.py(encode.at(region.frame)))
            parts.append(
                f'<rect class="ring" x="{x - 7:.1f}" y="{y - 7:.1f}" width="14" height="14">'
                f"<title>{text(region.words)}</title></rect>"
            )
    pictured = plot.px(sorted(view.pictures)).tolist()
    ticks = "".join(f"M{x:.1f} {floor}v5" for x in pictured)
    parts.append(f'<path class="axis" d="{ticks}"/>')
    return drawing(plot.width, plot.height, _describe(view), parts)


def _describe(view: ClipView) -> str:
    best = view.encodes[0]
    lowest = best.worst[0]
    return (
        f"Scores of {format_count(len(view.drawn), 'encode')} over "
        f"{format_count(view.n_frames, 'frame')} with {format_count(len(view.cuts), 'scene cut')}. "
        f"{best.name} has {best.score:.2f}; its lowest frame is {lowest} with "
        f"{best.at(lowest):.2f}."
    )
