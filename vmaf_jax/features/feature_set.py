"""Feature sets: the features that a model takes, in their order, and libvmaf's names for them.

This is the one home of names and order: the rest of the code iterates a `FeatureSet`. The sets of
VMAF v1 (cambi, speed_chroma_uv, adm3, motion3) supplement those of v0.6.1; its models differ in
viewing distance and display, and in how motion is taken, so each has a set of its own.
Source: libvmaf's JSON log, its feature names (`feature_name.c`) and its model files
(`feature_names`, `feature_opts_dicts`).
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from vmaf_jax.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Option = bool | int | float | str


@dataclasses.dataclass(frozen=True)
class FeatureSet:
    """An ordered set of features.

    Attributes:
        name: what tables and models record, e.g. `vmaf`.
        names: column names, in the order every array has on its last axis.
        model_names: what libvmaf's model files call each, which says who computes it: the integer
            extractors (`VMAF_integer_feature_...`) or the float ones (`VMAF_feature_...`).
        libvmaf_keys: the key of each in the frames of libvmaf's JSON log.
        libvmaf_model: a model built into libvmaf whose extraction yields exactly these.
        lower, upper: the physical range of each; no unit.
        reference_only: those that depend on the reference alone (they tell sources apart).
        gain_limit: the largest contrast gain that VIF and ADM count; no unit.
        identical: what each is where the two pictures are the same; no unit.
        ordered: those that never fall from one to the next, as VIF from fine to coarse.
        planes: of a picture that they are computed from: 1 is luma, 3 luma and chroma.
        least_bits: of a sample that pictures are brought to before they are measured.
        options: libvmaf's options of the features, name and value, where they are not its defaults.
        teacher: the model whose scores label a table of these features unless others are named.
    """

    name: str
    names: tuple[str, ...]
    model_names: tuple[str, ...]
    libvmaf_keys: tuple[str, ...]
    libvmaf_model: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    reference_only: tuple[str, ...]
    identical: tuple[float, ...]
    gain_limit: float = 100.0
    ordered: tuple[str, ...] = ()
    planes: int = 1
    least_bits: int = 8
    options: tuple[tuple[str, Option], ...] = ()
    teacher: str = "vmaf_v0.6.1"

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def possible(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of each feature over all pairs of videos; no unit.

        With the contrast gain limited to g, VIF is at most log2(1 + g^2), which a signal as weak as
        its noise has, and ADM at most g. Motion is a mean difference of 8-bit luma. `lower` and
        `upper` are narrower: between them real encodes lie. libvmaf rounds, hence the tolerance.
        """
        gain = self.gain_limit
        most = {"adm2": gain, "motion2": 255.0} | dict.fromkeys(
            self.ordered, math.log2(1 + gain**2)
        )
        ends = zip(self.names, self.lower, self.upper, strict=True)
        return {n: (low - 1e-3, most.get(n, high) + 1e-3) for n, low, high in ends}

    def option(self, name: str) -> Option:
        """Returns libvmaf's option of that name: the set's, or else the default."""
        return {**DEFAULT_OPTIONS, **dict(self.options)}[name]

    def options_of(self, name: str) -> dict[str, Option]:
        """Returns the options of one feature that are not libvmaf's defaults."""
        return {key: value for key, value in self.options if is_option_of(key, name)}

    def is_alike_in_jax(self, other: "FeatureSet") -> bool:
        """Tells whether JAX computes both sets alike: it has float extractors alone."""
        return (self.names, self.options) == (other.names, other.options)


def is_option_of(key: str, name: str) -> bool:
    """Tells whether an option is of a feature: both begin alike, as `adm_min_val` and `adm3`."""
    return name.startswith(key.partition("_")[0])


