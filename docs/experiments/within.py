"""`score --within 0.5` beside measuring every frame: coverage, share of frames, time.

python -m docs.experiments.within runs/within.jsonl        # measures, about 15 minutes
python -m docs.experiments.within runs/within.jsonl page   # the figures, of what lies there

Each of the demo's 72 clips and 50 long ones is scored both ways, one after the other, in
one process, with the model loaded and the cache of measurements empty. A file that is there already
is gone on with.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import vmaf_jax
from docs.experiments.long_clips import long_clip
from vmaf_jax.corpora import demo

WITHIN, N_LONG = 0.5, 50


def processor_seconds() -> float:
    """Of this process and of every ffmpeg that has ended."""
    spent = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in spent)


def measure(kind: str, name: str, reference: Path, distorted: Path, first: bool) -> dict[str, Any]:
    """One clip both ways; `first` has all frames measured first."""
    results: dict[str, Any] = {}
    for every in (first, not first):
        with tempfile.TemporaryDirectory() as cache:
            started = time.perf_counter(), processor_seconds()
            how = {} if every else {"within": WITHIN}
            scores = vmaf_jax.score(reference, distorted, MODEL, cache=Path(cache), **how)
            seconds = time.perf_counter() - started[0], processor_seconds() - started[1]
            results["all" if every else "some"] = scores, *seconds
    every, some = results["all"][0], results["some"][0]
    return {
        "kind": kind,
        "clip": name,
        "full": every.pooled,
        "estimate": some.pooled,
        "low": some.interval.low,
        "high": some.interval.high,
        "measured": len(some.per_frame),
        "frames": some.frames,
        "seconds_all": results["all"][1],
        "seconds_some": results["some"][1],
        "processor_all": results["all"][2],
        "processor_some": results["some"][2],
    }


def clips(done: set[str]) -> Iterator[tuple[str, str, Path, Path]]:
    """The clips that are not done yet, a long one at a time."""
    for k in range(N_LONG):
        if f"long_{k}" not in done:
            with long_clip(k) as (reference, distorted, _):
                yield "long", f"long_{k}", reference, distorted
    for clip in demo.load_clips():
        if (name := f"{clip.source}/{clip.name}") not in done:
            yield "demo", name, clip.reference.path, clip.distorted.path


def page(rows: list[dict[str, Any]]) -> None:
    """The figures by kind."""
    for kind in ("demo", "long"):
        of = [row for row in rows if row["kind"] == kind]
        column = {name: np.array([row[name] for row in of]) for name in of[0] if name != "clip"}
        error = column["estimate"] - column["full"]
        held = (column["low"] - 1e-6 <= column["full"]) & (column["full"] <= column["high"] + 1e-6)
        share = column["measured"] / column["frames"]
        print(
            f"{kind}: {len(of)} clips; interval holds the full score {held.mean():.3f}; within "
            f"{WITHIN} {np.mean(np.abs(error) <= WITHIN):.3f}; worst error {np.abs(error).max():.3f}, "
            f"RMS {np.sqrt(np.mean(error**2)):.3f}, mean {error.mean():+.3f}; share of frames median "
            f"{np.median(share):.3f}, mean {share.mean():.3f}"
        )
        for what in ("seconds", "processor"):
            every, some = column[f"{what}_all"], column[f"{what}_some"]
            ratio = every / some
            print(
                f"    {what}: faster median {np.median(ratio):.2f}, {ratio.min():.2f} to "
                f"{ratio.max():.2f}, all together {every.sum() / some.sum():.2f}"
            )


if __name__ == "__main__":
    out = Path(sys.argv[1])
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    if len(sys.argv) < 3:
        MODEL = vmaf_jax.load_model("checkpoints/tiny/model.onnx")
        out.parent.mkdir(parents=True, exist_ok=True)
        for kind, name, reference, distorted in clips({row["clip"] for row in rows}):
            rows.append(measure(kind, name, reference, distorted, len(rows) % 2 == 0))
            with out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    page(rows)
