"""Time of `encode` beside one plain encode, and of a second target on the same file.

    python -m benchmarks.encode_time [--repeats 1] [--json]

A minute of 1920x1080 by libx264, preset medium: first the target 90, then 93, each by the command,
and the plain encode that ffmpeg makes at the setting of the first, in turns. Processor seconds are
those of all processes; on a shared machine they tell more than the clock.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.command import run
from benchmarks.encode_clips import make_hd_clip
from vmaf_jax.benchmarks.timing import Figures, machine, summarize
from vmaf_jax.video.ffmpeg import find_ffmpeg

_TARGETS = (90, 93)
_PLAIN = ("-c:v", "libx264", "-preset", "medium", "-pix_fmt", "yuv420p")


def bench_encode_time(repeats: int = 1) -> Figures:
    """Times the command with an empty cache, a second target, and a plain encode, in turns."""
    clip = make_hd_clip(find_ffmpeg())
    ratios: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, value in _measure(clip).items():
            ratios.setdefault(name, []).append(value)
    return {"machine": machine(), **{name: summarize(v).median_s for name, v in ratios.items()}}


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
        before = sum(stages.values()) - result["encodes"][-1]["seconds"]
        figures |= {
            f"{name} (s)": clock,
            f"{name} (processor s)": processor,
            f"{name} / plain": clock / plain[0],
            f"{name} / plain, processor": processor / plain[1],
            f"{name}, probes made": sum(not p["is_cached"] for p in result["probes"]),
            f"{name}, whole files made": sum(not e["is_cached"] for e in result["encodes"]),
            f"{name}, before the last file (s)": before,
            **{f"{name}, {stage} (s)": seconds for stage, seconds in stages.items()},
        }
    before = figures[f"target {_TARGETS[1]}, before the last file (s)"]
    return {**figures, "second before its last file / first": before / times[0][0]}


def _time(line: Sequence[str], environment: dict[str, str]) -> tuple[float, float, str]:
    """Runs a program; returns seconds by the clock, by all its processors, and its output."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    clock, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return clock, processor, done.stdout


if __name__ == "__main__":
    sys.exit(run(bench_encode_time))
