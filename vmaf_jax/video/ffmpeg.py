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
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

from vmaf_jax.errors import InputError
from vmaf_jax.files import limit, no_temporary, work_folder
from vmaf_jax.video.inputs import Video, check_video

ENVIRONMENT_VARIABLE = "VMAF_JAX_FFMPEG"
MAX_SECONDS = 24 * 3600  # of one run; a file without an end is ended then
_MOST_SECONDS = 2_000_000  # the system's clocks wait for no longer: 2**31 ms
_INSPECTION_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg program with the libvmaf filter."""

    path: str
    version: str


@dataclasses.dataclass(frozen=True)
class Finished:
    """An ffmpeg run that ended.

    Attributes:
        code: its exit code.
        report: all that it wrote to standard error, levels off the lines that describe inputs.
        faults: the lines at error level, and those on corrupt frames, where levels are told.
    """

    code: int
    report: str
    faults: tuple[str, ...] = ()


_LEVEL = re.compile(r"^\[info\] ", re.M)
_FAULT = re.compile(r"^.*(?:\[(?:fatal|error)\] |\[warning\] corrupt decoded frame).*$", re.M)


def _finished(code: int, written: bytes) -> Finished:
    text = written.decode(errors="replace")
    return Finished(code, _LEVEL.sub("", text), tuple(_FAULT.findall(text)))


def run_ffmpeg(
    ffmpeg: Ffmpeg, arguments: Sequence[str], *, folder: Path | None = None, stdin: bytes = b""
) -> Finished:
    """Runs ffmpeg to its end.

    Args:
        arguments: after the program's name and `-hide_banner`; a list, never a shell's line.
        folder: its working folder.
        stdin: what it reads from standard input.

    Raises:
        InputError: the program cannot be started, or runs longer than `VMAF_JAX_MAX_SECONDS`.
    """
    seconds = min(limit("SECONDS", MAX_SECONDS), _MOST_SECONDS)
    # SVT-AV1 writes its banner to standard error whatever ffmpeg's level is.
    environment = {**os.environ, "SVT_LOG": "1"}
    try:
        process = _RUNNING.start(
            [ffmpeg.path, "-hide_banner", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        raise _cannot_run(ffmpeg, error) from error
    try:
        _, written = process.communicate(stdin, timeout=seconds)
    except BaseException as error:
        process.kill()
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise _too_long(seconds) from error
        raise
    finally:
        _RUNNING.discard(process)
    return _finished(process.returncode, written)


class _Running:
    """The processes that run now, so that none outlives a program that is told to end."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(self, command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
        """Starts a process. The lock is held meanwhile, so that `end` misses none."""
        with self._lock:
            if not self._ended:
                process = subprocess.Popen(command, **options)
                self._processes.add(process)
                return process
        return _wait_for_the_end()

    def discard(self, process: "subprocess.Popen[bytes]") -> None:
        """Forgets a process that ended; one that `end` killed is no failure to be reported."""
        with self._lock:
            self._processes.discard(process)
            ended = self._ended
        if ended:
            _wait_for_the_end()

    def end(self) -> None:
        with self._lock:
            self._ended = True
            for process in self._processes:
                with contextlib.suppress(OSError):
                    process.kill()


def _wait_for_the_end() -> NoReturn:
    """Another thread is about to end the program (`vmaf_jax.interrupts`)."""
    while True:
        threading.Event().wait()


_RUNNING = _Running()


def end_all() -> None:
    """Kills every ffmpeg of this program; it starts no other, and waits for its end."""
    _RUNNING.end()


