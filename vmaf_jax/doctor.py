"""What this machine has: the parts that extraction, training and export need."""

import importlib.util
import platform
from importlib import metadata
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.ffmpeg import find_ffmpeg
from vmaf_jax.files import cache_dir

_PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "jax2onnx", "onnx", "onnxruntime")


def examine() -> dict[str, Any]:
    """Findings by name; `problems` lists what is missing and the mend."""
    import jax
    import onnxruntime

    problems = []
    try:
        ffmpeg = find_ffmpeg()
        ffmpeg_found = f"{ffmpeg.version} with libvmaf, at {ffmpeg.path}"
    except InputError as error:
        ffmpeg_found = "none with libvmaf"
        problems.append(str(error))
    demo = [each for each in ("skimage", "skvideo") if importlib.util.find_spec(each) is None]
    return {
        "python": f"{platform.python_version()} on {platform.machine()} {platform.system()}",
        "packages": {name: metadata.version(name) for name in ("vmaf-jax", *_PACKAGES)},
        "jax devices": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "onnxruntime providers": onnxruntime.get_available_providers(),
        "ffmpeg": ffmpeg_found,
        "demo corpus": "ready" if not demo else "needs `pip install 'vmaf-jax[demo]'`",
        "cache": str(cache_dir()),
        "problems": problems,
    }
