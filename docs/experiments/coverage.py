"""How often intervals held the label, each source judged by the others: the tables of uncertainty.md.

python -m docs.experiments.coverage RUN [RUN ...]

Each is the folder of a run or of a shipped model with its saved predictions. Sources held out come
first, then those of external corpora. The last column is of the naive interval that holds as many
labels: one multiple of the other sources' RMSE for all clips, chosen with the labels in sight.
"""

import sys
from pathlib import Path

import numpy as np

from vmaf_jax.evaluation.conformal import LEVELS, HeldOutPredictions, coverage, pool_held_out
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.reporting.page import markdown_table
from vmaf_jax.runs.run_folder import read_config

HEADER = (
    *("residuals of", "level", "covered", "by source", "width", "naive covered", "naive width"),
    "naive width, same share",
)


def stretched_width(residuals: HeldOutPredictions, share: float) -> float:
    """Mean width of `prediction -+ c s` that holds this share of clips, s the RMSE of the others."""
    p, y = residuals.predicted, residuals.label
    rmse = np.empty(len(y))
    for source in range(residuals.n_sources):
        others = residuals.without(source)
        rmse[residuals.source == source] = np.sqrt(np.mean((others.label - others.predicted) ** 2))
    ratio = np.sort(np.abs(y - p) / rmse)
    half = ratio[round(share * len(y)) - 1] * rmse
    return float(np.mean(np.clip(p + half, 0, 100) - np.clip(p - half, 0, 100)))


def rows(name: str, residuals: HeldOutPredictions) -> list[list[str]]:
    """A row a level."""
    coverages = [coverage(residuals, level) for level in LEVELS]
    return [
        [
            name,
            f"{c.level:g}",
            *(f"{value:.3f}" for value in (c.covered, c.covered_by_source, c.width)),
            *(f"{value:.3f}" for value in (c.naive_covered, c.naive_width)),
            f"{stretched_width(residuals, c.covered):.3f}",
        ]
        for c in coverages
    ]


def rows_of_run(folder: Path) -> list[list[str]]:
    """Those of all its sources, and of each of its corpora alone."""
    config = read_config(folder)
    held_out = read_held_out(folder / "folds.parquet")
    external = {
        path.stem.removeprefix("external_"): read_held_out(path)
        for path in sorted(folder.glob("external_*.parquet"))
    }
    parts = {"": (held_out, external)}
    if external:
        own_corpus = config.data.corpus.replace("_", " ")
        parts |= {f"{own_corpus} alone": (held_out, {})}
        parts |= {f"{corpus} alone": (table, {}) for corpus, table in external.items()}
    lines = []
    for part, (own, others) in parts.items():
        residuals = pool_held_out(own, others, config.make_student().pooling_name)
        assert residuals is not None, f"{folder} has no predictions of clips"  # noqa: S101
        what = part or f"{residuals.n_sources} sources"
        lines += rows(f"{config.name}, {what}", residuals)
    return lines


if __name__ == "__main__":
    lines = [line for folder in sys.argv[1:] for line in rows_of_run(Path(folder))]
    print("\n".join(markdown_table(HEADER, lines)))
