#!/usr/bin/env bash
# What the BD-rate package bjontegaard gives for ladders that reach the top of VMAF's scale, or fall once.
#
# Expected: its three methods differ by a few per cent where the highest rungs score nearly 100, and a curve whose
# quality falls from one rung to the next is refused by all of them.
# Seen: with rungs of 99.98 and 100, `cubic` gives 4.6e124 %, `pchip` -6.6 % and `akima` -7.8 %. With a rung that falls
# from 75 to 74, or two rungs of 100, `pchip` and `akima` raise ValueError, and `cubic` gives 242 % and -47 % without a
# word, for an encoder that is better at every rate. Where curves cross, the methods do not agree on the sign.
# Versions: bjontegaard 1.3.0, NumPy 2.4.6, SciPy 1.17.1 (PyPI). 2026-11-29.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q bjontegaard==1.3.0 numpy==2.4.6 scipy==1.17.1 matplotlib 2>/dev/null
"$work/venv/bin/python" -W ignore - <<'PYTHON'
import bjontegaard

rate = [500, 1000, 2000, 4000]  # kbit/s; the second ladder is better at every rate but in "crossing"
ladders = {
    "ordinary": ([60, 75, 86, 94], [64, 79, 89, 95.5]),
    "near 100": ([60, 90, 99.98, 100], [64, 92, 99.99, 100]),
    "one falls": ([60, 75, 74, 94], [64, 79, 89, 95.5]),
    "two of 100": ([60, 75, 100, 100], [64, 79, 99, 100]),
    "crossing": ([60, 75, 86, 94], [55, 74, 88, 96]),
}
seen = {}
for name, (first, second) in ladders.items():
    for method in ("cubic", "pchip", "akima"):
        try:
            seen[name, method] = bjontegaard.bd_rate(rate, first, rate, second, method=method)
        except ValueError:
            seen[name, method] = None
        print(f"{name}, {method}: {seen[name, method]}")
assert all(-20 < seen["ordinary", method] < -18 for method in ("cubic", "pchip", "akima"))
assert seen["near 100", "cubic"] > 1e6 and -9 < seen["near 100", "pchip"] < -5, "this changed"
for name in ("one falls", "two of 100"):
    assert seen[name, "pchip"] is None and seen[name, "akima"] is None, "this changed"
assert 200 < seen["one falls", "cubic"] < 300 and seen["two of 100", "cubic"] < -40, "this changed"
assert seen["crossing", "cubic"] > 0 > seen["crossing", "pchip"], "this changed"
PYTHON
