"""How often intervals held the label, each source judged by the others: the tables of uncertainty.md.

python -m docs.experiments.coverage RUN [RUN ...]

Each is the folder of a run or of a shipped model with its saved predictions. Sources held out come
first, then those of external corpora.
"""

import sys
from pathlib import Path

from vmaf_jax.evaluation.clip_residuals import residuals_of
from vmaf_jax.evaluation.conformal import Residuals, coverage
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.jobs.run_folder import open_run

LEVELS = (0.8, 0.9, 0.95)


def show(name: str, residuals: Residuals) -> None:
    """A Markdown row a level."""
    for level in LEVELS:
        c = coverage(residuals, level)
        cells = [f"{value:.3f}" for value in (c.covered, c.covered_by_source, c.width)]
        naive = [f"{value:.3f}" for value in (c.naive_covered, c.naive_width)]
        print(f"| {' | '.join([name, f'{level:g}', *cells, *naive])} |")


if __name__ == "__main__":
    print("| residuals of | level | covered | by source | width | naive covered | naive width |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for folder in map(Path, sys.argv[1:]):
        run = open_run(folder)
        held_out = read_held_out(folder / "folds.parquet")
        external = {
            path.stem.removeprefix("external_"): read_held_out(path)
            for path in sorted(folder.glob("external_*.parquet"))
        }
        name = run.config.name
        parts = {"": (held_out, external), "leave-one-source-out alone": (held_out, {})}
        parts |= {f"{corpus} alone": (rows, {}) for corpus, rows in external.items()}
        for part, (own, others) in parts.items():
            if part and not external:
                continue
            residuals = residuals_of(own, others, run.student.pooling_name)
            assert residuals is not None, f"{folder} has no predictions of clips"  # noqa: S101
            show(f"{name}, {part or f'{residuals.n_sources} sources'}", residuals)
