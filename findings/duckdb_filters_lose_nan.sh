#!/usr/bin/env bash
# Rows whose score is NaN, by DuckDB from a Parquet file of pyarrow or Polars, and from a table of the same rows.
#
# Expected: the row of NaN for `isnan(score)` and, since NaN is the largest number in DuckDB, for `score > 5`, in both.
# Seen: the table gives it, the file gives no row: the writers leave NaN out of a row group's statistics, as Parquet
# asks, and DuckDB 2.0.0 skips the group by them. `max(score)` of pyarrow's file is 1, beside `avg(score)` it is NaN.
# Polars 2.1.0 finds the row in all files, DuckDB in a file of its own, which has no statistics there. So a query over
# files for failed measurements finds none. Create a table first.
# Versions: PyPI duckdb 2.0.0, polars 2.1.0, pyarrow 26.0.1. 2026-11-30, x86-64 Linux.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q duckdb==2.0.0 polars==2.1.0 pyarrow==26.0.1 2>/dev/null
cd "$work"
"$work/venv/bin/python" - <<'P'
import sys

import duckdb
import polars
import pyarrow
import pyarrow.parquet

scores = pyarrow.table({"clip": ["a", "b", "c"], "score": [1.0, 1.0, float("nan")]})
pyarrow.parquet.write_table(scores, "pyarrow.parquet")
polars.from_arrow(scores).write_parquet("polars.parquet")
duckdb.sql("copy (select * from scores) to 'duckdb.parquet'")


def count(source: str, condition: str) -> int:
    return len(duckdb.sql(f"select * from {source} where {condition}").fetchall())


for writer in ("pyarrow", "polars", "duckdb"):
    duckdb.sql(f"create or replace table rows as select * from '{writer}.parquet'")
    found = [(count("rows", c), count(f"'{writer}.parquet'", c)) for c in ("isnan(score)", "score > 5", "score <> 1")]
    alone, beside = (
        duckdb.sql(f"select {what} from '{writer}.parquet'").fetchall()[0][0]
        for what in ("max(score)", "max(score), avg(score)")
    )
    lazy = polars.scan_parquet(f"{writer}.parquet").filter(polars.col("score").is_nan()).collect().height
    print(f"{writer}: rows of NaN in (table, file) {found}, max {alone}, max beside a mean {beside}, Polars {lazy}")
    expected = (1, 1) if writer == "duckdb" else (1, 0)
    if set(found) != {expected} or (alone == 1) != (writer == "pyarrow") or beside == beside or lazy != 1:
        sys.exit("this changed")
P
