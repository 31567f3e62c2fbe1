"""Time and memory of `vmaf-jax calibrate`: python -m benchmarks.calibrate_speed

Makes ladders of 10,000 encodes of 200 titles, and has three clips of each title suggested by the
public command; then calibrates one title of 50 encodes in this process, which has started already.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.jobs.calibrate import calibrate, suggest
from vmaf_jax.tables.table import FeatureTable

TITLES, ENCODES, COUNT = 200, 50, 3
_WORST = np.array([0.55, 0.08, 0.25, 0.35, 0.42])
_BEST = np.array([0.98, 0.75, 0.95, 0.97, 0.98])


def make_table(path: Path, titles: int, frames: int) -> None:
    """Writes a table of ladders from bad to good, a title's motion the same in all its encodes."""
    random = np.random.default_rng(0)
    n = titles * ENCODES * frames
    quality = np.repeat(np.tile(np.linspace(0, 1, ENCODES), titles), frames)[:, None]
    features = _WORST + (_BEST - _WORST) * quality + random.normal(0, 0.01, (n, 5))
    motion = np.repeat(random.uniform(0.5, 12, titles), ENCODES * frames)
    names = [(f"t{t}", f"t{t}_{k}") for t in range(titles) for k in range(ENCODES)]
    source, clip = (
        np.repeat(np.array(column, object), frames) for column in zip(*names, strict=True)
    )
    FeatureTable(
        feature_set=FEATURES,
        corpus=np.full(n, "ladders", object),
        source=source,
        clip=clip,
        index=np.tile(np.arange(frames, dtype=np.int32), titles * ENCODES),
        features=np.column_stack([np.clip(features, 0, 1), motion]),
        labels={},
        provenance={"backend": "made up", "inputs": {}, "label_scale": [1, 5]},
    ).write(path)


def main() -> None:
    """Prints seconds, processor seconds and MiB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=48, help="Of each encode.")
    frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as work:
        table, one = Path(work) / "table.parquet", Path(work) / "one.parquet"
        make_table(table, TITLES, frames)
        make_table(one, 1, frames)
        program = Path(sys.executable).with_name("vmaf-jax")
        words = ["calibrate", "--features", str(table), "--suggest", str(COUNT), "--json"]
        started = time.perf_counter()
        subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"suggest {COUNT} of {TITLES * ENCODES} encodes of {frames} frames: "
            f"{time.perf_counter() - started:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of "
            f"processors, {used.ru_maxrss / 1024:.0f} MiB"
        )
        names = [clip.clip for clip in suggest(one, COUNT).suggestions[0].clips]
        votes = Path(work) / "rated.csv"
        lines = [f"{name},{2 + k},0.3" for k, name in enumerate(names)]
        votes.write_text("\n".join(["clip,mos,mos_ci95", *lines]) + "\n")
        for k in range(3):
            started, busy = time.perf_counter(), time.process_time()
            calibrate(one, votes, Path(work) / f"out{k}")
            print(
                f"calibrate a title of {ENCODES} encodes: {time.perf_counter() - started:.2f} s, "
                f"{time.process_time() - busy:.2f} s of processors"
            )


if __name__ == "__main__":
    main()
