"""Pictures as PNG files: plots by Matplotlib, for READMEs and documents (pages have SVG), and heat.

Heat shows where a feature loses quality, in colour over a picture, with its scale in words. Where
nothing is lost the picture is clear; the more is lost, the brighter and the less transparent the
colour is, so that maps are read without telling colours apart.
"""

import dataclasses
import functools
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vmaf_jax.corpora.encodes import Encode
from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.rate_quality import Curve
from vmaf_jax.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
Luma = npt.NDArray[np.unsignedinteger]
Numbers = npt.NDArray[np.floating]
_STEPS = 64  # of the scale in a page's overlays, which makes them small
_PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


def plot_agreement(rows: HeldOut, title: str) -> bytes:
    """Plots predicted against true scores, and the error against the true score."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _, colour = np.unique(rows.source, return_inverse=True)
    left.plot([0, 100], [0, 100], color="0.7", linewidth=1)
    left.scatter(rows.label, rows.predicted, c=colour, cmap="tab20", s=9)
    left.set(xlabel="teacher (VMAF points)", ylabel="student", title=title)
    right.axhline(0, color="0.7", linewidth=1)
    right.scatter(rows.label, rows.predicted - rows.label, c=colour, cmap="tab20", s=9)
    right.set(xlabel="teacher (VMAF points)", ylabel="error", title="error, one colour a source")
    return png(figure)


def plot_scores(
    scores: Mapping[str, Floats],
    title: str,
    index: npt.NDArray[np.int32] | None = None,
    band: tuple[float, float] | None = None,
) -> bytes:
    """Plots scores over the frames of a clip, one line a model.

    Args:
        index: the frames' numbers, where they are not all.
        band: the ends of the clip's interval, VMAF points, drawn behind.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axis = figure.subplots()
    for name, values in scores.items():
        x = np.arange(len(values)) if index is None else index
        axis.plot(
            x, values, linewidth=1, label=f"{_legend_label(name)}, mean {np.mean(values):.2f}"
        )
    if band is not None:
        axis.axhspan(*band, color="0.8", label=f"interval {band[0]:.2f} to {band[1]:.2f}")
    axis.set(xlabel="frame", ylabel="VMAF points", title=title)
    axis.legend()
    return png(figure)


def plot_curves(
    curves: Mapping[str, Mapping[str, Curve]], hulls: Mapping[str, Sequence[Encode]]
) -> bytes:
    """Plots a panel for each content: each codec's points and PCHIP curve, and the hull of all."""
    from matplotlib.figure import Figure

    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(4.6 * columns + 0.6, 3.4 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(curves) :]:
        panel.set_axis_off()
    for panel, (content, by_codec) in zip(panels, curves.items(), strict=False):
        for codec, curve in by_codec.items():
            scores = np.linspace(curve.score[0], curve.score[-1], 200)
            (line,) = panel.plot(10 ** curve.log_rate("pchip")(scores), scores, linewidth=1)
            label, colour = _legend_label(codec), line.get_color()
            panel.plot(curve.rate, curve.score, "o", color=colour, markersize=4, label=label)
        hull = hulls[content]
        rates, tops = [encode.kbps for encode in hull], [encode.score for encode in hull]
        panel.plot(rates, tops, "--", color="0.4", linewidth=1, label="hull")
        panel.set(xscale="log", xlabel="kbit/s", ylabel="score", title=content)
        panel.legend(fontsize="small")
    return png(figure)


def plot_frame(reference: Luma, distorted: Luma, title: str) -> bytes:
    """Plots a frame's reference, distorted and absolute difference side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=9)
    gap = np.abs(reference.astype(np.int32) - distorted)
    shown = {"reference": reference, "distorted": distorted, "difference": gap}
    for axis, (name, values) in zip(figure.subplots(1, 3), shown.items(), strict=True):
        axis.imshow(values, cmap="gray", vmin=0, vmax=max(1, int(values.max())))
        axis.set_title(f"{name}, up to {int(values.max())}", fontsize=8)
        axis.axis("off")
    return png(figure)


def png(figure: "Figure") -> bytes:
    """Returns a Matplotlib figure as PNG; the same figure gives the same bytes on one machine.

    Texts are drawn as they stand: `$` begins no formula, control characters are escaped, and
    characters that Matplotlib's own font lacks, such as Chinese ones, come from other fonts of the
    machine, or are boxes where it has none.
    """
    texts = [axis.title for axis in figure.axes]  # ticks are Matplotlib's own, and formulas
    texts += [label for axis in figure.axes for label in (axis.xaxis.label, axis.yaxis.label)]
    legends = [axis.get_legend() for axis in figure.axes]
    texts += [text for legend in legends if legend is not None for text in legend.get_texts()]
    families = ["DejaVu Sans", *_fallback_fonts("".join(text.get_text() for text in texts))]
    for text in texts:
        text.set(parse_math=False, text=printable(text.get_text(), keep="\n"), family=families)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        # Without Software, Matplotlib's version, which would change the bytes.
        figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def shrink_pictures(pictures: Sequence[bytes], max_bytes: int) -> list[bytes]:
    """Makes pictures grey and smaller until all of them together have at most `max_bytes`, PNG.

    Pictures that fit are returned as they are. A picture is not made smaller than an eighth.
    """
    fitting = list(pictures)
    for divisor in (1, 1.5, 2, 3, 4, 6, 8):
        if sum(map(len, fitting)) <= max_bytes:
            break
        fitting = [_shrink_picture(picture, divisor) for picture in pictures]
    return fitting


def _shrink_picture(picture: bytes, divisor: float) -> bytes:
    from PIL import Image

    grey = Image.open(io.BytesIO(picture)).convert("L")
    buffer = io.BytesIO()
    size = (round(grey.width / divisor), round(grey.height / divisor))
    grey.resize(size, Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _legend_label(name: str) -> str:
    """Returns a name as a legend's label; Matplotlib leaves out those that begin with `_`."""
    return f" {name}" if name.startswith("_") else name


