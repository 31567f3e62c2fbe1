"""Claims of the literature on small VMAF students, put to the test by a selection's predictions.

    vmaf-jax select --config selection
    python -m docs.experiments.claims runs/selection

A claim holds only where every comparison bears it out (paired, 95 % intervals over sources).
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vmaf_jax.evaluation.cross_validation import HeldOut
from vmaf_jax.evaluation.intervals import Interval
from vmaf_jax.evaluation.metrics import HIGH_END, LOW_END, rmse
from vmaf_jax.evaluation.run_metrics import compare_runs

PLAIN, DECAY, KL = "rows, squared error", "rows, squared error, decay and dropout", "rows, KL"
Candidate = dict[str, Any]


def judge(folder: Path) -> Iterator[tuple[str, str, bool, str]]:
    """Yields each claim: its words, its condition, whether it holds, and the figures."""
    points = json.loads((folder / "selection.json").read_text())["points"]
    points = [point for point in points if point["settings"]["candidates"].startswith("rows")]
    best = {
        network: max(
            point["metrics"]["plcc"]
            for point in points
            if point["settings"]["student.network"] == network
        )
        for network in ("nano", "tiny")
    }
    holds = best["nano"] < 0.93 and 0.94 <= best["tiny"] < 0.97
    figures = f"best nano PLCC {best['nano']:.5f}, best tiny {best['tiny']:.5f}"
    yield "2x64 saturates near PLCC 0.91 while 3x128 reaches 0.95-0.96", "", holds, figures
    for activation in ("relu", "silu"):
        own = [p for p in points if p["settings"]["student.activation"] == activation]
        warm = [p for p in own if p["settings"].get("training.temperature") in (2, 4)]
        pairs = [compare(folder, point, partner_of(point, own)) for point in warm]
        better, worse = count(pairs)
        at_ends = sum(interval.high < 0 and ends > middle for interval, ends, middle in pairs)
        yield (
            "KL at T of 2-4 beats squared error, most at the endpoints",
            activation,
            better == len(pairs) == at_ends,
            f"better in {better} of {len(pairs)} comparisons, worse in {worse}; in {at_ends} most "
            f"at the ends",
        )
        decayed = [point for point in own if point["settings"]["candidates"] == DECAY]
        pairs = [compare(folder, point, partner_of(point, own)) for point in decayed]
        better, worse = count(pairs)
        yield (
            "decay 1e-3 with dropout 0.2 prevents over-fitting",
            activation,
            better == len(pairs),
            f"held-out RMSE lower in {better} of {len(pairs)} networks, higher in {worse}",
        )


def partner_of(point: Candidate, points: list[Candidate]) -> Candidate:
    """Returns the candidate of the same network with plain squared error."""
    network = point["settings"]["student.network"]
    return next(
        other
        for other in points
        if other["settings"]["candidates"] == PLAIN
        and other["settings"]["student.network"] == network
    )


def compare(folder: Path, first: Candidate, second: Candidate) -> tuple[Interval, float, float]:
    """Compares the RMSE of two candidates on the same rows.

    Returns:
        The interval of the first's less the second's, and the shares of the second's RMSE that the
        first gains on labels in [0, 20] or [80, 100], and between them.
    """
    rows = [read_predictions(folder, candidate["point"]) for candidate in (second, first)]
    difference = compare_runs({"second": rows[0], "first": rows[1]}).against["first"]["rmse"]
    label = rows[0].label
    ends = (label <= LOW_END[1]) | (label >= HIGH_END[0])
    gains = [
        1 - rmse(rows[1].predicted[part], label[part]) / rmse(rows[0].predicted[part], label[part])
        for part in (ends, ~ends)
    ]
    return difference.interval, gains[0], gains[1]


def read_predictions(folder: Path, point: int) -> HeldOut:
    """Reads the held-out predictions of a candidate."""
    table = pq.read_table(folder / "predictions.parquet")
    table = table.filter(pc.equal(table["point"], point))
    return HeldOut(
        source=np.array(table["source"].to_pylist(), object),
        clip=np.array(table["clip"].to_pylist(), object),
        index=table["index"].to_numpy(),
        seed=table["seed"].to_numpy(),
        label=table["label"].to_numpy(),
        predicted=table["predicted"].to_numpy(),
    )


def count(pairs: list[tuple[Interval, float, float]]) -> tuple[int, int]:
    """Counts the comparisons whose first is better, and worse, beyond doubt."""
    better = sum(interval.high < 0 for interval, *_ in pairs)
    return better, sum(interval.low > 0 for interval, *_ in pairs)


def main() -> None:
    """Prints the verdicts as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    print("| claim | activation | holds | figures |\n| --- | --- | --- | --- |")
    for claim, condition, holds, figures in judge(parser.parse_args().folder):
        print(f"| {claim} | {condition} | {'yes' if holds else 'no'} | {figures} |")


if __name__ == "__main__":
    main()
