"""`registry.json`: which models a folder offers to hosts, and that they are what it says.

Schema 1: an entry a file. Paths are relative to the registry's folder and stay in it. A host finds
a file's sidecar at `<basename>.json`, and the quantised form of a model at `<basename>.int8.onnx`.
"""

from pathlib import Path
from typing import Literal

import pydantic

from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.export.quantize import BUDGET_PLCC
from vmaf_jax.export.sidecar import check_sidecar, first_reason, sidecar_path
from vmaf_jax.files import read_limited

MAX_BYTES = 16 << 20
_SHA256 = r"^[0-9a-f]{64}$"
_SPDX = r"^[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*$"


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


def verify_registry(path: Path) -> Registry:
    """Reads a registry and holds every file that it names against it.

    Raises:
        InputError: the registry breaks its schema, or a file is missing, outside its folder,
            changed, outside the ONNX contract, or at odds with its sidecar.
    """
    content = read_limited(path, "REGISTRY_BYTES", MAX_BYTES)
    try:
        registry = Registry.model_validate_json(content)
    except pydantic.ValidationError as error:
        raise InputError(f"{path}: {first_reason(error)}; correct it.") from error
    folder = path.parent.resolve()
    for entry in registry.models:
        onnx = (folder / entry.onnx).resolve()
        if not onnx.is_relative_to(folder):
            raise InputError(f"{path}: {entry.id}: {entry.onnx} leads out of the folder; move it.")
        load_onnx(onnx)
        beside = sidecar_path(onnx)
        if beside.is_file() and beside.resolve() != beside:
            raise InputError(
                f"{path}: {entry.id}: {beside.name} is a link to another file; copy that file."
            )
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
    return registry
