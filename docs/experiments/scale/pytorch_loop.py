"""The recipe of `vmaf-jax bench train --features` as a plain PyTorch loop, one fold after another.

    python docs/experiments/scale/pytorch_loop.py TABLE [EPOCHS] [THREADS] [SEED]

Takes torch and pyarrow; prints JSON: seconds, rows a second, and the held-out RMSE and PLCC of a seed, 0 by default.
"""

import itertools
import json
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import torch

FEATURES = ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2")
BATCH = 256


def train(x: torch.Tensor, z: torch.Tensor, epochs: int) -> torch.nn.Module:
    sizes = (6, 64, 32, 16)
    layers: list[torch.nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [torch.nn.Linear(n_in, n_out), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(sizes[-1], 1))
    adam = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = torch.nn.MSELoss()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        for start in range(0, len(x), BATCH):
            rows = order[start : start + BATCH]
            adam.zero_grad()
            loss(network(x[rows])[:, 0], z[rows]).backward()
            adam.step()
    return network


def main() -> None:
    table = pq.read_table(sys.argv[1])
    epochs = int(sys.argv[2]) if len(sys.argv) > 2 else 90
    if len(sys.argv) > 3:
        torch.set_num_threads(int(sys.argv[3]))
    features = np.stack([table.column(name).to_numpy() for name in FEATURES], axis=1)
    target = table.column("vmaf_v0.6.1").to_numpy()
    source = np.array(table.column("source").to_pylist())
    torch.manual_seed(int(sys.argv[4]) if len(sys.argv) > 4 else 0)
    predicted = np.zeros(len(target))
    started, visited = time.perf_counter(), 0
    for held_out in sorted(set(source)):
        rows = source != held_out
        mean, std = features[rows].mean(axis=0), features[rows].std(axis=0)
        x = torch.tensor((features - mean) / std, dtype=torch.float32)
        z = torch.tensor((target - 50) / 25, dtype=torch.float32)
        network = train(x[rows], z[rows], epochs)
        with torch.no_grad():
            scores = 50 + 25 * network(x[~rows])[:, 0]
        predicted[~rows] = np.clip(scores.numpy(), 0, 100)
        visited += int(rows.sum()) * epochs
    seconds = time.perf_counter() - started
    result = {
        "train_s": seconds,
        "rows_per_s": visited / seconds,
        "loso_rmse": float(np.sqrt(np.mean((predicted - target) ** 2))),
        "loso_plcc": float(np.corrcoef(predicted, target)[0, 1]),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
