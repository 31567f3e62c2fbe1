"""What several tests do: run a command in this process, as a user would in one of its own."""

import contextlib
import dataclasses
import io
from pathlib import Path

from vmaf_jax.cli import main

ROOT = Path(__file__).parents[1]


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
