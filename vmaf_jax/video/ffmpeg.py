"""The ffmpeg that decodes and measures: which one, what it can do, and the one way to run it.

A user's own, named by `VMAF_JAX_FFMPEG`, comes first; then the one that imageio-ffmpeg carries.
"""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

from vmaf_jax.errors import InputError
from vmaf_jax.files import cache_dir, limit, open_regular, temporary_error, work_folder, write_text
from vmaf_jax.video.inputs import Video, check_video, text_digest

ENVIRONMENT_VARIABLE = "VMAF_JAX_FFMPEG"
_MAX_SECONDS = 24 * 3600  # of one run; a file without an end is ended then
_LONGEST_WAIT = 2_000_000  # the system's clocks wait for no longer: 2**31 ms
_INSPECTION_SECONDS = 60

# The filter that pairs frames by number whatever their time stamps. libvmaf's filter pairs by time,
# and in Matroska's milliseconds the stamps of equal frames fall before or after each other.
BY_NUMBER = "settb=1/25,setpts=N"

# Of runs whose report is read: verbose, which tells the form and the number of frames, and with
# levels, by which faults are told from notes.
VERBOSE = ("-nostdin", "-nostats", "-v", "level+verbose")
# The end of a run that is made for its report or for what its filters write.
TO_NOTHING = ("-fps_mode", "passthrough", "-f", "null", "-")


@dataclasses.dataclass(frozen=True)
class Ffmpeg:
    """An ffmpeg program with the libvmaf filter."""

    path: str
    version: str


def find_ffmpeg() -> Ffmpeg:
    """Returns the first usable ffmpeg.

    Raises:
        InputError: none of the candidates runs and has the libvmaf filter.
    """
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if not chosen and (known := _recall_bundled()) is not None:
        return known
    import imageio_ffmpeg

    candidates: list[str] = []
    if chosen:
        program = Path(shutil.which(chosen) or chosen).absolute()
        if not program.is_file():
            raise InputError(f"{ENVIRONMENT_VARIABLE}={program}: no such program; correct it.")
        candidates.append(str(program))
    with contextlib.suppress(RuntimeError):  # the package has no binary for this platform
        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    for path in candidates:
        version, has_libvmaf = _inspect(path)
        if has_libvmaf:
            found = Ffmpeg(path, version)
            if not chosen:
                _remember_bundled(found)
            return found
    tried = ", ".join(Path(path).as_posix() for path in candidates) or "none to be had"
    raise InputError(
        f"no ffmpeg with the libvmaf filter (tried: {tried}); point {ENVIRONMENT_VARIABLE} at one "
        f"built with --enable-libvmaf, or reinstall imageio-ffmpeg."
    )


# Asking imageio-ffmpeg for its program and the program for its filters starts it twice, which takes
# a fifth of a cached score. Of that program alone the answer is kept: its file is all that it is.
def _bundled() -> tuple[Path, Path] | None:
    """Returns the folder of imageio-ffmpeg's program and the file that keeps what it is."""
    spec = importlib.util.find_spec("imageio_ffmpeg")
    if spec is None or spec.origin is None or "IMAGEIO_FFMPEG_EXE" in os.environ:
        return None
    folder = Path(spec.origin).parent / "binaries"
    return folder, cache_dir() / "programs" / f"{text_digest(str(folder))}.json"


def _identity(program: Path) -> list[int]:
    stat = program.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino]


def _recall_bundled() -> Ffmpeg | None:
    """Returns imageio-ffmpeg's program as it was found before; None where it has changed."""
    if (places := _bundled()) is None:
        return None
    folder, kept = places
    try:
        with open_regular(kept) as file:
            entry = json.load(file)
        program = folder / Path(entry["name"]).name
        if entry["identity"] == _identity(program):
            return Ffmpeg(str(program), str(entry["version"]))
    except (InputError, OSError, ValueError, KeyError, TypeError):
        pass  # it is asked again, and kept anew
    return None


