"""Logs of several ages, real ones of this machine's libvmaf and written ones, against the table."""

import json
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from vmaf_jax.corpora.logs import read_clip_list, read_frames, read_log, read_log_manifest
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features import FEATURES, FLOAT_FEATURES, NEG_FEATURES
from vmaf_jax.tables.reading import read_parquet

RNG = np.random.default_rng(0)
HEADER = ",".join(["clip", "frame", *FEATURES, "\n"]).encode().replace(b",\n", b"\n")
FEATURE_COLUMNS = {name: RNG.uniform(0, 1, 5) for name in FEATURES}


@pytest.fixture(scope="module")
def logs(encodes, ffmpeg, tmp_path_factory):
    """What `ffmpeg -lavfi libvmaf` writes of one pair, in the three kinds; NEG's features too."""
    folder = tmp_path_factory.mktemp("logs")
    models = r"version=vmaf_v0.6.1|version=vmaf_v0.6.1neg\\:name=neg"
    for kind in ("json", "xml", "csv"):
        graph = f"libvmaf=log_fmt={kind}:log_path=log.{kind}:model={models}"
        pair = ("-i", encodes / "dis.mp4", "-i", encodes / "ref.y4m")
        line = [ffmpeg, "-v", "error", *map(str, pair), "-lavfi", graph, "-f", "null", "-"]
        subprocess.run(line, check=True, cwd=folder)
    return folder


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize("feature_set", [FEATURES, NEG_FEATURES], ids=lambda s: s.name)
def test_ffmpegs_logs_hold_what_extraction_measures(logs, encodes, kind, feature_set):
    table = extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", feature_set=feature_set)
    features = read_log(logs / f"log.{kind}", feature_set).features
    np.testing.assert_array_equal(features, table.features)


VALUES = np.round(np.random.default_rng(0).uniform(0, 1, (3, 6)), 5)
STYLES = {
    "libvmaf 2 and 3": "integer_{}",
    "libvmaf 1 and vmafossexec": "{}",
    "the Python package": "VMAF_feature_{}_score",
    "the Python package, integer": "VMAF_integer_feature_{}_score",
    "a gain limit that is the default": "integer_{}_egl_100",
}


def write(path, style="{}", numbers=(0, 1, 2), flat=False, values=VALUES):
    """A log as libvmaf writes it, with another score and a name that only looks alike."""
    names = [style.format(name) for name in FEATURES]
    frames = [
        {"psnr": 40.0, "integer_adm2_csf_2": 0.5}
        | dict(zip(names, row.tolist(), strict=True))
        | {"vmaf": 80.0}
        for row in values
    ]
    if path.suffix == ".json":
        rows = [
            {"frameNum": k} | (frame if flat else {"metrics": frame})
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text(json.dumps({"version": "1.3.11", "frames": rows}))
    elif path.suffix == ".xml":
        rows = [
            f'<frame frameNum="{k}" ' + " ".join(f'{n}="{v}"' for n, v in frame.items()) + " />"
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text(
            '<?xml version="1.0"?>\n<VMAF version="1.3.15"><fyi numOfFrames="3" /><frames>'
            + "\n".join(rows)
            + "</frames></VMAF>"
        )
    else:
        lines = [",".join(["Frame", *frames[0], ""])]
        lines += [
            ",".join([str(k), *map(str, frame.values()), ""])
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_names_of_any_age(tmp_path, kind, style):
    log = write(tmp_path / f"log.{kind}", style)
    np.testing.assert_array_equal(read_log(log, FEATURES).features, VALUES)


def test_frames_without_an_object_of_metrics_and_frames_from_one(tmp_path):
    """As the Python package writes them, and as other tools number them."""
    log = write(tmp_path / "log.json", "VMAF_feature_{}_score", numbers=(1, 2, 3), flat=True)
    np.testing.assert_array_equal(read_log(log, FEATURES).features, VALUES)


def test_the_integer_extractors_go_first_and_float_ones_are_their_own(tmp_path):
    names = [f"integer_{name}" for name in FEATURES] + list(FEATURES)
    frame = dict(zip(names, map(float, range(12)), strict=True))
    log = tmp_path / "log.json"
    log.write_text(json.dumps({"frames": [{"frameNum": 0, "metrics": frame}]}))
    assert read_log(log, FEATURES).features.tolist() == [[0.0, 1, 2, 3, 4, 5]]
    assert read_log(log, FLOAT_FEATURES).features.tolist() == [[6.0, 7, 8, 9, 10, 11]]
    with pytest.raises(InputError, match="no adm2 of the feature set vmaf_neg; it has adm2, int"):
        read_log(log, NEG_FEATURES)


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 2, 4), "frame 2 stands after frame 0, expected 1; frames are missing .*docs/traps"),
        ((0, 1, 1), "frame 1 stands after frame 1, expected 2"),
        ((2, 3, 4), "frame 2 stands at the start, expected 0"),
        ((0, -1, 1), "frame number '?-1'?:"),
    ],
)
def test_missing_frames_are_named(tmp_path, kind, numbers, message):
    log = write(tmp_path / f"log.{kind}", numbers=numbers)
    with pytest.raises(InputError, match=message):
        read_log(log, FEATURES)