# Options of libvmaf's features that a model file may name without changing anything.
DEFAULT_OPTIONS: Mapping[str, Option] = {
    "adm_enhn_gain_limit": 100.0,
    "vif_enhn_gain_limit": 100.0,
    "adm_norm_view_dist": 3.0,
    "adm_ref_display_height": 1080,
    "speed_kernelscale": 1.0,
    "speed_prescale": 1.0,
    "speed_prescale_method": "nearest",
    "motion_five_frame_window": False,
    "motion_moving_average": False,
    "motion_force_zero": False,
}


_NAMES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
_INTEGER_NAMES = tuple(f"VMAF_integer_feature_{name}_score" for name in _NAMES)
_FLOAT_NAMES = tuple(f"VMAF_feature_{name}_score" for name in _NAMES)
_NEG_OPTIONS: tuple[tuple[str, Option], ...] = (
    ("adm_enhn_gain_limit", 1.0),
    ("vif_enhn_gain_limit", 1.0),
)
_LOWER = (0.0,) * 6
# A VIF a little above 1 is contrast gained; motion2 is a mean absolute luma difference (8-bit).
_UPPER = (1.001,) * 5 + (30.0,)
_IDENTICAL = (1.0,) * 5 + (0.0,)

FEATURES = FeatureSet(
    name="vmaf",
    names=_NAMES,
    model_names=_INTEGER_NAMES,
    libvmaf_keys=tuple(f"integer_{name}" for name in _NAMES),
    libvmaf_model="vmaf_v0.6.1",
    lower=_LOWER,
    upper=_UPPER,
    reference_only=("motion2",),
    identical=_IDENTICAL,
    ordered=_NAMES[1:5],
)

# The same six under an enhancement gain limit of 1: what the NEG models are asked with.
NEG_FEATURES = dataclasses.replace(
    FEATURES,
    name="vmaf_neg",
    libvmaf_keys=tuple(
        "integer_motion2" if name == "motion2" else f"integer_{name}_egl_1" for name in _NAMES
    ),
    libvmaf_model="vmaf_v0.6.1neg",
    gain_limit=1.0,
    options=_NEG_OPTIONS,
)

# The same six from libvmaf's float extractors, which Netflix's `vmaf_float_*` models and
# `vmaf_v0.6.0` ask for; also a second opinion on what the integer ones compute.
FLOAT_FEATURES = dataclasses.replace(
    FEATURES,
    name="vmaf_float",
    model_names=_FLOAT_NAMES,
    libvmaf_keys=_NAMES,
    libvmaf_model="vmaf_float_v0.6.1",
)

FLOAT_NEG_FEATURES = dataclasses.replace(
    NEG_FEATURES,
    name="vmaf_float_neg",
    model_names=_FLOAT_NAMES,
    libvmaf_keys=tuple(name if name == "motion2" else f"{name}_egl_1" for name in _NAMES),
    libvmaf_model="vmaf_float_v0.6.1neg",
)

_V1_NAMES = ("cambi", "speed_chroma_uv", "adm3", "motion3")
_V1_OPTIONS: tuple[tuple[str, Option], ...] = (
    ("cambi_high_res_speedup", 1080),
    ("cambi_vis_lum_threshold", 0.06),
    ("cambi_max_val", 17.0),
    ("speed_nn_floor", 0.1),
    ("speed_sigma_nn", 0.19),
    ("speed_weight_var_mode", 5),
    ("speed_max_val", 45.0),
    ("adm_dlm_weight", 0.7),
    ("adm_enhn_gain_limit", 1.0),
    ("adm_noise_weight", 0.02),
    ("adm_min_val", 0.5),
    ("adm_csf_mode", 2),
    ("motion_max_val", 18.0),
)
_HIGH_FRAME_RATE = {"motion_five_frame_window": True, "motion_moving_average": True}
# By viewing condition: distance in picture heights, display lines, and how chroma is scaled first.
_VIEWS: Mapping[str, Mapping[str, Option]] = {
    "3d0h": {},
    "5d0h": {
        "adm_norm_view_dist": 5.0,
        "speed_prescale": 0.6,
        "speed_prescale_method": "bilinear",
    },
    "3d0h_2160": {
        "adm_ref_display_height": 2160,
        "speed_prescale": 0.5,
        "speed_prescale_method": "bilinear",
    },
    "1d5h_2160": {"adm_norm_view_dist": 1.5, "adm_ref_display_height": 2160},
}


