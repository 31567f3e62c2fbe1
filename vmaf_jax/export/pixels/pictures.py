"""Pictures for proofs of pixels models, drawn at the model's size.

Shapes in motion with grain, distorted as codecs and people do; a scene cut, flat and identical
pictures, and samples between whole numbers (10 bits).
"""

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from vmaf_jax.export.pixels.model_file import PICTURES, Frame

Picture = npt.NDArray[np.float32]
Drawing = npt.NDArray[np.float64]
Triple = tuple[Picture, Picture, Picture]


def example_feed(frame: Frame, name: str = "noise added") -> dict[str, npt.NDArray[np.generic]]:
    """Returns one of the sample pictures as inputs `[1, h, w]` of a pixels model."""
    drawn = sample_pictures(dataclasses.replace(frame, samples="uint8"))
    pictures = next(triple for drawn_name, triple in drawn if drawn_name == name)
    return {
        role: picture[None].astype(frame.samples)
        for role, picture in zip(PICTURES, pictures, strict=True)
    }


def sample_pictures(frame: Frame) -> Iterator[tuple[str, Triple]]:
    """Draws reference, distorted and previous pictures `[h, w]`, each with a name for it.

    They are the same every time, whole numbers for `uint8`, and drawn one after the other, since
    those of 4K take a second.
    """
    height, width = frame.height, frame.width
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    grain, noise = rng.normal(0, 5, (2, height, width))

    def limit(picture: Drawing, step: float = 1.0) -> Picture:
        return (np.clip(np.round(picture / step), 0, 255 / step) * step).astype(np.float32)

    def scene(t: int) -> Drawing:
        waves = np.sin((columns + 3 * t) / 17) * np.cos((rows - 2 * t) / 11)
        tiles = ((columns + 2 * t) // 32 + rows // 24) % 2
        return 120 + 60 * waves + 40 * tiles + grain

    now, before = scene(1), scene(0)
    blurred = (now + np.roll(now, 1, 0) + np.roll(now, 1, 1) + np.roll(now, (1, 1), (0, 1))) / 4
    flat = np.full((height, width), 128.0)
    distorted: dict[str, Callable[[], Drawing]] = {
        "identical": lambda: now,
        "noise added": lambda: now + noise,
        "blurred": lambda: blurred,
        "coarse": lambda: np.round(now / 16) * 16,
        "contrast gained": lambda: 128 + 1.3 * (now - 128),
        "contrast lost": lambda: 128 + 0.6 * (now - 128),
    }
    for name, make in distorted.items():
        previous = now if name == "identical" else before
        yield name, (limit(now), limit(make()), limit(previous))
    random = rng.uniform(0, 255, (3, height, width))
    others = {
        "unrelated": (random[0], random[1], random[2]),
        "scene cut": (now, now + noise, random[0]),
        "black": (flat * 0, flat * 0, flat * 0),
        "white against black": (flat * 0 + 255, flat * 0, flat * 0),
        "noise on flat": (flat, flat + noise, flat),
    }
    for name, (a, b, c) in others.items():
        yield name, (limit(a), limit(b), limit(c))
    step = 1.0 if frame.samples == "uint8" else 0.25
    between = (limit(now, step), limit(blurred, step), limit(before, step))
    yield "between whole numbers", between