def test_n_subsample_is_refused(encodes, ffmpeg, tmp_path):
    graph = "libvmaf=log_fmt=csv:log_path=log.csv:n_subsample=3"
    pair = ("-i", encodes / "dis.mp4", "-i", encodes / "ref.y4m")
    line = [ffmpeg, "-v", "error", *map(str, pair), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(line, check=True, cwd=tmp_path)
    with pytest.raises(InputError, match=r"frame 3 stands after frame 0, .*no n_subsample"):
        read_log(tmp_path / "log.csv", FEATURES)


def written(path, values, version="3.0.0", number=0):
    """A JSON log of one frame with these values as they stand."""
    cells = ", ".join(f'"{name}": {value}' for name, value in values.items())
    path.write_text(
        f'{{"version": "{version}", "fps": inf,\n"frames": [{{"frameNum": {number}, "metrics": '
        f'{{{cells}, "psnr_hvs": -nan, "note": "a nan, inf, "}},}},],}}'
    )
    return path


def test_what_is_no_json_in_logs_of_old_libvmaf_is_read(tmp_path):
    """`inf` of frames a second, `nan` of a metric, and commas before a bracket."""
    values = dict.fromkeys(FEATURES, "0.5")
    log = read_log(written(tmp_path / "log.json", values), FEATURES)
    assert log.features.tolist() == [[0.5] * 6]
    with pytest.raises(InputError, match=r"frame 0 has no motion2 \(None\)"):
        read_log(written(tmp_path / "log.json", values | {"motion2": "-nan(ind)"}), FEATURES)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("adm2", '"0_9"', "frame 0 has no adm2 .0_9., expected a number"),
        ("adm2", "true", "frame 0 has no adm2 .True."),
        ("adm2", '"\u0661"', "frame 0 has no adm2"),
        ("adm2", "1e999", "frame 0 has no adm2 .inf."),
        ("adm2", "9" * 400, "frame 0 has no adm2"),
        ("adm2", "-55", "frame 0 has the adm2 -55, which can be -0.001 to 100"),
        ("vif_scale1", "14", "frame 0 has the vif_scale1 14, which can be -0.001 to 13.28"),
        ("motion2", "256", "frame 0 has the motion2 256, which can be -0.001 to 255"),
        ("motion2", "1e300", "frame 0 has the motion2 1e.300"),
    ],
)
def test_what_no_feature_can_be_is_refused(tmp_path, name, value, message):
    values = dict.fromkeys(FEATURES, "0.5") | {name: value}
    with pytest.raises(InputError, match=message):
        read_log(written(tmp_path / "log.json", values), FEATURES)


@pytest.mark.parametrize("number", ['"0_0"', "true", "1.9", '"\u0660"', "1e999", "[0]"])
def test_frame_numbers_are_whole_numbers(tmp_path, number):
    path = written(tmp_path / "log.json", dict.fromkeys(FEATURES, "0.5"), number=number)
    with pytest.raises(InputError, match=r"frame number .*: expected 0, 1"):
        read_log(path, FEATURES)


