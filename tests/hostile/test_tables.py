"""Manifests and feature tables that are wrong: a line that names file, row or column."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.hostile.support import refused
from vmaf_jax.corpora.manifest import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.table import FeatureTable, constant_text

GOOD = {"reference": "ref.y4m", "distorted": "dis.mp4", "source": "s"}


@pytest.fixture
def folder(encodes, tmp_path):
    for name in ("ref.y4m", "dis.mp4", "dis.yuv"):
        (tmp_path / name).write_bytes((encodes / name).read_bytes())
    (tmp_path / "sub").mkdir()
    return tmp_path


def line(**values):
    return json.dumps({**GOOD, **values})


JSONL = {
    "mos NaN": (line(mos=float("nan")), "NaN is no number"),
    "mos Infinity": (line(mos=float("inf")), "Infinity is no number"),
    "mos -Infinity": (line(mos=float("-inf")), "Infinity is no number"),
    "mos true": (line(mos=True), "column 'mos'.*received True"),
    "mos false": (line(mos=False), "column 'mos'"),
    "mos 1e300": (line(mos=1e300), "column 'mos'"),
    "mos 100.5": (line(mos=100.5), "column 'mos'"),
    "mos -1": (line(mos=-1), "mos is at most -1"),
    "mos a word": (line(mos="good"), "column 'mos'"),
    "mos a list": (line(mos=[50]), "column 'mos'"),
    "mos an object": (line(mos={}), "column 'mos'"),
    "width true": (line(width=True), "column 'width'"),
    "width 0": (line(width=0), "column 'width'"),
    "width -1": (line(width=-352), "column 'width'"),
    "width 1.5": (line(width=1.5), "column 'width'"),
    "height a word": (line(height="tall"), "column 'height'"),
    "fps 0": (line(fps=0), "column 'fps'"),
    "fps true": (line(fps=True), "column 'fps'"),
    "size of another": (line(width=64, height=64) + "\n", None),
    "no source": (json.dumps({k: v for k, v in GOOD.items() if k != "source"}), "'source'"),
    "source empty": (line(source=""), "column 'source'"),
    "source spaces": (line(source="  "), "column 'source'"),
    "source a number": (line(source=5), "column 'source'"),
    "no distorted": (json.dumps({"reference": "ref.y4m", "source": "s"}), "'distorted'"),
    "distorted missing": (line(distorted="nope.mp4"), "no such file"),
    "distorted a folder": (line(distorted="sub"), "a folder"),
    "distorted with NUL": (line(distorted="a\0b.mp4"), "NUL"),
    "distorted very long": (line(distorted="x" * 300), "cannot be opened|cannot be looked"),
    "a column too many": (line(bitrate=5), "column 'bitrate'"),
    "a column mistyped": (line(hieght=5), "did you mean 'height'"),
    "the same twice": (line() + "\n" + line(), "row 2 repeats row 1"),
    "the same by another spelling": (line() + "\n" + line(distorted="./dis.mp4"), "repeats row 1"),
    "the same through a folder": (line() + "\n" + line(distorted="sub/../dis.mp4"), "repeats row"),
    "one reference, two sources": (
        line() + "\n" + line(distorted="ref.y4m", source="t"),
        "one reference is one source",
    ),
    "mos on some rows": (line(mos=5) + "\n" + line(distorted="ref.y4m"), "1 of 2 rows have no mos"),
    "raw without a size": (line(distorted="dis.yuv"), "does not say its size"),
    "raw of another size": (
        line(distorted="dis.yuv", width=352, height=200, pix_fmt="yuv420p"),
        "bytes over",
    ),
    "raw of an unknown format": (
        line(distorted="dis.yuv", width=352, height=288, pix_fmt="rgb24"),
        "is unknown",
    ),
    "not an object": ("[1]", "is no record"),
    "a number": ("5", "is no record"),
    "not JSON": ("{", "not readable"),
    "not UTF-8": (b"{\xe9", "byte 1 is no UTF-8, save it as UTF-8"),
    "deep": ("[" * 100_000, "not readable"),
    "empty": ("", "lists no clip"),
    "blank": ("\n\n", "lists no clip"),
}


@pytest.mark.parametrize("case", JSONL)
def test_a_wrong_manifest_is_refused(case, folder):
    text, message = JSONL[case]
    path = folder / "clips.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    if message is None:  # only decoding tells: the size is what the files must have
        words = ["extract", "--corpus", "manifest", "--manifest", path]
        refused(folder, "is 352x288, was said to be 64x64", *words, "--out", folder / "o.parquet")
        return
    with pytest.raises(InputError, match=message) as refusal:
        load_clips(path)
    assert "\n" not in str(refusal.value)


CSV = {
    "header mistyped": ("referense,distorted,source\na,b,c\n", "no column 'reference'; .*meant"),
    "header missing": ("ref.y4m,dis.mp4,s\n", "no column 'reference'"),
    "no header": ("", "no column 'reference'"),
    "too many cells": ("reference,distorted,source\nref.y4m,dis.mp4,s,5\n", "more cells"),
    "too few cells": ("reference,distorted,source\nref.y4m,dis.mp4\n", "'source'"),
    "mos nan": ("reference,distorted,source,mos\nref.y4m,dis.mp4,s,nan\n", "column 'mos'"),
    "mos inf": ("reference,distorted,source,mos\nref.y4m,dis.mp4,s,inf\n", "column 'mos'"),
    "NUL": ("reference,distorted,source\nref.y4m,d\0is.mp4,s\n", "NUL|not readable"),
    "a cell of 200 kB": (
        "reference,distorted,source\nref.y4m," + "x" * 200_000 + ",s\n",
        "not readable",
    ),
}


@pytest.mark.parametrize("case", CSV)
def test_a_wrong_csv_is_refused(case, folder):
    text, message = CSV[case]
    path = folder / "clips.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_clips(path)


def table(n=3, **changes):
    blank = constant_text("a", n)
    values = {
        "feature_set": FEATURES,
        **dict.fromkeys(("corpus", "source", "clip"), blank),
        "index": np.arange(n, dtype=np.int32),
        "features": np.full((n, 6), 0.5),
        "labels": {"vmaf_v0.6.1": np.full(n, 50.0)},
        "provenance": {"inputs": {}},
    }
    return FeatureTable(**{**values, **changes})


def cell(column, value):
    def change(arrow):
        values = arrow.column(column).to_pylist()
        values[1] = value
        field = arrow.schema.field(column)
        return arrow.set_column(
            arrow.schema.get_field_index(column), field, pa.array(values, field.type)
        )

    return change


def metadata(text):
    return lambda arrow: arrow.replace_schema_metadata(
        None if text is None else {b"vmaf_jax": text}
    )


TABLES = {
    "a feature NaN": (cell("adm2", float("nan")), "column 'adm2', row 1"),
    "a feature inf": (cell("motion2", float("inf")), "column 'motion2', row 1"),
    "a feature 1e300": (cell("vif_scale0", 1e300), "column 'vif_scale0', row 1"),
    "a feature null": (cell("vif_scale3", None), "column 'vif_scale3', row 1"),
    "a label 1e300": (cell("vmaf_v0.6.1", -1e300), "column 'vmaf_v0.6.1', row 1"),
    "a label NaN": (cell("vmaf_v0.6.1", float("nan")), "column 'vmaf_v0.6.1', row 1"),
    "a clip null": (cell("clip", None), "column 'clip', row 1"),
    "a frame below 0": (cell("frame", -1), "column 'frame', row 1"),
    "a frame twice": (cell("frame", 0), "row 1 repeats row 0"),
    "a column missing": (lambda arrow: arrow.drop_columns(["adm2"]), "column 'adm2' is missing"),
    "the label missing": (lambda arrow: arrow.drop_columns(["vmaf_v0.6.1"]), "is missing"),
    "no rows": (lambda arrow: arrow.slice(0, 0), "holds no rows"),
    "no metadata": (metadata(None), "its metadata is missing"),
    "metadata no JSON": (metadata(b"{"), "metadata is missing or broken"),
    "metadata a list": (metadata(b"[]"), "metadata is missing or broken"),
    "metadata deep": (metadata(b"[" * 100_000), "metadata is missing or broken"),
    "another version": (
        metadata(b'{"schema_version": 99, "feature_set": "vmaf", "labels": []}'),
        "schema version 99",
    ),
    "another feature set": (
        metadata(b'{"schema_version": 1, "feature_set": "x", "labels": []}'),
        "feature set 'x'",
    ),
}


@pytest.mark.parametrize("case", TABLES)
def test_a_wrong_table_is_refused(case, tmp_path):
    change, message = TABLES[case]
    path = tmp_path / "t.parquet"
    pq.write_table(change(table().to_arrow()), path)
    with pytest.raises(InputError, match=message) as refusal:
        read_table(path)
    assert str(refusal.value).startswith(f"{path}: ")


def test_a_small_file_of_many_rows_is_told_by_its_footer(tmp_path):
    path = tmp_path / "bomb.parquet"
    n = 6_000_000
    run = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(["x" * 50]))
    pq.write_table(pa.table({"corpus": run}), path)
    assert path.stat().st_size < 1_000_000
    with pytest.raises(InputError, match=r"6000000 rows, at most 5000000 .*VMAF_JAX_MAX_ROWS"):
        read_table(path)


def test_long_text_repeated_is_told_before_it_is_spread(tmp_path, monkeypatch):
    path = tmp_path / "text.parquet"

    def write(length):
        texts = pa.array(["x" * length])
        run = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), texts)
        pq.write_table(pa.table({"corpus": run.cast(pa.string())}), path)

    write(4000)
    monkeypatch.setenv("VMAF_JAX_MAX_TABLE_BYTES", "50000000")
    with pytest.raises(InputError, match=r"bytes in memory.*VMAF_JAX_MAX_TABLE_BYTES"):
        read_table(path)
    write(5000)
    with pytest.raises(InputError, match=r"has text of 5000 characters, at most 4096 are read"):
        read_table(path)


def test_a_sound_one_is_read(tmp_path):
    path = tmp_path / "t.parquet"
    table().write(path)
    assert len(read_table(path)) == 3
