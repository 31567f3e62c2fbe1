"""How large a run's page is, how long it takes to make, and when a browser first paints it.

    python -m docs.experiments.report_times            # 23 folds, 5 seeds
    python -m docs.experiments.report_times 1000000    # so many held-out rows instead

The run is the shipped `tiny` with a log of losses, its held-out predictions five times over: a seed's
are those of `tiny` with noise as small as their own errors, since a page's cost hangs on how many
rows there are and not on what they say. First paint is what Chromium itself reports.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.browser import Browser
from tests.reporting.support import predictions, shipped
from vmaf_jax.evaluation.cross_validation import HeldOut, read_held_out
from vmaf_jax.jobs.report_runs import report

_SEEDS, _LOADS = 5, 7


def seeds(rows: HeldOut) -> HeldOut:
    """The rows of five seeds."""
    rng = np.random.default_rng(0)
    n = len(rows.label)
    noise = rng.normal(0, 0.02, (_SEEDS, n))
    return HeldOut(
        np.tile(rows.source, _SEEDS),
        np.tile(rows.clip, _SEEDS),
        np.tile(rows.index, _SEEDS),
        np.repeat(np.arange(_SEEDS, dtype=np.int32), n),
        np.tile(rows.label, _SEEDS),
        np.clip(rows.predicted + noise, 0, 100).reshape(-1),
    )


def first_paint(page: Path, profile: Path) -> list[float]:
    """Milliseconds from the start of the navigation, of each load."""
    browser, times = Browser(profile), []
    try:
        for _ in range(_LOADS):
            browser.open(page)
            script = "(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime"
            while (painted := browser.run(script)) is None:
                time.sleep(0.02)
            times.append(float(painted))
    finally:
        browser.close()
    return times


with tempfile.TemporaryDirectory() as folder:
    run = shipped(Path(folder) / "run")
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    rows = predictions(many) if many else seeds(read_held_out(run / "folds.parquet"))
    rows.write(run / "folds.parquet")
    report([run])  # imports
    started = time.perf_counter()
    page = report([run])
    built = time.perf_counter() - started
    paints = first_paint(page, Path(folder) / "profile")
    print(
        f"{len(rows.label):,} held-out rows: {page.stat().st_size / 1e3:.0f} kB, built in "
        f"{built:.2f} s, first paint after {min(paints):.0f} to {max(paints):.0f} ms ({_LOADS} loads)"
    )
