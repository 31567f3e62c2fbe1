"""How often intervals held the label, each source judged by the others: the tables of uncertainty.md.

python -m docs.experiments.coverage MODEL.json [MODEL.json ...]

Each file is a run's or a shipped model's sidecar, which carries the held-out predictions of clips.
Of a model trained on the support vectors the first 23 sources are those, and the rest are the demo.
"""

import sys
from pathlib import Path

import numpy as np

from vmaf_jax.evaluation.conformal import Residuals, coverage
from vmaf_jax.export.calibration import read_calibration
from vmaf_jax.export.sidecar_file import read_sidecar

LEVELS = (0.8, 0.9, 0.95)
_SUPPORT_VECTORS = 23  # sources


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
    for path in map(Path, sys.argv[1:]):
        description = read_sidecar(path)
        calibration = read_calibration(description, len(description["features"]), path)
        assert calibration is not None, f"{path} carries no calibration"  # noqa: S101
        residuals, name = calibration.residuals, description["name"]
        show(f"{name}, {residuals.n_sources} sources", residuals)
        if residuals.n_sources > _SUPPORT_VECTORS and name != "opinions":
            for part, rows in (
                ("support vectors alone", residuals.source < _SUPPORT_VECTORS),
                ("demo alone", residuals.source >= _SUPPORT_VECTORS),
            ):
                _, source = np.unique(residuals.source[rows], return_inverse=True)
                own = Residuals(source, residuals.predicted[rows], residuals.label[rows])
                show(f"{name}, {part}", own)
