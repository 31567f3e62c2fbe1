"""The form in which VMAF v1 is measured: 10 bits, and CAMBI at the size of the encode.

Netflix recommends 10 bits for encodes of 8 bits too, since 8 bits hide banding from CAMBI, and to
pass the encode's size and depth to CAMBI where it was scaled. Source: `models_v1.md` of libvmaf.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FeatureSet
from vmaf_jax.files import read_limited
from vmaf_jax.teacher.model_file import MAX_BYTES, known_teachers
from vmaf_jax.video.geometry import EncodedFormat
from vmaf_jax.video.pixel_format import common_bits
from vmaf_jax.video.streams import DecodedStream


def reads_banding(name: str, path: Path | None) -> bool:
    """Returns whether a model is of VMAF v1's kind: over CAMBI or SpEED, with whichever options."""
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
    """Returns what a v1 model's entry in ffmpeg's libvmaf filter says of the encode, for CAMBI."""
    if encode is None:
        return ""
    values = {"width": encode.width, "height": encode.height, "bitdepth": encode.bits}
    return "".join(rf"\\:cambi.enc_{key}={value}" for key, value in values.items())


def libvmaf_keys(feature_set: FeatureSet, encode: EncodedFormat | None) -> tuple[str, ...]:
    """Returns a feature set's keys in libvmaf's log, which names options that it was given."""
    if encode is None or feature_set.planes == 1:
        return feature_set.libvmaf_keys
    suffix = f"_encbd_{encode.bits}_ench_{encode.height}_encw_{encode.width}"
    named = zip(feature_set, feature_set.libvmaf_keys, strict=True)
    return tuple(key + suffix if name == "cambi" else key for name, key in named)


def measured_bits(facts: Sequence[DecodedStream]) -> int:
    """Returns the bits of the samples that v1 measures: 10, or 12 where a video has 12."""
    reference, distorted = facts
    return common_bits(reference.pix_fmt, distorted.pix_fmt, least_bits=10)


def describe_v1_form(bits: int, encode: EncodedFormat | None) -> dict[str, object]:
    """Returns the entries of a result that say in which form v1 measured, `bits` a sample."""
    return {"v1_bits": bits, "v1_encode": None if encode is None else list(encode)}
