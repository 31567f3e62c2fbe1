"""Time of `encode` beside one plain encode, and of a second target on the same file.

    python -m benchmarks.encode_time [--seconds 60] [--lines 1080] [--repeats 1] [--json]

Part of a minute of 16:9 by libx264, preset medium: first the target 90, then 93, each by the
command, and the plain encode that ffmpeg makes at the setting of the first. Processor seconds are
those of all processes; on a shared machine they tell more than the clock. The time of a second
target before its last file includes the start of its process, which is given apart, too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import processor_s
from benchmarks.encode_clips import make_hd_clip
from vmaf_jax.benchmarks.timing import Figures, machine, summarize, to_lines
from vmaf_jax.files import to_json
from vmaf_jax.video.ffmpeg import find_ffmpeg

_TARGETS = (90, 93)
_PLAIN = ("-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p")


def bench_encode_time(seconds: int = 60, lines: int = 1080, repeats: int = 1) -> Figures:
    """Times the command with an empty cache, a second target, and a plain encode, in turns.

    Args:
        seconds: Length of the clip, up to 60; below 30 there are no probes of segments.
        lines: Of its pictures.
        repeats: Turns, of which medians are given.
    """
    clip = make_hd_clip(find_ffmpeg(), seconds, lines)
    ratios: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, value in _measure(clip).items():
            ratios.setdefault(name, []).append(value)
    medians = {name: summarize(values).median_s for name, values in ratios.items()}
    return {"machine": machine(), "clip": f"{lines} lines, {seconds} s", **medians}


def _measure(clip: Path) -> dict[str, float]:
    """Returns times, seconds, and their ratios of one turn."""
    with tempfile.TemporaryDirectory() as work:
        cache = {**os.environ, "VMAF_JAX_CACHE": f"{work}/cache"}
        times, found = [], []
        for target in _TARGETS:
            line = [sys.executable, "-m", "vmaf_jax", "encode", str(clip), "--json"]
            line += ["--target", str(target), "--out", f"{work}/{target}.mkv"]
            times.append(_time(line, cache))
            found.append(json.loads(times[-1][2]))
        setting = f"{found[0]['finished']['setting']:g}"
        line = [find_ffmpeg().path, "-v", "error", "-nostdin", "-i", str(clip), *_PLAIN]
        plain = _time([*line, "-crf", setting, f"{work}/plain.mkv"], cache)
    figures = {"plain (s)": plain[0], "plain (processor s)": plain[1]}
    for target, (clock, processor, _), result in zip(_TARGETS, times, found, strict=True):
        name, stages = f"target {target}", result["seconds"]
        start = clock - sum(stages.values())  # of the process
        before = clock - result["encodes"][-1]["seconds"]
        figures |= {
            f"{name} (s)": clock,
            f"{name} (processor s)": processor,
            f"{name} / plain": clock / plain[0],
            f"{name} / plain, processor": processor / plain[1],
            f"{name}, probes made": sum(not p["is_cached"] for p in result["probes"]),
            f"{name}, whole files made": sum(not e["is_cached"] for e in result["encodes"]),
            f"{name}, before the last file (s)": before,
            f"{name}, start of the process (s)": start,
            **{f"{name}, {stage} (s)": seconds for stage, seconds in stages.items()},
        }
    first, second = (figures[f"target {target}, before the last file (s)"] for target in _TARGETS)
    return {**figures, "before the last file, second / first": second / first}


def _time(line: Sequence[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Runs a program; returns seconds by the clock, by all its processors, and its output."""
    before, start = processor_s(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    clock = time.perf_counter() - start
    return clock, processor_s(resource.RUSAGE_CHILDREN) - before, done.stdout


def main() -> int:
    """Runs the benchmark as the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(description="Times `encode` beside one plain encode.")
    parser.add_argument("--seconds", type=int, default=60, help="of the clip, up to 60")
    parser.add_argument("--lines", type=int, default=1080, help="of its pictures")
    parser.add_argument("--repeats", type=int, default=1, help="turns")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    figures = bench_encode_time(options.seconds, options.lines, options.repeats)
    print(to_json(figures) if options.json else "\n".join(to_lines(figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
