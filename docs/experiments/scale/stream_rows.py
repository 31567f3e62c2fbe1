"""Training on rows from the disk beside the same rows in memory: time a row, and memory.

    python docs/experiments/scale/stream_rows.py make FOLDER --rows 10000000
    python docs/experiments/scale/stream_rows.py train FOLDER

`make` writes a dataset of synthetic rows, 20 sources, a million rows a shard, labelled by a function of
the features. `train` maps it, then trains all folds for some steps on rows from the disk; on 20,000 of
them by the ordinary path, which holds its table and draws rows in every step; and on all rows with
their features as an array in memory. It prints nanoseconds a row that a member reads (predictions
apart), processor time (with compiling and predictions), and the most memory that the process had
before the array was made.
"""

import argparse
import dataclasses
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SHARD, SOURCES, CLIP, FEW = 1_000_000, 20, 250, 20_000


def make(folder: Path, n: int) -> None:
    """Writes `n` rows."""
    from vmaf_jax.features import FEATURES
    from vmaf_jax.tables import FeatureTable
    from vmaf_jax.tables.dataset import open_writer

    with open_writer(folder) as writer:
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
    from vmaf_jax.runs.config import Config
    from vmaf_jax.runs.fit import fit_folds
    from vmaf_jax.runs.problem import load_streamed

    config = Config(
        name="stream",
        data={"features": folder, "buffer_rows": buffer_rows, "teacher": "made_up"},
        student={"network": "nano", "dropout": 0.0},
        training={"steps": steps, "batch_size": batch, "learning_rate": 5e-3},
    )
    started = time.perf_counter()
    problem = load_streamed(config)
    figures: dict[str, Any] = {"rows": problem.n_units, "map_s": time.perf_counter() - started}
    read = steps * batch * (len(problem.masks) + 1)
    few = first_rows(problem, FEW)
    seconds: dict[str, list[float]] = {}

    def measure(name: str, fit_one: Callable[[], Any], label: Any) -> None:
        cpu = time.process_time()
        fit = fit_one()
        seconds.setdefault(f"{name}_ns_a_row", []).append(1e9 * fit.train_s / read)
        seconds.setdefault(f"{name}_cpu_s_with_compiling", []).append(time.process_time() - cpu)
        figures[f"{name}_rmse"] = float(np.sqrt(np.mean(np.square(fit.predicted[0, 0] - label))))

    how = (config.make_student(), config.training)
    for _ in range(repeats):
        measure("streamed", lambda: fit_folds(problem, *how), problem.label)
        figures["peak_gib"] = peak_gib()
        measure("ordinary", lambda: fit_folds(few, *how), few.label)
    held = dataclasses.replace(problem.table, features=np.array(problem.table.features))
    in_memory = dataclasses.replace(problem, table=held)
    for _ in range(repeats):
        measure("in_memory", lambda: fit_folds(in_memory, *how), problem.label)
    ours = min(seconds["streamed_ns_a_row"])
    for name in ("ordinary", "in_memory"):
        figures[f"ratio_to_{name}"] = ours / min(seconds[f"{name}_ns_a_row"])
    print(json.dumps({**figures, **seconds}))


def first_rows(problem: Any, n: int) -> Any:
    """The first `n` rows as an ordinary problem."""
    from vmaf_jax.runs.problem import Problem, make_folds

    table = problem.table
    part = dataclasses.replace(
        table,
        **{name: getattr(table, name)[:n] for name in ("corpus", "source", "clip", "index")},
        features=np.array(table.features[:n]),
        labels={name: column[:n] for name, column in table.labels.items()},
    )
    sources, source, masks = make_folds(part.source, None, "few")
    label, target = problem.label[:n], problem.target[:n]
    return Problem("few", part, None, label, target, None, "", sources, source, masks)


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
