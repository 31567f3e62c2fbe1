#!/usr/bin/env bash
# Statistics of scores of which one is NaN, by pyarrow's compute functions.
#
# Expected: NaN, as NumPy gives it for all of them; or all of them leave it out, as pandas does.
# Seen: pyarrow 26.0.1 is split: quantile, approximate_median, min_max and the aggregations min and max leave NaN out
# without a word, mean, sum and stddev give NaN (nulls are left out by all). So the 5th percentile or the worst frame
# of a clip can look right while a frame has no score.
# Versions: PyPI pyarrow 26.0.1, numpy 2.4.6. 2026-11-29, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 numpy==2.4.6 2>/dev/null
"$work/venv/bin/python" - <<'P'
import math
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

scores = [90.0, math.nan, 70.0, 80.0]
column = pa.array(scores)
grouped = pa.table({"clip": ["a"] * 4, "score": scores}).group_by("clip")
by_clip = grouped.aggregate([("score", "min"), ("score", "max"), ("score", "mean")]).to_pylist()[0]
seen = {
    "quantile 0.5": pc.quantile(column, q=0.5)[0].as_py(),
    "approximate_median": pc.approximate_median(column).as_py(),
    "min_max": pc.min_max(column)["min"].as_py(),
    "group min": by_clip["score_min"],
    "group max": by_clip["score_max"],
    "mean": pc.mean(column).as_py(),
    "sum": pc.sum(column).as_py(),
    "stddev": pc.stddev(column).as_py(),
    "group mean": by_clip["score_mean"],
}
for name, value in seen.items():
    print(f"{name}: {value}")
print(f"NumPy: quantile {np.quantile(scores, 0.5)}, min {np.min(scores)}")
if [v for v in seen.values() if not math.isnan(v)] != [80.0, 80.0, 70.0, 70.0, 90.0]:
    sys.exit("this changed")
if not all(math.isnan(seen[name]) for name in ("mean", "sum", "stddev", "group mean")):
    sys.exit("this changed")
P