def _remember_bundled(found: Ffmpeg) -> None:
    """Keeps what imageio-ffmpeg's program is, where the cache can be written."""
    places, program = _bundled(), Path(found.path)
    if places is None or program.parent != places[0]:
        return
    entry = {"name": program.name, "version": found.version, "identity": _identity(program)}
    with contextlib.suppress(InputError):
        write_text(places[1], json.dumps(entry))


@functools.lru_cache
def _inspect(path: str) -> tuple[str, bool]:
    """Returns the version of the program at `path`, and whether it has the libvmaf filter."""
    try:
        run = subprocess.run(
            [path, "-filters"],
            capture_output=True,
            text=True,
            check=True,
            timeout=_INSPECTION_SECONDS,
        )
    except (OSError, subprocess.SubprocessError):
        return "", False
    match = re.match(r"ffmpeg version (\S+)", run.stderr)
    return (match[1] if match else "unknown"), " libvmaf " in run.stdout


@dataclasses.dataclass(frozen=True)
class CompletedRun:
    """An ffmpeg run that ended.

    Attributes:
        code: its exit code.
        report: all that it wrote to standard error, levels off the lines that describe inputs.
        faults: the lines at error level, and those on corrupt frames, where levels are reported.
    """

    code: int
    report: str
    faults: tuple[str, ...] = ()

    @property
    def last_line(self) -> str:
        """The last line of the report, which names the cause where ffmpeg reports errors alone."""
        return (self.report.strip().splitlines() or ["no reason given"])[-1]


_INFO_LEVEL = re.compile(r"^\[info\] ", re.M)
_FAULT = re.compile(r"^.*(?:\[(?:fatal|error)\] |\[warning\] corrupt decoded frame).*$", re.M)


def run_ffmpeg(
    ffmpeg: Ffmpeg, arguments: Sequence[str], *, folder: Path | None = None, stdin: bytes = b""
) -> CompletedRun:
    """Runs ffmpeg to its end; arguments and errors are those of `FfmpegPipe` and its `finish`."""
    pipe = FfmpegPipe(ffmpeg, arguments, folder=folder, stdin=stdin)
    try:
        return pipe.finish()
    finally:
        pipe.close()


class FfmpegPipe:
    """A running ffmpeg whose standard output is read through a pipe."""

    def __init__(
        self,
        ffmpeg: Ffmpeg,
        arguments: Sequence[str],
        *,
        folder: Path | None = None,
        stdin: bytes = b"",
    ) -> None:
        """Starts it.

        Args:
            arguments: after the program's name and `-hide_banner`; a list, never a shell's line.
            folder: its working folder.
            stdin: what it reads from standard input.

        Raises:
            InputError: the program cannot be started, or there is no room for its messages.
        """
        self._seconds = min(limit("SECONDS", _MAX_SECONDS), _LONGEST_WAIT)
        command = [ffmpeg.path, "-hide_banner", *arguments]
        # Files and no further pipes, which would fill up and stop ffmpeg while nobody reads them.
        try:
            self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (see `close`)
            with tempfile.TemporaryFile() as source:
                source.write(stdin)
                source.seek(0)
                self._process = _PROCESSES.start(command, source, self._stderr, folder)
        except OSError as error:
            raise temporary_error(error) from error
        self._late = threading.Event()
        self._timer = threading.Timer(self._seconds, self._kill_late)
        self._timer.daemon = True
        self._timer.start()

    def _kill_late(self) -> None:
        self._late.set()
        with contextlib.suppress(OSError):
            self._process.kill()

    def read_into(self, view: memoryview) -> int:
        """Fills `view` as far as there is output; returns how many bytes came."""
        pipe, filled = self._process.stdout, 0
        while pipe and filled < len(view):
            count = pipe.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                break
            filled += count
        return filled

    def finish(self) -> CompletedRun:
        """Reads the output that is left and waits for the end.

        Raises InputError where it ran longer than `VMAF_JAX_MAX_SECONDS`.
        """
        rest = memoryview(bytearray(1 << 20))
        with contextlib.suppress(OSError):
            while self.read_into(rest):
                pass
        code = self._process.wait()
        if self._late.is_set():
            raise InputError(
                f"ffmpeg ran for {self._seconds} s on this pair and was ended; check that both "
                f"files end, or set VMAF_JAX_MAX_SECONDS."
            )
        self._stderr.seek(0)
        text = self._stderr.read().decode(errors="replace")
        return CompletedRun(code, _INFO_LEVEL.sub("", text), tuple(_FAULT.findall(text)))

    def close(self) -> None:
        """Ends it, wherever it is."""
        self._timer.cancel()
        self._timer.join()
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        _PROCESSES.discard(self._process)
        self._stderr.close()


