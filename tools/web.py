"""Builds the page of `web/` with its libraries and models as static files in `build/web`.

    python tools/web.py [WxH ...]      # or: make web SIZES="WxH ..."; wants `npm install` in web/

Models are written for common sizes; `export --format pixels` makes others.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.export.pixels.model_file import Frame, parse_size
from vmaf_jax.export.pixels.runtime import PixelsModel
from vmaf_jax.files import atomic_path, write_text
from vmaf_jax.scoring.pixels import find_source, make_pixels, prove_features

DEFAULT_MODELS = ("vmaf_v0.6.1", "tiny", "nano", "rbf")
DEFAULT_SIZES = (
    *("352x288", "576x324", "640x360", "768x432", "854x480"),
    *("960x540", "1280x720", "1920x1080", "3840x2160"),
)
# Files of onnxruntime-web: for WebAssembly, and for WebGPU.
RUNTIME = (
    "ort.wasm.min.mjs",
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm",
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
DEMUXER = "mediabunny.min.mjs"  # mediabunny (MPL-2.0), as published


def build_page(source: Path, out: Path, models: Sequence[str], sizes: Sequence[str]) -> None:
    """Writes the page to the folder `out`, whole or not at all.

    Args:
        source: The folder `web/`, with its `node_modules`.
        models: Models that the page offers, as `--model` names them; the first is the default.
        sizes: Sizes of pictures to write models for, `WxH`.

    Raises:
        InputError: A library's files are missing, or a model or a size is not known.
        GateError: A graph's features are farther from JAX than their limit.
    """
    modules = source / "node_modules"
    libraries = {f"ort/{name}": modules / "onnxruntime-web" / "dist" / name for name in RUNTIME} | {
        f"lib/{DEMUXER}": modules / "mediabunny" / "dist" / "bundles" / DEMUXER
    }
    for path in libraries.values():
        if not path.is_file():
            raise InputError(f"{path}: is missing; run `npm install` in {source}.")
    pages = [path for kind in ("html", "css", "js") for path in sorted(source.glob(f"*.{kind}"))]
    with atomic_path(out.absolute()) as folder:
        for name in ("ort", "lib", "models"):
            (folder / name).mkdir(parents=True)
        for path in pages:
            (folder / path.name).write_bytes(path.read_bytes())
        for name, path in libraries.items():
            (folder / name).write_bytes(path.read_bytes())
        index = {model: _write_models(folder, model, sizes) for model in models}
        write_text(folder / "models" / "index.json", json.dumps(index, indent=1) + "\n")


def _write_models(folder: Path, model: str, sizes: Sequence[str]) -> dict[str, str]:
    """Writes a model for every size; returns paths relative to the page, by size."""
    source = find_source(model)
    paths = {}
    for size in sizes:
        width, height = parse_size(size)
        path = f"models/{source.origin.name}_{width}x{height}.onnx"
        file = make_pixels(source, Frame(width, height))
        prove_features(PixelsModel(file, folder / path))
        (folder / path).write_bytes(file.model.SerializeToString(deterministic=True))
        paths[f"{width}x{height}"] = path
    return paths


if __name__ == "__main__":
    try:
        build_page(Path("web"), Path("build/web"), DEFAULT_MODELS, sys.argv[1:] or DEFAULT_SIZES)
    except InputError as error:
        print(f"web: {error}", file=sys.stderr)
        sys.exit(2)
