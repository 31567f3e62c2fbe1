"""The ffmpeg that decodes and measures: which one, what it can do, and the one way to run it.

A user's own, named by `VMAF_JAX_FFMPEG`, comes first; then the one that imageio-ffmpeg carries.
"""

import contextlib
import dataclasses
import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from vmaf_jax.errors import InputError

ENVIRONMENT_VARIABLE = "VMAF_JAX_FFMPEG"


@dataclasses.dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg program with the libvmaf filter."""

    path: str
    version: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """An ffmpeg run that ended: its exit code, and all that it wrote to standard error."""

    code: int
    report: str


def run_ffmpeg(
    ffmpeg: Ffmpeg, arguments: Sequence[str], *, folder: Path | None = None, stdin: bytes = b""
) -> Finished:
    """Runs ffmpeg to its end.

    Args:
        arguments: after the program's name and `-hide_banner`; a list, never a shell's line.
        folder: its working folder.
        stdin: what it reads from standard input.

    Raises:
        InputError: the program cannot be started.
    """
    # SVT-AV1 writes its banner to standard error whatever ffmpeg's level is.
    environment = {**os.environ, "SVT_LOG": "1"}
    try:
        result = subprocess.run(
            [ffmpeg.path, "-hide_banner", *arguments],
            cwd=folder,
            input=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise _cannot_run(ffmpeg, error) from error
    return Finished(result.returncode, result.stderr.decode(errors="replace"))


class Stream:
    """A running ffmpeg whose standard output is read through a pipe."""

    def __init__(self, ffmpeg: Ffmpeg, arguments: Sequence[str]) -> None:
        """Starts it.

        Raises:
            InputError: the program cannot be started.
        """
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (see `close`)
        try:
            self._process = subprocess.Popen(
                [ffmpeg.path, "-hide_banner", "-nostdin", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise _cannot_run(ffmpeg, error) from error

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end."""
        pipe = self._process.stdout
        return pipe.readinto(view) if pipe is not None else 0  # type: ignore[attr-defined]

    def finish(self) -> Finished:
        """Reads the output that is left and waits for the end."""
        rest = memoryview(bytearray(1 << 20))
        with contextlib.suppress(OSError):
            while self.read_into(rest):
                pass
        code = self._process.wait()
        self._stderr.seek(0)
        return Finished(code, self._stderr.read().decode(errors="replace"))

    def close(self) -> None:
        """Ends it, wherever it is."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._stderr.close()


def _cannot_run(ffmpeg: Ffmpeg, error: OSError) -> InputError:
    return InputError(f"{ffmpeg.path}: cannot run ({error.strerror}); reinstall ffmpeg.")


def find_ffmpeg() -> Ffmpeg:
    """The first usable ffmpeg.

    Raises:
        InputError: none of the candidates runs and has the libvmaf filter.
    """
    candidates = _candidates()
    for path in candidates:
        version, has_libvmaf = _inspect(path)
        if has_libvmaf:
            return Ffmpeg(path, version)
    tried = ", ".join(Path(path).as_posix() for path in candidates) or "none to be had"
    raise InputError(
        f"no ffmpeg with the libvmaf filter (tried: {tried}); point {ENVIRONMENT_VARIABLE} at one "
        f"built with --enable-libvmaf, or reinstall imageio-ffmpeg."
    )


def _candidates() -> list[str]:
    import imageio_ffmpeg

    candidates: list[str] = []
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        candidates.append(str(Path(shutil.which(chosen) or chosen).absolute()))
    with contextlib.suppress(RuntimeError):  # the package has no binary for this platform
        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    return candidates


@functools.lru_cache
def _inspect(path: str) -> tuple[str, bool]:
    """The version line of the program at `path`, and whether it has the libvmaf filter."""
    try:
        version, filters = (
            subprocess.run(
                [path, "-hide_banner", question], capture_output=True, text=True, check=True
            ).stdout
            for question in ("-version", "-filters")
        )
    except (OSError, subprocess.CalledProcessError):
        return "", False
    match = re.match(r"ffmpeg version (\S+)", version)
    return (match[1] if match else "unknown"), " libvmaf " in filters