class ProcessTable:
    """The processes that run now, so that none outlives a program that is to end."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def start(
        self,
        command: Sequence[str],
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stderr: int | IO[bytes] = subprocess.DEVNULL,
        folder: Path | None = None,
    ) -> "subprocess.Popen[bytes]":
        """Starts a process; raises InputError where the program cannot be started."""
        # SVT-AV1 writes its banner to standard error whatever ffmpeg's level is.
        environment = {**os.environ, "SVT_LOG": "1"}
        with self._lock:  # held until the process is listed, so that `kill_all` misses none
            if not self._ended:
                try:
                    process = subprocess.Popen(
                        command,
                        bufsize=0,
                        stdin=stdin,
                        stdout=subprocess.PIPE,
                        stderr=stderr,
                        cwd=folder,
                        env=environment,
                    )
                except OSError as error:
                    raise InputError(
                        f"{command[0]}: cannot run ({error.strerror}); reinstall ffmpeg."
                    ) from error
                self._processes.add(process)
                return process
        return _wait_for_the_end()

    def discard(self, process: "subprocess.Popen[bytes]") -> None:
        """Forgets a process that ended; one that `kill_all` killed is no failure to report."""
        with self._lock:
            self._processes.discard(process)
            ended = self._ended
        if ended:
            _wait_for_the_end()

    def kill_all(self) -> None:
        """Kills all of them, and starts no other."""
        with self._lock:
            self._ended = True
            for process in self._processes:
                with contextlib.suppress(OSError):
                    process.kill()


def _wait_for_the_end() -> NoReturn:
    """Waits for ever: another thread is about to end the program (`vmaf_jax.interrupts`)."""
    while True:
        threading.Event().wait()


_PROCESSES = ProcessTable()


def kill_all() -> None:
    """Kills every ffmpeg of this program; it starts no other, and waits for its end."""
    _PROCESSES.kill_all()


_PROGRESS_SECONDS = 0.5
_FRAME = re.compile(r"^frame=(\d+)$", re.M)
_DURATION = re.compile(r"Duration: (\d+):(\d+):([\d.]+)")
_RATE = re.compile(r"([\d.]+) fps\b")


@contextlib.contextmanager
def report_frames(on_frames: Callable[[int], None] | None) -> Iterator[list[str]]:
    """Yields arguments by which a run tells its progress, and passes that on while it is open.

    Args:
        on_frames: called with how many more frames are done; None asks for nothing.
    """
    if on_frames is None:
        yield []
        return
    ended, reported = threading.Event(), 0
    with work_folder() as folder:
        file = folder / "progress.txt"

        def report_new() -> None:
            nonlocal reported
            done = _FRAME.findall(file.read_text()) if file.is_file() else []
            if done and int(done[-1]) > reported:
                on_frames(int(done[-1]) - reported)
                reported = int(done[-1])

        def watch() -> None:
            while not ended.wait(_PROGRESS_SECONDS):
                report_new()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield ["-progress", f"file:{file}", "-stats_period", str(_PROGRESS_SECONDS)]
        finally:
            ended.set()
            thread.join()
            report_new()


def estimate_frames(ffmpeg: Ffmpeg, video: Video) -> int | None:
    """Returns the frames of a video as its header says, for a bar; None where it does not say."""
    if (count := check_video(video)) is not None:
        return count
    report = run_ffmpeg(ffmpeg, ["-nostdin", *video.arguments()]).report
    duration, rate = _DURATION.search(report), _RATE.search(report)
    if duration is None or rate is None:
        return None
    hours, minutes, seconds = map(float, duration.groups())
    return max(1, round(((hours * 60 + minutes) * 60 + seconds) * float(rate[1])))