def test_contrast_gain_goes_beyond_one_except_under_a_limit(tmp_path):
    values = {f"integer_{name}{end}": "1.2" for name in FEATURES for end in ("", "_egl_1")}
    path = written(tmp_path / "log.json", values)
    assert read_log(path, FEATURES).features.max() == 1.2
    with pytest.raises(InputError, match=r"has the adm2 1.2, which can be -0.001 to 1.001"):
        read_log(path, NEG_FEATURES)


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize("ending", ["log", "txt", "json", "xml", "csv", ""])
def test_a_log_is_told_by_its_content(tmp_path, kind, ending):
    log = write(tmp_path / f"first.{kind}").rename(tmp_path / f"vmaf.{ending}")
    np.testing.assert_array_equal(read_log(log, FEATURES).features, VALUES)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize(
    ("delimiter", "decimal"), [(";", ","), ("\t", ","), (";", "."), (",", ".")]
)
def test_csv_as_spreadsheets_save_it(tmp_path, encoding, delimiter, decimal):
    lines = [delimiter.join(f'"{name}"' for name in ("Frame", *FEATURES, ""))]
    lines += [
        delimiter.join([str(k), *(str(v).replace(".", decimal) for v in row), ""])
        for k, row in enumerate(VALUES)
    ]
    text = "\r\n".join([*lines, "", delimiter * 7, ""])
    (tmp_path / "log.csv").write_text(text, encoding=encoding, newline="")
    np.testing.assert_array_equal(read_log(tmp_path / "log.csv", FEATURES).features, VALUES)


def test_decimal_commas_and_points_in_one_file_are_refused(tmp_path):
    text = "Frame;adm2;motion2\n0;0,9;1.5\n"
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(InputError, match=r"decimal commas \(0,9 in row 1\) and decimal points"):
        read_log(tmp_path / "log.csv", FEATURES)


@pytest.mark.parametrize("kind", ["json", "csv", "sub"])
def test_logs_of_ffmpeg_quality_metrics_and_subtitles(logs, tmp_path, kind):
    """The layouts of ffmpeg-quality-metrics 3.13.0 (frames from 1, `n`), and libvmaf's `sub`."""
    document = json.loads((logs / "log.json").read_text())
    rows = [frame["metrics"] for frame in document["frames"]]
    path = tmp_path / f"log.{kind}"
    if kind == "json":
        frames = [row | {"n": k} for k, row in enumerate(rows, 1)]
        path.write_text(json.dumps({"vmaf": frames, "psnr": [{"n": 1}], "global": {}}, indent=4))
    elif kind == "csv":
        lines = [",".join(["n", *rows[0], "input_file_dist"])]
        lines += [",".join(map(str, [k, *row.values(), "d"])) for k, row in enumerate(rows, 1)]
        path.write_text("\n".join(lines) + "\n")
    else:
        lines = [
            f"{{{k}}}{{{k + 1}}}frame: {k}|" + "".join(f"{n}: {v}|" for n, v in row.items())
            for k, row in enumerate(rows)
        ]
        path.write_text("\n".join(lines) + "\n")
    expected = read_log(logs / "log.json", FEATURES).features
    np.testing.assert_array_equal(read_log(path, FEATURES).features, expected)


LIBVMAF_1 = """{
  "version":"1.3.14",
  "params":{"model":"vmaf_float_v0.6.1.pkl", "scaledWidth":576, "scaledHeight":324, "subsample":1},
  "metrics":["adm2", "motion2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "vmaf"],
  "frames":[{"frameNum":0, "metrics":{"adm2":0.94242, "motion2":16.86277, "vif_scale0":0.271,
    "vif_scale1":0.58118, "vif_scale2":0.69429, "vif_scale3":0.7833, "vmaf":77.73773}}]
}"""  # ffmpeg 4.2.2, frame 1 of a 10-bit pair whose motion2 is 4.21569 (libvmaf 3)


def test_10_bits_measured_by_libvmaf_1_are_refused(tmp_path):
    path = tmp_path / "log.json"
    path.write_text(LIBVMAF_1)
    for depth in (None, 8):
        log = read_log(path, FEATURES, bit_depth=depth)
        assert (log.version, log.is_of_libvmaf_1) == ("1.3.14", True)
    with pytest.raises(InputError, match=r"libvmaf 1.3.14 measured 10 bits.*motion2 four times"):
        read_log(path, FEATURES, bit_depth=10)
    path.write_text(LIBVMAF_1.replace("1.3.14", "2.3.0"))
    assert not read_log(path, FEATURES, bit_depth=10).is_of_libvmaf_1


@pytest.mark.parametrize(("kind", "old"), [("json", True), ("xml", True), ("csv", False)])
def test_the_version_stands_in_json_and_xml(tmp_path, kind, old):
    assert read_log(write(tmp_path / f"log.{kind}"), FEATURES).is_of_libvmaf_1 == old


