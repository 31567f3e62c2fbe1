"""How training grows: with rows, with members and with devices, by the recipe of `bench train`.

    python docs/experiments/scale/scaling.py measure runs/scaling.jsonl
    python docs/experiments/scale/scaling.py plot runs/scaling.jsonl docs/scaling.png

Synthetic rows of 9 sources. Each point trains members of 6-64-32-16-1 on batches of 256 in a process of
its own, for as many epochs as visit some millions of rows. A line
of the file is a point; a file that is there is gone on with. `plot` draws what lies in the file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

SOURCES, VISITS = 9, 20_000_000
ROWS = (10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
MEMBERS = (1, 2, 4, 8, 32, 128, 512)
FEW_ROWS, FEW_MEMBERS = 10_000, 18


def members_of(rows: int) -> int:
    """Number of members trained on this number of rows."""
    return 4 if rows > 1_000_000 else FEW_MEMBERS


def points(cores: int) -> list[dict[str, int]]:
    """What is measured: rows, members, devices."""
    by_rows = [(n, members_of(n), cores) for n in ROWS]
    by_members = [(FEW_ROWS, m, cores) for m in MEMBERS]
    by_devices = [(FEW_ROWS, FEW_MEMBERS, d) for d in range(1, cores + 1)]
    every = dict.fromkeys([*by_rows, *by_members, *by_devices])
    return [dict(zip(("rows", "members", "devices"), point, strict=True)) for point in every]


def train(rows: int, members: int, devices: int) -> dict[str, Any]:
    """One point: seconds of compiling and of training, and rows visited a second."""
    import jax

    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:devices])
    jax.config.update("jax_num_cpu_devices", devices)
    from vmaf_jax.features import FEATURES
    from vmaf_jax.models import Student
    from vmaf_jax.training import (
        Member,
        TrainingSettings,
        make_rows,
        masked_scalers,
        train_members,
    )

    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (rows, 6)).astype(np.float32)
    targets = 100 * features[:, 0] * (0.5 + 0.5 * features[:, 3])
    source = np.arange(rows, dtype=np.int32) % SOURCES
    held_out = np.arange(members) % SOURCES
    trains = ~np.eye(SOURCES, dtype=bool)
    trained = Member(
        trains=trains[held_out].astype(np.float32),
        key=jax.vmap(jax.random.key)(np.arange(members) // SOURCES),
        temperature=np.ones(members, np.float32),
        scaler={k: v[held_out] for k, v in masked_scalers(features, source, trains).items()},
    )
    epochs = max(1, VISITS // (rows * members))
    fit = train_members(
        make_rows(features, targets, source, SOURCES),
        trained,
        student=Student("mlp", activation="relu", dropout=0.0),
        settings=TrainingSettings(
            optimiser="adam", epochs=epochs, batch_size=256, learning_rate=1e-3, schedule="constant"
        ),
        feature_set=FEATURES,
    )
    visited = sum(int((source != k % SOURCES).sum()) for k in range(members)) * epochs
    return {
        "rows": rows,
        "members": members,
        "devices": devices,
        "epochs": epochs,
        "compile_s": fit.compile_s,
        "train_s": fit.train_s,
        "rows_per_s": visited / fit.train_s,
    }


def measure(out: Path) -> None:
    """Adds the points that the file lacks."""
    lines = out.read_text().splitlines() if out.exists() else []
    measured = [
        {k: row[k] for k in ("rows", "members", "devices")} for row in map(json.loads, lines)
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    for point in points(len(os.sched_getaffinity(0))):
        if point not in measured:
            line = [sys.executable, __file__, "point", *map(str, point.values())]
            ended = subprocess.run(line, capture_output=True, text=True, check=True)
            with out.open("a") as file:
                file.write(ended.stdout)


def plot(measured: Path, out: Path) -> None:
    """Rows visited a second against rows, members and devices."""
    from matplotlib.figure import Figure

    from vmaf_jax.reporting.plots import png

    rows = [json.loads(line) for line in measured.read_text().splitlines()]
    most = max(row["devices"] for row in rows)
    panels = {
        "rows": [
            row
            for row in rows
            if row["devices"] == most and row["members"] == members_of(row["rows"])
        ],
        "members": [row for row in rows if row["devices"] == most and row["rows"] == FEW_ROWS],
        "devices": [r for r in rows if (r["rows"], r["members"]) == (FEW_ROWS, FEW_MEMBERS)],
    }
    figure = Figure(figsize=(9.0, 3.2), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True)
    for axis, (name, of) in zip(axes, panels.items(), strict=True):
        of = sorted({row[name]: row for row in of}.values(), key=lambda row: row[name])
        axis.plot([r[name] for r in of], [r["rows_per_s"] / 1e6 for r in of], marker="o")
        axis.set(xlabel=name, xscale="linear" if name == "devices" else "log", ylim=(0, None))
        axis.grid(color="0.9")
    axes[0].set(ylabel="million rows visited a second")
    axes[-1].set_xticks(range(1, most + 1))
    out.write_bytes(png(figure))


if __name__ == "__main__":
    what, *words = sys.argv[1:]
    if what == "point":
        print(json.dumps(train(*map(int, words))))
    elif what == "measure":
        measure(Path(words[0]))
    else:
        plot(Path(words[0]), Path(words[1]))
