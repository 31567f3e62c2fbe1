"""Raises VMAF, VMAF-NEG and VMAF v1 of a photograph by gradient ascent on its pixels.

    python docs/examples/game_vmaf.py --out docs/gaming

A photograph is blurred a little, as an encoder would. From there, ascents change its luma by at
most a few steps a pixel, one on each metric. Each metric is then asked about all results, and so is
PSNR. VMAF v1 reads chroma too, which stays as it was blurred. It writes `gaming.png` and
`gaming.json`.
"""

import argparse
import functools
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vmaf_jax
from vmaf_jax.files import write_bytes, write_text
from vmaf_jax.reporting.plots import png

METRICS = {
    "VMAF": "vmaf_v0.6.1",
    "VMAF-NEG": "vmaf_v0.6.1neg",
    "VMAF v1": "vmaf_v1.0.16_3d0h",
}
Planes = tuple[np.ndarray, np.ndarray, np.ndarray]
REACH = 6.0  # luma steps that a pixel may move
RATE = 0.5  # luma steps a pixel moves at the most in a step


def photograph(size: int) -> Planes:
    """A square of a real photograph: Y `[1, size, size]`, U and V of half that, 0-255, BT.601."""
    try:
        from skimage import color, data
    except ImportError as error:
        raise SystemExit("scikit-image is missing: pip install '.[demo]' in a clone.") from error
    left, top = 60, 0
    colours = data.astronaut()[top : top + size, left : left + size]
    y, u, v = np.moveaxis(color.rgb2ycbcr(colours), -1, 0)
    half = [plane.reshape(size // 2, 2, -1, 2).mean((1, 3)) for plane in (u, v)]
    planes = (y.round(), half[0].round(), half[1].round())
    return tuple(plane[None].astype(np.float32) for plane in planes)


def blurred(picture: np.ndarray, deviation: float = 1.2) -> np.ndarray:
    """What is to be made better."""
    from scipy.ndimage import gaussian_filter

    return np.stack([gaussian_filter(frame, deviation) for frame in picture]).round()


def score(model: str, reference: Any, luma: Any, chroma: Any) -> jax.Array:
    """A metric's scores `[frames]` of a luma, not clipped, with `chroma` (U, V) where it counts."""
    if model == METRICS["VMAF v1"]:
        return vmaf_jax.vmaf(reference, (luma, *chroma), model=model, clip=False)
    return vmaf_jax.vmaf(reference[0], luma, model=model, clip=False)


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def climb(reference: Any, start: jax.Array, chroma: Any, *, model: str, steps: int) -> jax.Array:
    """`start` after steps along the sign of the metric's gradient, within `REACH` of it."""

    def total(luma: jax.Array) -> jax.Array:
        return score(model, reference, luma, chroma).sum()

    def step(k: int, luma: jax.Array) -> jax.Array:
        rate = RATE * (1 - k / steps)
        moved = luma + rate * jnp.sign(jax.grad(total)(luma))
        return jnp.clip(jnp.clip(moved, start - REACH, start + REACH), 0, 255)

    return jax.lax.fori_loop(0, steps, step, start)


def psnr_db(reference: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit luma."""
    return float(10 * np.log10(255**2 / np.mean(np.square(reference - picture))))


def run(size: int, steps: int) -> tuple[dict[str, np.ndarray], dict[str, dict[str, float]]]:
    """The luma of each picture, rounded to whole steps as a file holds it, and its figures."""
    reference = photograph(size)
    start, *chroma = (blurred(plane) for plane in reference)
    pictures = {"blurred": start}
    for name, model in METRICS.items():
        climbed = climb(reference, jnp.asarray(start), tuple(chroma), model=model, steps=steps)
        pictures[f"climbing {name}"] = np.asarray(climbed).round()
    figures = {}
    for name, luma in pictures.items():
        points = {
            metric: float(score(model, reference, luma, tuple(chroma))[0])
            for metric, model in METRICS.items()
        }
        figures[name] = points | {"PSNR (dB)": psnr_db(reference[0], luma)}
    return {"reference": reference[0]} | pictures, figures


def draw(pictures: dict[str, np.ndarray], figures: dict[str, dict[str, float]]) -> bytes:
    """The pictures above, what was changed of the blurred one below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes: Any = figure.subplots(2, len(pictures))
    for column, (name, picture) in enumerate(pictures.items()):
        axes[0, column].imshow(picture[0], cmap="gray", vmin=0, vmax=255)
        parts = [f"{key} {value:.1f}" for key, value in figures.get(name, {}).items()]
        lines = [name, ", ".join(parts[:2]), ", ".join(parts[2:])]
        axes[0, column].set_title("\n".join(lines), fontsize=7)
        change = picture[0] - pictures["blurred"][0]
        axes[1, column].imshow(change, cmap="gray", vmin=-REACH, vmax=REACH)
        axes[1, column].set_title(f"minus the blurred one, ±{REACH:g} steps", fontsize=7)
    for axis in axes.ravel():
        axis.axis("off")
    return png(figure)


def main(arguments: list[str] | None = None) -> dict[str, dict[str, float]]:
    """Parses, runs, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/gaming"), help="folder to write")
    parser.add_argument("--size", type=int, default=256, help="pixels each way")
    parser.add_argument("--steps", type=int, default=60, help="of each ascent")
    settings = parser.parse_args(arguments)
    pictures, figures = run(settings.size, settings.steps)
    write_bytes(settings.out / "gaming.png", draw(pictures, figures))
    write_text(settings.out / "gaming.json", json.dumps(figures, indent=2) + "\n")
    for name, entry in figures.items():
        print(name, ", ".join(f"{key} {value:.2f}" for key, value in entry.items()), sep=": ")
    return figures


if __name__ == "__main__":
    main()