def _fallback_fonts(characters: str) -> list[str]:
    """Finds fonts of this machine that have characters which DejaVu Sans, the default, lacks."""
    from matplotlib.font_manager import fontManager

    regular = {
        font.name: font.fname
        for font in fontManager.ttflist
        if font.style == "normal" and font.weight in (400, "normal", "regular")
    }
    lacking = {ord(c) for c in characters if c.isprintable()} - _glyphs(regular["DejaVu Sans"])
    chosen: list[str] = []
    for name in sorted(regular) if lacking else []:
        if found := lacking & _glyphs(regular[name]):
            chosen.append(name)
            lacking -= found
        if not lacking:
            break
    return chosen


@functools.cache
def _glyphs(file: str) -> frozenset[int]:
    """Returns the code points that a font's file has."""
    from matplotlib.font_manager import get_font

    try:
        return frozenset(get_font(file).get_charmap())
    except (OSError, RuntimeError, ValueError):
        return frozenset()  # a broken font, or one of a kind that cannot be drawn


@dataclasses.dataclass(frozen=True)
class MapKind:
    """A feature that has maps, in words.

    Attributes:
        title: Of its maps.
        loss: What is lost, after a number.
        top: Value of a map that counts as all lost, no unit; None for a ratio, in percent.
    """

    title: str
    loss: str
    top: float | None = None

    def amount(self, loss: float) -> str:
        """Returns a loss, 0 to 1, as percent or in the feature's own unit."""
        if self.top is None:
            return f"{100 * loss:.0f} %"
        return f"{self.top * loss:.2g}{' or more' if loss >= 1 else ''}"

    def describe(self, tiles: Numbers) -> str:
        """Returns how much is lost and where most, in words.

        Args:
            tiles: Loss `[rows, columns]`, 0 to 1.
        """
        row, column = (int(k) for k in np.unravel_index(tiles.argmax(), tiles.shape))
        place = _PLACES[3 * row // tiles.shape[0]][3 * column // tiles.shape[1]]
        mean, most = float(tiles.mean()), float(tiles.max())
        return f"{self.amount(mean)} on average, at most {self.amount(most)}, at the {place}"


MAP_KINDS = {
    "vif": MapKind("information lost (VIF)", "lost"),
    "adm": MapKind("detail lost (ADM)", "lost"),
    "cambi": MapKind("banding (CAMBI)", "of banding", 10.0),
    "speed_chroma_uv": MapKind("chroma that differs (SpEED)", "of difference", 10.0),
}


def scale_top(maps: Iterable[Numbers]) -> float:
    """Returns the loss that a scale for some maps ends at, a multiple of 0.1 up to 1.

    Args:
        maps: Loss, 0 to 1.
    """
    most = max((float(tiles.max()) for tiles in maps), default=0.0)
    return min(max(np.ceil(10 * most - 0.05), 1.0), 10.0) / 10


def heat_picture(luma: npt.NDArray[np.float32], loss: Numbers) -> bytes:
    """Returns a grey picture with heat laid over it where there is loss, PNG.

    Args:
        luma, loss: `[h, w]`, 0 to 1.
    """
    from matplotlib.image import imsave

    colour = _colours(loss)
    share = colour[..., 3:]
    buffer = io.BytesIO()
    mixed = (1 - share) * luma[..., None] + share * colour[..., :3]
    imsave(buffer, np.clip(mixed, 0, 1), format="png")
    return buffer.getvalue()


def heat_overlay(loss: Numbers, top: float) -> bytes:
    """Returns heat to be laid over a picture, a pixel a tile, PNG with a palette.

    Args:
        loss: `[rows, columns]`, 0 to 1; `top` is the loss that the brightest colour stands for.
    """
    from PIL import Image

    palette = np.round(255 * _colours(np.linspace(0, 1, _STEPS))).astype(np.uint8)
    steps = np.round(np.clip(loss / top, 0, 1) * (_STEPS - 1)).astype(np.uint8)
    picture = Image.fromarray(steps, "P")
    picture.putpalette(palette[:, :3].tobytes())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", transparency=palette[:, 3].tobytes(), optimize=True)
    return buffer.getvalue()


def heat_gradient() -> str:
    """Returns the scale as a CSS gradient from clear to the brightest colour."""
    stops = ", ".join(
        f"rgba({255 * r:.0f},{255 * g:.0f},{255 * b:.0f},{share:.2f})"
        for r, g, b, share in _colours(np.linspace(0, 1, 9)).tolist()
    )
    return f"linear-gradient(to right, {stops})"


def _colours(loss: Numbers) -> Numbers:
    """Returns red, green, blue and opacity `[..., 4]` of losses, 0 to 1."""
    from matplotlib import colormaps

    colours = np.asarray(colormaps["inferno"](0.2 + 0.8 * loss), np.float64)
    colours[..., 3] = 0.85 * np.asarray(loss) ** 0.7
    return colours
