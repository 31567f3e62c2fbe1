"""Bounds of a server: what it may read, where it may write, and how much it does at once."""

import dataclasses
import os
from pathlib import Path

from vmaf_jax.errors import InputError

ALLOW = "VMAF_JAX_MCP_ALLOW"
TOKEN = "VMAF_JAX_MCP_TOKEN"  # noqa: S105 (the name of a variable)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Bounds of a server.

    Attributes:
        allow: folders below which files are read, resolved.
        out: the folder below which files are written (and may be read again), absolute.
        workers: calls that run side by side.
        queue: calls that may wait for their turn; one more is refused.
        max_bytes: size of the largest file that is read.
        seconds: longest run time of a call; trainings, benchmarks and measurements of many videos
            may take `long_seconds`.
    """

    allow: tuple[Path, ...]
    out: Path
    workers: int = 2
    queue: int = 256
    max_bytes: int = 16 << 30
    seconds: float = 600.0
    long_seconds: float = 3600.0


def make_settings(allow: list[Path] | None, out: Path | None, workers: int | None) -> Settings:
    """Makes settings from options, else from the environment, else from the working folder.

    Args:
        allow: folders to read below; by default those in `VMAF_JAX_MCP_ALLOW` (separated as in
            `PATH`), else the working folder.
        out: folder to write below; by default `runs/mcp`.
        workers: calls side by side; by default one per core, at most 4.

    Raises:
        InputError: a folder to read below does not exist.
    """
    named = [Path(part) for part in os.environ.get(ALLOW, "").split(os.pathsep) if part]
    folders = []
    for folder in allow or named or [Path()]:
        try:
            resolved = folder.expanduser().resolve(strict=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise InputError(f"{folder}: no such folder to allow; correct {ALLOW}.") from error
        if not resolved.is_dir():
            raise InputError(f"{folder}: not a folder; {ALLOW} names folders.")
        folders.append(resolved)
    folder_out = (out or Path("runs") / "mcp").expanduser().absolute().resolve()
    return Settings(tuple(folders), folder_out, workers or min(4, os.cpu_count() or 1))
