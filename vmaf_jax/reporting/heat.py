"""Heat: where a feature loses quality, in colour over a picture, with its scale in words.

Where nothing is lost the picture is clear; the more is lost, the brighter and the less transparent
the colour is, so that maps are read without telling colours apart.
"""

import dataclasses
import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
_STEPS = 64  # of the scale in a page's overlays, which makes them small
_PLACES = (
    ("top left", "top", "top right"),
    ("left", "middle", "right"),
    ("bottom left", "bottom", "bottom right"),
)


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

    def describe(self, tiles: Floats) -> str:
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


def scale_top(maps: Iterable[Floats]) -> float:
    """Returns the loss that a scale for some maps ends at, a multiple of 0.1 up to 1.

    Args:
        maps: Loss, 0 to 1.
    """
    most = max((float(tiles.max()) for tiles in maps), default=0.0)
    return min(max(np.ceil(10 * most - 0.05), 1.0), 10.0) / 10


def heat_picture(luma: npt.NDArray[np.float32], loss: Floats) -> bytes:
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


def heat_overlay(loss: Floats, top: float) -> bytes:
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


def _colours(loss: Floats) -> Floats:
    """Returns red, green, blue and opacity `[..., 4]` of losses, 0 to 1."""
    from matplotlib import colormaps

    colours = np.asarray(colormaps["inferno"](0.2 + 0.8 * loss), np.float64)
    colours[..., 3] = 0.85 * np.asarray(loss) ** 0.7
    return colours
