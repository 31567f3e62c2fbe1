"""Teachers by name or file, as libvmaf runs them and as tables name their columns."""

import dataclasses
import re
from pathlib import Path

from vmaf_jax.errors import InputError
from vmaf_jax.tables.table import RESERVED_COLUMNS
from vmaf_jax.teacher.model_file import check_model_file, refuse_old_kinds

# Neither ffmpeg's filter nor a column has to escape these.
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclasses.dataclass(frozen=True)
class LibvmafModel:
    """A model for libvmaf to run: one of its own when `path` is None, else a JSON file."""

    name: str
    path: Path | None = None


def resolve_teacher(name_or_path: str) -> LibvmafModel:
    """Returns libvmaf's own model of a name, or that of a JSON file, whose stem is its name.

    Raises:
        InputError: the file is missing or no sound model, or the name has characters no model has.
    """
    refuse_old_kinds(name_or_path)
    if name_or_path.endswith(".json"):
        path = Path(name_or_path)
        name = path.stem
    else:
        path, name = None, name_or_path
    if not _MODEL_NAME.fullmatch(name):
        raise InputError(f"teacher {name!r}: letters, digits, '.', '_' and '-' only; rename it.")
    if name in RESERVED_COLUMNS:
        raise InputError(f"teacher {name!r} has the name of another column; rename the file.")
    if path is not None:
        check_model_file(path)
    return LibvmafModel(name, path)


def resolve_teachers(names_or_paths: tuple[str, ...]) -> list[LibvmafModel]:
    """Returns the models of teachers, each once.

    Raises:
        InputError: as `resolve_teacher`, or two files share a name.
    """
    models = [resolve_teacher(name) for name in dict.fromkeys(names_or_paths)]
    names = [model.name for model in models]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"teacher {name!r} is named twice; rename one of the files.")
    return models
