"""Training on rows from the disk beside the same rows in memory: time a row, and memory.

    python docs/experiments/scale/stream_rows.py make FOLDER --rows 10000000
    python docs/experiments/scale/stream_rows.py train FOLDER

`make` writes a dataset of made-up rows, 20 sources, a million rows a shard, labelled by a function of
the features. `train` maps it, then trains all folds for some steps on rows from the disk and on the
same rows as arrays in memory, in turn, and prints seconds a row that a member reads, and the most
memory that this process ever had (of it, `in_memory` arrays are made last).
"""

import argparse
import dataclasses
import json
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

SHARD, SOURCES, CLIP = 1_000_000, 20, 250


def make(folder: Path, n: int) -> None:
    """Writes `n` rows."""
    from vmaf_jax.features import FEATURES, FeatureTable
    from vmaf_jax.features.dataset_writer import writing

    with writing(folder) as writer:
        paths = []
        for start in range(0, n, SHARD):
            rng = np.random.default_rng(start)
            count = min(SHARD, n - start)
            row = np.arange(start, start + count)
            clip = row // CLIP
            x = rng.uniform(0, 1, (count, len(FEATURES)))
            names = np.array([f"c{k}" for k in range(clip[0], clip[-1] + 1)], dtype=object)
            table = FeatureTable(
                feature_set=FEATURES,
                corpus=np.full(count, "made_up", dtype=object),
                source=np.array([f"s{k:02d}" for k in range(SOURCES)], object)[clip % SOURCES],
                clip=names[clip - clip[0]],
                index=(row % CLIP).astype(np.int32),
                features=x * [1, 1, 1, 1, 1, 20],
                labels={"made_up": 100 * x[:, 0] * (0.5 + 0.5 * x[:, 3])},
                provenance={"backend": "made_up", "backend_version": "1"},
            )
            paths.append(folder / f"part-{start // SHARD:06d}.parquet")
            table.write(paths[-1])
        writer.finish(paths)


def peak_gib() -> float:
    """The most resident memory that this process had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def train(folder: Path, steps: int, batch: int, buffer_rows: int, repeats: int) -> None:
    """Prints the figures as JSON."""
    from vmaf_jax.environment import prepare_training

    prepare_training()
    from vmaf_jax.jobs.config import Config
    from vmaf_jax.jobs.streamed import fit_streamed, load_streamed

    config = Config(
        name="stream",
        data={"features": folder, "buffer_rows": buffer_rows, "teacher": "made_up"},
        student={"network": "nano", "dropout": 0.0},
        training={"steps": steps, "batch_size": batch, "learning_rate": 5e-3},
    )
    started = time.perf_counter()
    problem = load_streamed(config)
    figures: dict[str, Any] = {"rows": problem.n_units, "map_s": time.perf_counter() - started}
    times: dict[str, list[float]] = {"streamed": [], "in_memory": []}
    rmse = {}
    for k in range(2 * repeats):
        name = ("streamed", "in_memory")[k >= repeats]
        if k == repeats:
            figures["peak_gib_streamed"] = peak_gib()
            table = problem.table
            problem = dataclasses.replace(
                problem, table=dataclasses.replace(table, features=np.array(table.features))
            )
        fit = fit_streamed(problem, config.make_student(), config.training)
        times[name].append(fit.train_s)
        rmse[name] = float(np.sqrt(np.mean(np.square(fit.predicted[0, 0] - problem.label))))
    read = steps * batch * (len(problem.masks) + 1)
    for name, seconds in times.items():
        figures[f"{name}_ns_a_row"] = [1e9 * s / read for s in seconds]
    ratio = min(times["streamed"]) / min(times["in_memory"])
    print(json.dumps({**figures, "ratio": ratio, "held_out_rmse": rmse}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["make", "train"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--buffer-rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=2)
    a = parser.parse_args()
    if a.what == "make":
        make(a.folder, a.rows)
    else:
        train(a.folder, a.steps, a.batch, a.buffer_rows, a.repeats)
