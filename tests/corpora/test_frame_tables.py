import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from vmaf_jax.corpora.frame_tables import read_frames
from vmaf_jax.errors import InputError
from vmaf_jax.features import FEATURES, NEG_FEATURES
from vmaf_jax.tables.reading import read_parquet

RNG = np.random.default_rng(0)
HEADER = ",".join(["clip", "frame", *FEATURES, "\n"]).encode().replace(b",\n", b"\n")
FEATURE_COLUMNS = {name: RNG.uniform(0, 1, 5) for name in FEATURES}


def arrow(clip=("a", "a", "b", "b", "b"), frame=(0, 1, 0, 1, 2), **columns):
    return pa.table({"clip": list(clip), "frame": list(frame)} | FEATURE_COLUMNS | columns)


def write(folder, table, kind):
    path = folder / f"frames.{kind}"
    if kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=2)
    return path


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("encoded", [False, True], ids=["text", "dictionary"])
def test_frames_come_by_clip(tmp_path, kind, encoded):
    table = arrow(vmaf=RNG.uniform(0, 100, 5))
    if encoded:
        table = table.set_column(0, "clip", table.column("clip").dictionary_encode())
    frames = read_frames(write(tmp_path, table, kind), FEATURES)
    expected = np.stack([FEATURE_COLUMNS[name] for name in FEATURES], axis=1)
    assert list(frames) == ["a", "b"]
    np.testing.assert_array_equal(frames["a"], expected[:2])
    np.testing.assert_array_equal(frames["b"], expected[2:])


def test_frames_counted_from_one(tmp_path):
    path = write(tmp_path, arrow(frame=(1, 2, 1, 2, 3)), "csv")
    assert len(read_frames(path, FEATURES)["b"]) == 3


BAD = [
    (arrow().drop_columns(["vif_scale2"]), "column 'vif_scale2' is missing"),
    (arrow(frame=(0, 1, 0, 2, 3)), "clip 'b': frame 2 stands after frame 0, expected 1"),
    (arrow(frame=(0, 1, 2, 3, 4)), "clip 'b': frame 2 stands at the start, expected 0"),
    (arrow(frame=(0, 0.5, 0, 1, 2)), "clip 'a': frame 0.5 stands after frame 0, expected 1"),
    (arrow(clip=("a", "b", "b", "a", "a")), "the rows of clip 'a' are not together"),
    (arrow(clip=("a", "a", "b", "b", None)), "column 'clip', row 4 is empty"),
    (arrow(adm2=[0.5, None, 0.5, 0.5, 0.5]), "column 'adm2', row 1 is nan"),
    (arrow(adm2=[0.5, np.inf, 0.5, 0.5, 0.5]), "column 'adm2', row 1 is inf"),
    (arrow().slice(0, 0), "holds no frame"),
    (arrow(clip=("a" * 2000,) * 5, frame=range(5)), "characters"),
]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(("table", "message"), BAD, ids=[b[1][:30] for b in BAD])
def test_what_are_no_frames_is_named(tmp_path, table, message, kind):
    with pytest.raises(InputError, match=message):
        read_frames(write(tmp_path, table, kind), FEATURES)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.parquet", b"nonsense", "not readable"),
        ("x.csv", b"", "column 'clip' is missing"),
        (
            "x.csv",
            b"clip,frame," + ",".join(FEATURES).encode() + b"\na,0,x,1,1,1,1,1\n",
            "readable",
        ),
        ("x.csv", b"\xff\xfe\x00", "column 'clip' is missing"),
        ("x.csv", b'"clip\r"x\rframe', "column 'clip' is missing"),
        ("x.dat", b"", "unknown kind"),
    ],
)
def test_what_is_no_table_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_frames(tmp_path / name, FEATURES)
    with pytest.raises(InputError, match="no such file of frames"):
        read_frames(tmp_path / ("a" * 300), FEATURES)


def test_text_as_numbers_and_nested_columns(tmp_path):
    path = write(tmp_path, arrow(adm2=["x"] * 5), "parquet")
    with pytest.raises(InputError, match="column 'adm2' holds string, expected numbers"):
        read_frames(path, FEATURES)
    path = write(tmp_path, arrow(adm2=[[1.0]] * 5), "parquet")
    with pytest.raises(InputError, match="column 'adm2' holds list"):
        read_frames(path, FEATURES)


