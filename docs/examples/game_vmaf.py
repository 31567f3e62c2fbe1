"""Raises VMAF, and VMAF-NEG, of a photograph by gradient ascent on its pixels, and looks at it.

    python docs/examples/game_vmaf.py --out docs/gaming

A photograph is blurred a little, as an encoder would. From there, two ascents change the picture by
at most a few luma steps a pixel: one on VMAF, one on VMAF-NEG. Each metric is then asked about both
results, and so is PSNR. It writes `gaming.png` and `gaming.json`.
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

METRICS = {"VMAF": "vmaf_v0.6.1", "VMAF-NEG": "vmaf_v0.6.1neg"}
REACH = 6.0  # luma steps that a pixel may move
RATE = 0.5  # luma steps a pixel moves at the most in a step


def photograph(size: int) -> np.ndarray:
    """A square of a real photograph, luma `[1, size, size]`, 0-255."""
    try:
        from skimage import data
    except ImportError as error:
        raise SystemExit("scikit-image is missing; pip install 'vmaf-jax[demo]'.") from error
    grey = data.camera()[:size, 100 : 100 + size]
    return grey[None].astype(np.float32)


def blurred(picture: np.ndarray, deviation: float = 1.2) -> np.ndarray:
    """What is to be made better."""
    from scipy.ndimage import gaussian_filter

    return np.stack([gaussian_filter(each, deviation) for each in picture]).round()


@functools.partial(jax.jit, static_argnames=("model", "steps"))
def climb(reference: jax.Array, start: jax.Array, *, model: str, steps: int) -> jax.Array:
    """`start` after steps along the sign of the metric's gradient, within `REACH` of it."""

    def score(picture: jax.Array) -> jax.Array:
        return vmaf_jax.vmaf(reference, picture, model=model, clip=False).sum()

    def step(k: int, picture: jax.Array) -> jax.Array:
        rate = RATE * (1 - k / steps)
        moved = picture + rate * jnp.sign(jax.grad(score)(picture))
        return jnp.clip(jnp.clip(moved, start - REACH, start + REACH), 0, 255)

    return jax.lax.fori_loop(0, steps, step, start)


def psnr_db(reference: np.ndarray, picture: np.ndarray) -> float:
    """Peak signal-to-noise ratio of 8-bit luma."""
    return float(10 * np.log10(255**2 / np.mean(np.square(reference - picture))))


def scores(reference: np.ndarray, picture: np.ndarray) -> dict[str, float]:
    """Both metrics (VMAF points, not clipped) and PSNR of one picture."""
    found = {
        name: float(vmaf_jax.vmaf(reference, picture, model=model, clip=False)[0])
        for name, model in METRICS.items()
    }
    return found | {"PSNR (dB)": psnr_db(reference, picture)}


def run(size: int, steps: int) -> tuple[dict[str, np.ndarray], dict[str, dict[str, float]]]:
    """The pictures, rounded to whole luma steps as a file holds them, and their scores."""
    reference = photograph(size)
    start = blurred(reference)
    pictures = {"blurred": start}
    for name, model in METRICS.items():
        found = climb(jnp.asarray(reference), jnp.asarray(start), model=model, steps=steps)
        pictures[f"climbing {name}"] = np.asarray(found).round()
    told = {name: scores(reference, picture) for name, picture in pictures.items()}
    return {"reference": reference} | pictures, told


def draw(pictures: dict[str, np.ndarray], told: dict[str, dict[str, float]]) -> bytes:
    """The pictures above, what was changed of the blurred one below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    axes: Any = figure.subplots(2, len(pictures))
    for column, (name, picture) in enumerate(pictures.items()):
        axes[0, column].imshow(picture[0], cmap="gray", vmin=0, vmax=255)
        figures = ", ".join(f"{key} {value:.1f}" for key, value in told.get(name, {}).items())
        axes[0, column].set_title(f"{name}\n{figures}", fontsize=7)
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
    pictures, told = run(settings.size, settings.steps)
    write_bytes(settings.out / "gaming.png", draw(pictures, told))
    write_text(settings.out / "gaming.json", json.dumps(told, indent=2) + "\n")
    for name, figures in told.items():
        print(name, ", ".join(f"{key} {value:.2f}" for key, value in figures.items()), sep=": ")
    return told


if __name__ == "__main__":
    main()
