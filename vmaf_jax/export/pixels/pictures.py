"""Pictures that pixels models are tried on, drawn at the model's size.

Shapes in motion with noise, and of them what codecs and people make, a scene cut, flat and
identical pictures, and samples between whole numbers (10 bits).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.model_file import PICTURES, Frame

Picture = npt.NDArray[np.float32]
Triple = tuple[Picture, Picture, Picture]


def sample_pictures(height: int, width: int, *, whole: bool) -> dict[str, Triple]:
    """Reference, distorted and previous pictures `[h, w]` by what they are; the same every time.

    Args:
        whole: whole numbers alone, as 8-bit samples are.
    """
    return dict(_drawn(height, width, whole=whole))


def example_feed(frame: Frame, name: str = "noise added") -> dict[str, npt.NDArray[Any]]:
    """One of the sample pictures as inputs `[1, h, w]` of a pixels model."""
    drawn = _drawn(frame.height, frame.width, whole=True)
    pictures = next(triple for drawn_name, triple in drawn if drawn_name == name)
    return {
        role: picture[None].astype(frame.samples)
        for role, picture in zip(PICTURES, pictures, strict=True)
    }


def _drawn(height: int, width: int, *, whole: bool) -> Iterator[tuple[str, Triple]]:
    """The sample pictures, one after the other: those of 4K take a second."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    grain, noise = rng.normal(0, 5, (2, height, width))

    def limited(picture: npt.NDArray[Any], step: float = 1.0) -> Picture:
        return (np.clip(np.round(picture / step), 0, 255 / step) * step).astype(np.float32)

    def scene(t: int) -> npt.NDArray[Any]:
        waves = np.sin((columns + 3 * t) / 17) * np.cos((rows - 2 * t) / 11)
        tiles = ((columns + 2 * t) // 32 + rows // 24) % 2
        return 120 + 60 * waves + 40 * tiles + grain

    now, before = scene(1), scene(0)
    blurred = (now + np.roll(now, 1, 0) + np.roll(now, 1, 1) + np.roll(now, (1, 1), (0, 1))) / 4
    flat = np.full((height, width), 128.0)
    distorted: dict[str, Callable[[], npt.NDArray[Any]]] = {
        "identical": lambda: now,
        "noise added": lambda: now + noise,
        "blurred": lambda: blurred,
        "coarse": lambda: np.round(now / 16) * 16,
        "contrast gained": lambda: 128 + 1.3 * (now - 128),
        "contrast lost": lambda: 128 + 0.6 * (now - 128),
    }
    for name, make in distorted.items():
        previous = now if name == "identical" else before
        yield name, (limited(now), limited(make()), limited(previous))
    random = rng.uniform(0, 255, (3, height, width))
    others = {
        "unrelated": (random[0], random[1], random[2]),
        "scene cut": (now, now + noise, random[0]),
        "black": (flat * 0, flat * 0, flat * 0),
        "white against black": (flat * 0 + 255, flat * 0, flat * 0),
        "noise on flat": (flat, flat + noise, flat),
    }
    for name, (a, b, c) in others.items():
        yield name, (limited(a), limited(b), limited(c))
    step = 1.0 if whole else 0.25
    between = (limited(now, step), limited(blurred, step), limited(before, step))
    yield "between whole numbers", between
