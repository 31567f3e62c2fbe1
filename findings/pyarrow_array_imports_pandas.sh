#!/usr/bin/env bash
# Which ordinary calls of pyarrow import pandas, where it is installed.
#
# Expected: none; pandas is optional, and nothing here is made of a DataFrame or turned into one.
# Seen: `pa.array([1.0])`, `pq.read_table(FILE)` and `to_numpy` of an array import pandas; `ParquetFile.read`, `to_pylist`,
# `from_buffers` and DLPack (`np.from_dlpack`) do not. A program that starts often pays for that import each time.
# Versions: pyarrow 26.0.1, pandas 3.1.1, NumPy 2.4.6 (PyPI). 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6 2>/dev/null
cd "$work"
"$work/venv/bin/python" -c '
import pyarrow as pa, pyarrow.parquet as pq
pq.write_table(pa.table({"score": [1.0, 2.0]}), "t.parquet")'
seen=""
while IFS='|' read -r what code; do
  loads=$("$work/venv/bin/python" -c "
import sys
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
$code
print('pandas' in sys.modules)")
  echo "$what: pandas is imported: $loads"
  seen+="$loads "
done <<'CASES'
import pyarrow alone|pass
pa.array of a list|pa.array([1.0])
from_buffers|pa.Array.from_buffers(pa.float64(), 2, [None, pa.py_buffer(np.zeros(2))])
read_table|pq.read_table("t.parquet")
ParquetFile.read|pq.ParquetFile("t.parquet").read()
to_pylist of what was read|pq.ParquetFile("t.parquet").read()["score"].to_pylist()
to_numpy of what was read|pq.ParquetFile("t.parquet").read()["score"].chunk(0).to_numpy()
from_dlpack of what was read|np.from_dlpack(pq.ParquetFile("t.parquet").read()["score"].chunk(0))
CASES
[ "$seen" = "False True False True False False True False " ] || { echo "this changed"; exit 1; }
