"""Which features a model sees, in which order, and what libvmaf calls them.

This is the one home of names and order: the rest of the code iterates a `FeatureSet`. A newer
family (cambi, speed_chroma_uv, adm3, motion3) becomes another `FeatureSet` beside these.
Source: libvmaf's JSON log and its model files (`feature_names`, `feature_opts_dicts`).
"""

import dataclasses
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """An ordered set of features.

    Attributes:
        name: what tables and models record, e.g. `vmaf`.
        names: column names, in the order every array has on its last axis.
        libvmaf_keys: the key of each in the frames of libvmaf's JSON log.
        libvmaf_model: a model built into libvmaf whose extraction yields exactly these.
        lower, upper: the physical range of each; no unit.
        reference_only: those that depend on the reference alone (they tell sources apart).
        gain_limit: the largest contrast gain that VIF and ADM count; no unit.
    """

    name: str
    names: tuple[str, ...]
    libvmaf_keys: tuple[str, ...]
    libvmaf_model: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    reference_only: tuple[str, ...]
    gain_limit: float = 100.0

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


_NAMES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
_LOWER = (0.0,) * 6
# A VIF a little above 1 is contrast gained; motion2 is a mean absolute luma difference (8-bit).
_UPPER = (1.001,) * 5 + (30.0,)

FEATURES = FeatureSet(
    name="vmaf",
    names=_NAMES,
    libvmaf_keys=tuple(f"integer_{name}" for name in _NAMES),
    libvmaf_model="vmaf_v0.6.1",
    lower=_LOWER,
    upper=_UPPER,
    reference_only=("motion2",),
)

# The same six under an enhancement gain limit of 1: what the NEG models are asked with.
NEG_FEATURES = FeatureSet(
    name="vmaf_neg",
    names=_NAMES,
    libvmaf_keys=(*(f"integer_{name}_egl_1" for name in _NAMES[:-1]), "integer_motion2"),
    libvmaf_model="vmaf_v0.6.1neg",
    lower=_LOWER,
    upper=_UPPER,
    reference_only=("motion2",),
    gain_limit=1.0,
)

# The same six from libvmaf's float extractors: a second opinion on what the integer ones compute.
FLOAT_FEATURES = FeatureSet(
    name="vmaf_float",
    names=_NAMES,
    libvmaf_keys=_NAMES,
    libvmaf_model="vmaf_float_v0.6.1",
    lower=_LOWER,
    upper=_UPPER,
    reference_only=("motion2",),
)

FEATURE_SETS = {s.name: s for s in (FEATURES, NEG_FEATURES, FLOAT_FEATURES)}