class Stream:
    """A running ffmpeg whose standard output is read through a pipe."""

    def __init__(self, ffmpeg: Ffmpeg, arguments: Sequence[str]) -> None:
        """Starts it.

        Raises:
            InputError: the program cannot be started.
        """
        seconds = min(limit("SECONDS", MAX_SECONDS), _MOST_SECONDS)
        try:
            self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (see `close`)
        except OSError as error:
            raise no_temporary(error) from error
        try:
            self._process = _RUNNING.start(
                [ffmpeg.path, "-hide_banner", "-nostdin", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=0,
            )
        except OSError as error:
            self._stderr.close()
            raise _cannot_run(ffmpeg, error) from error
        self._seconds, self._late = seconds, threading.Event()
        self._timer = threading.Timer(seconds, self._end_late)
        self._timer.daemon = True
        self._timer.start()

    def _end_late(self) -> None:
        self._late.set()
        with contextlib.suppress(OSError):
            self._process.kill()

    def read_into(self, view: memoryview) -> int:
        """Bytes read into `view`, 0 at the end."""
        pipe = self._process.stdout
        return pipe.readinto(view) if pipe is not None else 0  # type: ignore[attr-defined]

    def finish(self) -> Finished:
        """Reads the output that is left and waits for the end.

        Raises:
            InputError: it ran longer than `VMAF_JAX_MAX_SECONDS`.
        """
        rest = memoryview(bytearray(1 << 20))
        with contextlib.suppress(OSError):
            while self.read_into(rest):
                pass
        code = self._process.wait()
        if self._late.is_set():
            raise _too_long(self._seconds)
        self._stderr.seek(0)
        return _finished(code, self._stderr.read())

    def close(self) -> None:
        """Ends it, wherever it is."""
        self._timer.cancel()
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        _RUNNING.discard(self._process)
        self._stderr.close()


def _cannot_run(ffmpeg: Ffmpeg, error: OSError) -> InputError:
    return InputError(f"{ffmpeg.path}: cannot run ({error.strerror}); reinstall ffmpeg.")


def _too_long(seconds: int) -> InputError:
    return InputError(
        f"ffmpeg ran for {seconds} s on this pair and was ended; check that both files end, or set "
        f"VMAF_JAX_MAX_SECONDS."
    )


def find_ffmpeg() -> Ffmpeg:
    """The first usable ffmpeg.

    Raises:
        InputError: none of the candidates runs and has the libvmaf filter.
    """
    candidates = _candidates()
    if os.environ.get(ENVIRONMENT_VARIABLE) and not Path(candidates[0]).is_file():
        raise InputError(f"{ENVIRONMENT_VARIABLE}={candidates[0]}: no such program; correct it.")
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
                [path, "-hide_banner", question],
                capture_output=True,
                text=True,
                check=True,
                timeout=_INSPECTION_SECONDS,
            ).stdout
            for question in ("-version", "-filters")
        )
    except (OSError, subprocess.SubprocessError):
        return "", False
    match = re.match(r"ffmpeg version (\S+)", version)
    return (match[1] if match else "unknown"), " libvmaf " in filters


_EVERY = 0.5  # seconds
_FRAME = re.compile(r"^frame=(\d+)$", re.M)
_DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
_RATE = re.compile(r"([\d.]+) fps\b")


@contextlib.contextmanager
def frames_told(on_frames: Callable[[int], None] | None) -> Iterator[list[str]]:
    """ffmpeg's arguments that have it tell its progress; `on_frames` hears of it meanwhile.

    Args:
        on_frames: called with how many more frames are done; None asks for nothing.
    """
    if on_frames is None:
        yield []
        return
    ended, reported = threading.Event(), 0
    with work_folder() as folder:
        file = folder / "progress.txt"

        def look() -> None:
            nonlocal reported
            done = _FRAME.findall(file.read_text()) if file.is_file() else []
            if done and int(done[-1]) > reported:
                on_frames(int(done[-1]) - reported)
                reported = int(done[-1])

        def watch() -> None:
            while not ended.wait(_EVERY):
                look()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield ["-progress", f"file:{Path(file)}", "-stats_period", str(_EVERY)]
        finally:
            ended.set()
            thread.join()
            look()


def about_frames(ffmpeg: Ffmpeg, video: Video) -> int | None:
    """Frames of a video as its header says, for a bar; None where it does not say.

    Raises:
        InputError: as `check_video`.
    """
    if (count := check_video(video)) is not None:
        return count
    report = run_ffmpeg(ffmpeg, ["-nostdin", *video.arguments()]).report
    duration, rate = _DURATION.search(report), _RATE.search(report)
    if duration is None or rate is None:
        return None
    hours, minutes, seconds = map(float, duration.groups())
    return max(1, round(((hours * 60 + minutes) * 60 + seconds) * float(rate[1])))
