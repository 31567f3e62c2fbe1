"""Finding a run folder: a path, or the name of a shipped model."""

from pathlib import Path

from vmaf_jax.errors import InputError, did_you_mean
from vmaf_jax.files import data_folder


def checkpoints() -> Path:
    """Returns the folder of the shipped models: in the package, or beside it in a checkout."""
    return data_folder("checkpoints")


def shipped_onnx(name: str) -> Path | None:
    """Returns the exported file of a shipped model; None where `name` is not that of one."""
    # Among those there are: a name may be none that a file system takes.
    exported = (path for path in checkpoints().glob("*/model.onnx") if path.parent.name == name)
    return next(exported, None)


def find_run(model: str) -> Path:
    """Returns the folder of a run or of a shipped model.

    Raises:
        InputError: `model` names neither.
    """
    shipped = checkpoints() / model
    try:
        if Path(model).name == model and (shipped / "config.yaml").is_file():
            return shipped  # a folder of that name is written as a path: ./tiny
        if Path(model).is_dir():
            return Path(model)
    except (OSError, ValueError):
        pass  # no name that a file system takes
    from vmaf_jax.teacher.model_file import known_teachers, refuse_old_kinds

    refuse_old_kinds(model)
    names = sorted(path.parent.name for path in checkpoints().glob("*/config.yaml"))
    own = ", ".join(known_teachers())
    raise InputError(
        f"model {model!r}: no run folder, .onnx or .json file, nor a shipped name "
        f"({', '.join(names) or 'none here'}), nor one of VMAF's own ({own}); check the name."
        f"{did_you_mean(model, [*names, *known_teachers()])}"
    )