ENTITIES = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<VMAF><frames><frame frameNum="0" adm2="&b;" /></frames></VMAF>"""
ADM_LESS = '{"frames": [{"frameNum": 0, "metrics": {"vmaf": 80.0}}]}'
NEG_ONLY = '{"frames": [{"frameNum": 0, "metrics": {"integer_adm2_egl_1": 0.5}}]}'
NULL = '{"frames": [{"frameNum": 0, "metrics": {"adm2": null}}]}'.replace(
    "null", "null, " + ", ".join(f'"{name}": 0.5' for name in list(FEATURES)[1:])
)
BAD = [
    ("log.json", "{", "not readable"),
    ("log.json", "[1]", "no log of libvmaf's"),
    ("log.json", "[" * 100_000, "not readable"),
    ("log.json", '{"frames": []}', "holds no frame"),
    ("log.json", '{"frames": [1]}', "no log of libvmaf's"),
    ("log.json", '{"frames": [{"metrics": 1}]}', "metrics are no object"),
    ("log.json", '{"frames": [{"metrics": {}}]}', "frame number None"),
    ("log.json", ADM_LESS, "has no adm2 of the feature set vmaf; log features and no scores alone"),
    ("log.json", NEG_ONLY, "it has integer_adm2_egl_1; NEG features are read with --features"),
    ("log.json", NULL, r"frame 0 has no adm2 \(None\)"),
    ("log.json", NULL.replace("null", "NaN"), r"frame 0 has no adm2 \(nan\)"),
    ("log.json", NULL.replace("null", "true"), r"frame 0 has no adm2 \(True\)"),
    ("log.xml", "<VMAF>", "not readable"),
    ("log.xml", "<VMAF></VMAF>", "holds no frame"),
    ("log.xml", ENTITIES, "declares a document type"),
    ("log.csv", "", "JSON, XML or CSV with a column Frame"),
    ("log.csv", "Frame,adm2,\n", "holds no frame"),
    # libvmaf leaves out what it does not have: which value is which is not known any more.
    ("log.csv", "Frame,adm2,motion2,\n0,0.9,\n", "frame 0 has 3 cells for 4 columns"),
    ("log.sub", "{0}{1}frame: 0|adm2: 0.9|", "has no vif_scale0 of"),
    ("log.sub", "{0}{1}frame: 0|adm2: 0.9|adm2: 0.8|", "the key 'adm2' occurs twice"),
    ("log.sub", "{0}{1}frame: 0|adm2: 0.9|\nnonsense", "line 2 is cut, or none of libvmaf's"),
    ("log.csv", "time|adm2\n0|1\n", "its first line begins with 'time|adm2'"),
    ("log.csv", "Frame,adm2,adm2\n0,1,0\n", "column 'adm2' occurs twice"),
    ("log.json", '{"frames": [], "frames": [{}]}', "the key 'frames' occurs twice"),
    ("log.json", '{"psnr": [{"n": 1}]}', "no list of frames; it has psnr"),
    ("log.xml", '<?xml version="1.0" encoding="x-nothing"?><VMAF/>', "not readable"),
    ("log.xml", '<?xml version="1.0" encoding="big5"?><VMAF/>', "not readable"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[b[2][:30] for b in BAD])
def test_what_is_no_log_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_log(tmp_path / name, FEATURES)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(InputError, match="no such log"):
        read_log(tmp_path / "none.json", FEATURES)


@pytest.mark.parametrize("kind", ["json", "csv", "sub"])
def test_logs_as_powershell_saves_them(logs, tmp_path, kind):
    """Its `>` writes UTF-16 with a mark."""
    text = subtitles(logs) if kind == "sub" else (logs / f"log.{kind}").read_text()
    (tmp_path / "log").write_text(text, encoding="utf-16")
    expected = read_log(logs / "log.json", FEATURES).features
    np.testing.assert_allclose(read_log(tmp_path / "log", FEATURES).features, expected, atol=1e-6)


def subtitles(logs):
    """The log as libvmaf writes it with `log_fmt=sub`."""
    frames = json.loads((logs / "log.json").read_text())["frames"]
    return "".join(
        f"{{{k}}}{{{k + 1}}}frame: {k}|"
        + "".join(f"{name}: {value:.6f}|" for name, value in frame["metrics"].items())
        + "\n"
        for k, frame in enumerate(frames)
    )


@pytest.mark.parametrize("kind", ["json", "xml", "csv", "sub"])
def test_a_log_that_is_cut_is_refused_wherever_it_is_cut(logs, tmp_path, kind):
    text = subtitles(logs) if kind == "sub" else (logs / f"log.{kind}").read_text()
    last = text.rstrip().rindex("\n") + 1
    for end in range(last + 1, len(text.rstrip()), 7):
        if text[:end].rstrip() == text.rstrip() or (kind, text[end:].strip()) == ("csv", ","):
            continue
        (tmp_path / "log").write_text(text[:end])
        with pytest.raises(InputError):
            read_log(tmp_path / "log", FEATURES)


def test_options_of_other_models_are_not_told_as_neg(tmp_path):
    values = {f"integer_{name}_csf_2_egl_1_min_0.5": "0.5" for name in FEATURES}
    with pytest.raises(InputError, match=r"it has integer_adm2_csf_2_egl_1_min_0.5\.$"):
        read_log(written(tmp_path / "log.json", values), FEATURES)


def arrow(clip=("a", "a", "b", "b", "b"), frame=(0, 1, 0, 1, 2), **columns):
    return pa.table({"clip": list(clip), "frame": list(frame)} | FEATURE_COLUMNS | columns)


def write_table(folder, table, kind):
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
    frames = read_frames(write_table(tmp_path, table, kind), FEATURES)
    expected = np.stack([FEATURE_COLUMNS[name] for name in FEATURES], axis=1)
    assert list(frames) == ["a", "b"]
    np.testing.assert_array_equal(frames["a"], expected[:2])
    np.testing.assert_array_equal(frames["b"], expected[2:])


def test_frames_counted_from_one(tmp_path):
    path = write_table(tmp_path, arrow(frame=(1, 2, 1, 2, 3)), "csv")
    assert len(read_frames(path, FEATURES)["b"]) == 3


BAD_CELLS = [
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
@pytest.mark.parametrize(("table", "message"), BAD_CELLS, ids=[b[1][:30] for b in BAD_CELLS])
def test_what_are_no_frames_is_named(tmp_path, table, message, kind):
    with pytest.raises(InputError, match=message):
        read_frames(write_table(tmp_path, table, kind), FEATURES)


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
    path = write_table(tmp_path, arrow(adm2=["x"] * 5), "parquet")
    with pytest.raises(InputError, match="column 'adm2' holds string, expected numbers"):
        read_frames(path, FEATURES)
    path = write_table(tmp_path, arrow(adm2=[[1.0]] * 5), "parquet")
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
    path = write_table(tmp_path, table, "parquet")
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
def test_cells_that_no_feature_can_be_are_refused(tmp_path, column, value, message):
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
    path = write_table(tmp_path, arrow(), "csv")
    expected = read_frames(path, FEATURES)
    path.write_text(above + path.read_text())
    for name, values in read_frames(path, FEATURES).items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_number_that_is_none_is_told_with_its_column(tmp_path):
    path = write_table(tmp_path, arrow(), "csv")
    lines = path.read_text().splitlines()
    at = lines[0].split(",").index('"vif_scale2"')
    cells = lines[2].split(",")
    cells[at] = "90%"
    path.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]))
    with pytest.raises(InputError, match=r"column 'vif_scale2': .*90%"):
        read_frames(path, FEATURES)


def test_clips_at_several_distances_are_clips_of_each(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("clip,source,distance,note\npark,a,1.5,x\npark,a,3,y\nsea,b,3,z\n")
    clips, unused = read_clip_list(path)
    assert [clip.name for clip in clips] == ["park@1.5H", "park@3H", "sea"]
    assert {clip.measured_as for clip in clips} == {"park", "sea"}
    assert unused == ["note"]


def test_logs_are_beside_their_manifest_and_named_by_it(tmp_path):
    (tmp_path / "one.json").write_text("{}")
    path = tmp_path / "logs.csv"
    path.write_text("log,source\none.json,a\n")
    (clip,), _ = read_log_manifest(path)
    assert (clip.name, clip.log) == ("one", tmp_path / "one.json")
    path.write_text("log,source\ntwo.json,a\n")
    with pytest.raises(InputError, match=r"row 1: .*two.json: no such file"):
        read_log_manifest(path)