def _v1(view: str, *, high_frame_rate: bool) -> FeatureSet:
    variant = f"hfr_{view}" if high_frame_rate else view
    own = {**_VIEWS[view], **(_HIGH_FRAME_RATE if high_frame_rate else {})}
    scaled = "_ps_{speed_prescale:g}_psm_{speed_prescale_method}" if "speed_prescale" in own else ""
    distance = "_nvd_{adm_norm_view_dist:g}" if "adm_norm_view_dist" in own else ""
    lines = "_rdh_{adm_ref_display_height}" if "adm_ref_display_height" in own else ""
    keys = (
        "cambi_hrs_1080_cmxv_17_vlt_0.06",
        f"speed_chroma_uv_mxv_45_nnf_0.1{scaled}_snn_0.19_wvm_5",
        f"integer_adm3_csf_2_dlmw_0.7_egl_1_min_0.5_nw_0.02{distance}{lines}",
        "integer_motion3_mffw_mmxv_18_mma" if high_frame_rate else "integer_motion3_mmxv_18",
    )
    model = f"vmaf_v1.0.16_{variant}"
    return FeatureSet(
        name="vmaf_v1" if variant == "3d0h" else f"vmaf_v1_{variant}",
        names=_V1_NAMES,
        model_names=(
            "Cambi_feature_cambi_score",
            "Speed_chroma_feature_speed_chroma_uv_score",
            "VMAF_integer_feature_adm3_score",
            "VMAF_integer_feature_motion3_score",
        ),
        libvmaf_keys=tuple(key.format(**own) for key in keys),
        libvmaf_model=model,
        lower=(0.0, 0.0, 0.5, 0.0),
        upper=(17.0, 45.0, 1.001, 18.0),
        reference_only=("motion3",),
        identical=(0.0, 0.0, 1.0, 0.0),
        gain_limit=1.0,
        planes=3,
        least_bits=10,  # Netflix's advice for encodes of 8 bits too: 8 bits hide banding
        options=(*_V1_OPTIONS, *own.items()),
        teacher=model,
    )


V1_SETS = tuple(_v1(view, high_frame_rate=fast) for fast in (False, True) for view in _VIEWS)
V1_FEATURES = V1_SETS[0]

FEATURE_SETS = {
    s.name: s for s in (FEATURES, NEG_FEATURES, FLOAT_FEATURES, FLOAT_NEG_FEATURES, *V1_SETS)
}


OUTPUT_RANGE = (0.0, 100.0)
HIGHEST = 110.0  # score of any model: VMAF v1's for 2160p@3H, which goes beyond that range
MIN_SIZE = 17  # pixels; in fewer, ADM's coarsest band is one sample and has no neighbours


def check_features(features: "npt.ArrayLike", feature_set: FeatureSet) -> "npt.NDArray[np.float64]":
    """Returns `features` as float64 `[n, features]`.

    Raises:
        InputError: another shape, or a value that is NaN or infinite; names row and feature.
    """
    import numpy as np  # here, since `--help` and a server load the sets without NumPy

    try:
        x = np.asarray(features, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"features are no array of numbers ({error}); pass [n, d].") from error
    if x.ndim != 2 or x.shape[1] != len(feature_set):
        raise InputError(
            f"features have shape {x.shape}; expected [n, {len(feature_set)}], in the order "
            f"{', '.join(feature_set)}."
        )
    bad = np.argwhere(~np.isfinite(x))
    if bad.size:
        row, column = bad[0]
        raise InputError(
            f"features: row {row}, {feature_set.names[column]} is {x[row, column]}, expected a "
            f"finite number; extract that clip again."
        )
    return x