def test_what_would_swell_is_refused_unread(tmp_path):
    """A hundred thousand rows of one value take a kilobyte, and 800 kB when they are read."""
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": np.zeros(100_000)}), path)
    assert path.stat().st_size < 4096
    assert read_parquet(path, max_rows=100_000, max_bytes=2**20).num_rows == 100_000
    with pytest.raises(InputError, match="100000 rows, at most 99999 are read"):
        read_parquet(path, max_rows=99_999)
    with pytest.raises(InputError, match="takes 800000 bytes in memory, at most 100 are read"):
        read_parquet(path, max_bytes=100)


def test_a_table_of_other_features_is_not_taken_for_these(tmp_path):
    table = arrow().replace_schema_metadata({"vmaf_jax": '{"feature_set": "vmaf_neg"}'})
    path = write(tmp_path, table, "parquet")
    assert list(read_frames(path, NEG_FEATURES)) == ["a", "b"]
    with pytest.raises(InputError, match="of the feature set vmaf_neg, not vmaf; pass --features"):
        read_frames(path, FEATURES)


@pytest.mark.parametrize(
    ("delimiter", "decimal", "start"),
    [(";", ",", ""), (";", ".", ""), ("\t", ",", ""), ("\t", ".", "\ufeff"), (";", ",", "sep=;\n")],
)
def test_other_delimiters_and_decimal_commas(tmp_path, delimiter, decimal, start):
    names = [" clip", "frame", *FEATURES, ""]
    expected = np.stack([FEATURE_COLUMNS[name] for name in FEATURES], axis=1)
    lines = [delimiter.join(names)] + [
        delimiter.join(["a", str(k), *(str(v).replace(".", decimal) for v in row), ""])
        for k, row in enumerate(expected)
    ]
    (tmp_path / "f.csv").write_text(start + "\r\n".join(lines) + "\r\n")
    np.testing.assert_array_equal(read_frames(tmp_path / "f.csv", FEATURES)["a"], expected)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("frame", "0_0", "not readable"),
        ("frame", "true", "not readable"),
        ("frame", "\u0660", "not readable"),
        ("frame", "0.5", "frame 0.5 stands at the start"),
        ("adm2", "0_9", "not readable"),
        ("adm2", "-55", "clip 'a': frame 0 has the adm2 -55, which can be"),
        ("vif_scale3", "20", "clip 'a': frame 0 has the vif_scale3 20, which can be"),
        ("motion2", "1023", "clip 'a': frame 0 has the motion2 1023, which can be"),
        ("motion2", "1e300", "column 'motion2', row 0 is 1e.300"),
        ("motion2", "1e999", "column 'motion2', row 0 is inf"),
    ],
)
def test_what_no_feature_can_be_is_refused(tmp_path, column, value, message):
    row = {"clip": "a", "frame": "0"} | dict.fromkeys(FEATURES, "0.5") | {column: value}
    (tmp_path / "f.csv").write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
    with pytest.raises(InputError, match=message):
        read_frames(tmp_path / "f.csv", FEATURES)


def test_a_column_that_stands_twice_is_refused(tmp_path):
    header = ",".join(["clip", "frame", *FEATURES, "adm2"])
    (tmp_path / "f.csv").write_text(f"{header}\na,0,1,1,1,1,1,1,0\n")
    with pytest.raises(InputError, match="column 'adm2' occurs twice"):
        read_frames(tmp_path / "f.csv", FEATURES)


@pytest.mark.parametrize("above", ["\n", ",,,\n", "\n\n  ,\n"])
def test_empty_lines_above_the_header_are_passed_over(tmp_path, above):
    path = write(tmp_path, arrow(), "csv")
    expected = read_frames(path, FEATURES)
    path.write_text(above + path.read_text())
    for name, values in read_frames(path, FEATURES).items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_number_that_is_none_is_told_with_its_column(tmp_path):
    path = write(tmp_path, arrow(), "csv")
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index('"vif_scale2"')
    cells = lines[2].split(",")
    cells[at] = "90%"
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
    with pytest.raises(InputError, match=r"column 'vif_scale2': .*90%"):
        read_frames(path, FEATURES)
