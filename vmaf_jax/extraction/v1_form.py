"""The form in which VMAF v1 is measured: 10 bits, and CAMBI at the size of the encode.

Netflix recommends 10 bits for encodes of 8 bits too, since 8 bits hide banding from CAMBI, and to
pass the encode's size and depth to CAMBI where it was scaled. Source: `models_v1.md` of libvmaf.
"""

import json
from pathlib import Path
from typing import Any

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import read_limited
from vmaf_jax.teacher.model_file import MAX_BYTES, known_teachers
from vmaf_jax.video.geometry import EncodedFormat


def reads_banding(name: str, path: Path | None) -> bool:
    """Whether a model is one of VMAF v1's kind: over CAMBI or SpEED, with whichever options."""
    path = path or known_teachers().get(name)
    if path is None:
        return name.startswith("vmaf_v1")
    try:
        document = json.loads(read_limited(path, "MODEL_BYTES", MAX_BYTES))
        names = [str(entry) for entry in document["model_dict"]["feature_names"]]
    except (InputError, ValueError, KeyError, TypeError, RecursionError):
        return False  # libvmaf says what is wrong with it
    return any(not entry.startswith("VMAF_") for entry in names)


def model_options(encode: EncodedFormat | None) -> str:
    """The options of a model of VMAF v1 in ffmpeg's libvmaf filter, for its CAMBI."""
    if encode is None:
        return ""
    values = {"width": encode.width, "height": encode.height, "bitdepth": encode.bits}
    return "".join(rf"\\:cambi.enc_{key}={value}" for key, value in values.items())


def libvmaf_keys(feature_set: FeatureSet, encode: EncodedFormat | None) -> tuple[str, ...]:
    """The keys of a feature set in libvmaf's log, which says options that are not its defaults."""
    if encode is None or feature_set.planes == 1:
        return feature_set.libvmaf_keys
    suffix = f"_encbd_{encode.bits}_ench_{encode.height}_encw_{encode.width}"
    named = zip(feature_set, feature_set.libvmaf_keys, strict=True)
    return tuple(key + suffix if name == "cambi" else key for name, key in named)


def describe(bits: int, encode: EncodedFormat | None) -> dict[str, Any]:
    """What a result says of the form that VMAF v1 was measured in.

    Args:
        bits: of a sample, as measured.
    """
    return {"v1_bits": bits, "v1_encode": None if encode is None else list(encode)}
