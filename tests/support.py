"""What several tests do: run a command in this process, as a user would in one of its own."""

import contextlib
import dataclasses
import hashlib
import io
import platform
from pathlib import Path

import platformdirs

from vmaf_jax.cli import main

ROOT = Path(__file__).parents[1]


def programs_folder() -> Path:
    """Where compiled programs of earlier runs lie, whichever clone's, by kind of processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    flags = (line for line in lines if line.startswith(("flags", "Features")))
    kind = hashlib.sha256(next(flags, platform.machine()).encode()).hexdigest()[:12]
    return platformdirs.user_cache_path("vmaf-jax-tests", appauthor=False) / kind


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that ended: its exit code and what it wrote."""

    code: int
    stdout: str
    stderr: str


def run_command(*arguments: object) -> Finished:
    """Runs `vmaf-jax ARGUMENTS`; an escaping exception is a bug and escapes here too."""
    out, error, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main([str(argument) for argument in arguments], leave=False)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Finished(code, out.getvalue(), error.getvalue())
