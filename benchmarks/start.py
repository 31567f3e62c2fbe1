"""How long `--help` and a cached `score` take from start to end, in turns.

python -m benchmarks.start [--other PYTHON] [--repeats 15] [--json]

`--other` names a second interpreter with a vmaf-jax of its own, such as an earlier one. Importing
NumPy alone stands beside them: seconds belong to the machine, and to what else it does.
"""

import argparse
import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.command import processor_s
from vmaf_jax.benchmarks.timing import Figure, Figures, machine, to_lines
from vmaf_jax.files import to_json
from vmaf_jax.video.ffmpeg import find_ffmpeg

SIZE, SECONDS = "576x324", 2
PROGRAM = ("-m", "vmaf_jax")


@dataclasses.dataclass(frozen=True)
class Spent:
    """Seconds of one process from start to end, and of processors."""

    wall: float
    processor: float


def bench_start(pythons: Mapping[str, str], repeats: int = 15) -> Figures:
    """Times each command by each interpreter in turns; medians.

    Args:
        pythons: Interpreters with vmaf-jax, by name.
    """
    spent: dict[str, list[Spent]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make_pair(folder)
        commands = {
            "import numpy": ("-c", "import numpy"),
            "--help": (*PROGRAM, "--help"),
            "score --help": (*PROGRAM, "score", "--help"),
            "score, cached": (*PROGRAM, "score", "ref.y4m", "dis.mp4", "--json"),
        }
        for repeat in range(-1, repeats):  # the first fills the caches
            for which, python in pythons.items():
                for what, words in commands.items():
                    once = _run([python, *words], folder, which)
                    if repeat >= 0:
                        spent.setdefault(f"{which}: {what}", []).append(once)
    figures: dict[str, Figure] = {"machine": machine(), "repeats": repeats}
    for key, samples in spent.items():
        figures[f"{key}, wall s"] = float(np.median([once.wall for once in samples]))
        figures[f"{key}, processor s"] = float(np.median([once.processor for once in samples]))
    return figures


def _make_pair(folder: Path) -> None:
    """Writes a reference and its encode."""
    picture = f"testsrc2=size={SIZE}:rate=25:duration={SECONDS}"
    start = [str(find_ffmpeg().path), "-loglevel", "error"]
    for line in (
        ["-f", "lavfi", "-i", picture, "-pix_fmt", "yuv420p", "ref.y4m"],
        ["-i", "ref.y4m", "-c:v", "libx264", "-crf", "34", "dis.mp4"],
    ):
        subprocess.run([*start, *line], cwd=folder, check=True)


def _run(words: Sequence[str], folder: Path, which: str) -> Spent:
    """Runs a command in `folder`, with a cache of the interpreter's own."""
    environment = {**os.environ, "VMAF_JAX_CACHE": str(folder / f"cache of {which}")}
    before, start = processor_s(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    wall = time.perf_counter() - start
    return Spent(wall, processor_s(resource.RUSAGE_CHILDREN) - before)


def main() -> int:
    """Runs the benchmark as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--other", help="a second interpreter, in turns with this one")
    parser.add_argument("--repeats", type=int, default=15, help="samples of each command")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    pythons = {"this": sys.executable}
    if options.other:
        pythons["other"] = options.other
    figures = bench_start(pythons, options.repeats)
    print(to_json(figures) if options.json else "\n".join(to_lines(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
