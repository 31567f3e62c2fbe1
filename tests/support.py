"""What several tests do: run a command in this process, as a user would in one of its own."""

import contextlib
import dataclasses
import hashlib
import io
import json
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

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


@contextlib.contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Fails each write beyond `size` bytes of a file half-way, as a full disk does.

    Modules that are imported meanwhile leave no bytecode: Python 3.11 would keep half of it, on
    which every later process fails.
    """
    limits, writes = resource.getrlimit(resource.RLIMIT_FSIZE), sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        sys.dont_write_bytecode = writes


def bare_libvmaf(
    ffmpeg: str,
    reference: Path,
    distorted: Path,
    model: str,
    *,
    chain: str = "null",
    feature: str = "",
    raw: tuple[str, ...] = (),
) -> dict[str, Any] | None:
    """What ffmpeg's libvmaf filter logs of a pair, by key, `[frames]` each; None where it fails.

    Args:
        model: the filter's option, such as `version=vmaf_v0.6.1`.
        chain: filters that bring both inputs to one form.
        feature: the filter's option of that name.
        raw: ffmpeg's options before each input.
    """
    with tempfile.TemporaryDirectory() as folder:
        metrics = f":feature={feature}" if feature else ""
        graph = (
            f"[0:v]settb=1/25,setpts=N,{chain}[d];[1:v]settb=1/25,setpts=N,{chain}[r];"
            f"[d][r]libvmaf=log_fmt=json:log_path=log.json:model='{model}'{metrics}"
        )
        inputs = [word for path in (distorted, reference) for word in (*raw, "-i", path.resolve())]
        line = [ffmpeg, "-nostdin", "-v", "error", *inputs, "-lavfi", graph, "-f", "null", "-"]
        if subprocess.run(list(map(str, line)), cwd=folder, capture_output=True).returncode:
            return None
        frames = json.loads((Path(folder) / "log.json").read_text())["frames"]
    keys = frames[0]["metrics"]
    return {key: np.array([frame["metrics"][key] for frame in frames]) for key in keys}


def opinions_of_uhd_1(folder: Path) -> tuple[Path, Path]:
    """Writes the frames and the clips of AVT-VQDB-UHD-1, tests 1 to 4, to files in `folder`.

    They are of the folder of opinions beside the project, which holds other tests too. Skips the
    test where that folder is absent.
    """
    opinions = Path("../shared/opinions")
    if not (opinions / "frames.parquet").is_file():
        pytest.skip(f"no opinions of real clips at {opinions}")
    listed = pa.csv.read_csv(opinions / "clips.csv")
    listed = listed.filter(pc.starts_with(listed["experiment"], "test_"))
    frames = pq.read_table(opinions / "frames.parquet")
    frames = frames.filter(pc.is_in(frames["clip"], listed["clip"].combine_chunks()))
    pq.write_table(frames, folder / "frames.parquet")
    pa.csv.write_csv(listed, folder / "clips.csv")
    return folder / "frames.parquet", folder / "clips.csv"
