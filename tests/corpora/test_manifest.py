import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from vmaf_jax.corpora.manifest import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.tables import read_table

ROWS = [
    {"reference": "ref.y4m", "distorted": "dis.mp4", "source": "a", "mos": 61.5},
    {"reference": "ref2.y4m", "distorted": "small.mp4", "source": "b", "mos": 20.0},
]


def write(folder, rows, kind):
    path = folder / f"clips.{kind}"
    if kind == "csv":
        names = list(rows[0])
        lines = [",".join(names)] + [",".join(str(r.get(n, "")) for n in names) for r in rows]
        path.write_text("\n".join(lines))
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_three_kinds_say_the_same(encodes, kind):
    clips = load_clips(write(encodes, ROWS, kind))
    assert [(c.source, c.name, c.mos) for c in clips] == [
        ("a", "dis.mp4", 61.5),
        ("b", "small.mp4", 20.0),
    ]
    assert clips[0].reference.path == encodes / "ref.y4m"


def test_extraction_carries_opinion_scores(encodes):
    table = extract_clips(load_clips(write(encodes, ROWS, "csv")))
    assert table.sources == ["a", "b"]
    assert set(table.label("mos")) == {61.5, 20.0}
    assert table.mean_pool().index.tolist() == [12, 12]
    assert set(table.provenance["inputs"]) == {
        "a (reference)", "a/dis.mp4", "b (reference)", "b/small.mp4",
    }  # fmt: skip


def test_raw_files_take_size_and_format_from_their_row(encodes):
    row: dict = {"reference": "ref.yuv", "distorted": "dis.yuv", "source": "a"}
    row |= {"width": 352, "height": 288, "pix_fmt": "yuv420p", "fps": 24}
    (clip,) = load_clips(write(encodes, [row], "csv"))
    assert (clip.distorted.width, clip.distorted.pix_fmt) == (352, "yuv420p")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROWS[0] | {"sauce": "x"}], r"row 1, column 'sauce': .* did you mean 'source'"),
        ([ROWS[0] | {"mos": 101}], "row 1, column 'mos'"),
        ([ROWS[0], ROWS[1] | {"mos": ""}], "1 of 2 rows have no mos"),
        ([ROWS[0] | {"source": ""}], "row 1, column 'source'"),
        ([ROWS[0], ROWS[0]], "row 2 repeats row 1"),
        ([ROWS[0] | {"distorted": "small.mp4,x"}], "row 1 has more cells than there are columns"),
        (
            [ROWS[0] | {"source": "x"}, ROWS[1] | {"source": "y", "reference": "ref.y4m"}],
            "gives ref.y4m the source 'y', an earlier row 'x'; one reference is one source",
        ),
        ([ROWS[0] | {"distorted": "gone.mp4"}], "gone.mp4: no such file"),
        ([ROWS[0] | {"reference": "ref.yuv"}], "does not say its size and format"),
    ],
)
def test_bad_rows_are_named(encodes, rows, message):
    with pytest.raises(InputError, match=message):
        load_clips(write(encodes, rows, "csv"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "reference,distorted,source\n", "lists no clip"),
        ("m.jsonl", "{broken", "not readable"),
        ("m.jsonl", "[1]", "row 1 is no record"),
        ("m.parquet", "nonsense", "not readable"),
        ("m.dat", "x", "unknown kind"),
    ],
)
def test_bad_manifests_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        load_clips(tmp_path / name)
    with pytest.raises(InputError, match="no such manifest"):
        load_clips(tmp_path / "none.csv")


def test_the_same_table_again_is_the_same_bytes(encodes, tmp_path):
    """Whichever of a pair's names sorts first."""
    rows = [
        {"reference": "ref.y4m", "distorted": "dis.mp4", "source": "a"},
        {"reference": "dis.mp4", "distorted": "ref.y4m", "source": "b"},
    ]
    clips = load_clips(write(encodes, rows, "jsonl"))
    for name in ("first", "again"):
        extract_clips(clips).write(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()


def test_a_failing_clip_keeps_the_others(encodes, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path))  # other tests write to the shared one
    (encodes / "bad.mp4").write_bytes(b"no video at all")
    rows = [ROWS[0], ROWS[1] | {"distorted": "bad.mp4"}, ROWS[1] | {"distorted": "deep.mkv"}]
    clips = load_clips(write(encodes, rows, "jsonl"))
    with pytest.raises(InputError, match=r"bad.mp4: ffmpeg cannot read it"):
        extract_clips(clips, Request(("vmaf_4k_v0.6.1",)))
    assert len(list((tmp_path / "features").glob("*.npz"))) == 2


SCALE = ("--label-scale", 1, 5)
VOTED = [
    ROWS[0] | {"mos": 1.5, "mos_ci95": 0.2, "experiment": 1},
    ROWS[1] | {"mos": 4.5, "mos_ci95": 0.3, "experiment": 2},
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_opinions_come_on_the_scale_that_is_stated(encodes, kind):
    stated = load_clips(write(encodes, VOTED, kind), (1.0, 5.0))
    assert [(c.mos, c.experiment, c.label_scale) for c in stated] == [
        (12.5, "1", (1.0, 5.0)),
        (87.5, "2", (1.0, 5.0)),
    ]
    assert [c.mos_ci95 for c in stated] == pytest.approx([5.0, 7.5])
    said: dict = {"label_scale": [1, 5] if kind == "jsonl" else "1 5"}
    assert load_clips(write(encodes, [row | said for row in VOTED], kind)) == stated


def test_extraction_carries_the_scale_and_the_experiment(encodes, tmp_path):
    rows = [row | {"label_scale": "1 5"} for row in VOTED]
    table = extract_clips(load_clips(write(encodes, rows, "csv")))
    assert table.label_scale == (1.0, 5.0)
    assert set(zip(table.source, table.experiment, table.label("mos"), strict=True)) == {
        ("a", "1", 12.5),
        ("b", "2", 87.5),
    }
    assert table.mos_ci95[0] == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("change", "scale", "message"),
    [
        ({}, None, "mos is at most 4.5 and no scale is stated; pass --label-scale 1 5"),
        ({}, (1.0, 4.0), "row 2, column 'mos': 4.5 is outside the label scale, 1 to 4"),
        ({"label_scale": "1 5"}, (0.0, 100.0), r"label scales \(0.0, 100.0\), \(1.0, 5.0\)"),
        ({"label_scale": "5 1"}, None, "expected two numbers, the worst vote and the best"),
        ({"label_scale": "1"}, None, "row 1, column 'label_scale'"),
        ({"mos": 3}, (1.0, 5.0), "all 2 rows have the mos 3"),
        ({"mos_ci95": -1}, (1.0, 5.0), "row 1, column 'mos_ci95'"),
        ({"mos": "nan"}, (1.0, 5.0), "row 1, column 'mos'"),
        ({"mos": ""}, None, "mos_ci95 without mos"),
    ],
)
def test_opinions_that_cannot_be_are_named(encodes, change, scale, message):
    with pytest.raises(InputError, match=message):
        load_clips(write(encodes, [row | change for row in VOTED], "csv"), scale)


def test_half_filled_columns_are_named(encodes):
    rows = [VOTED[0], VOTED[1] | {"experiment": ""}]
    with pytest.raises(InputError, match="1 of 2 rows have no experiment, row 2 first"):
        load_clips(write(encodes, rows, "csv"), (1.0, 5.0))


DATASET = """
width = 352
height = 288
yuv_fmt = "yuv420p"
ref_videos = [{"content_id": 0, "content_name": "a", "path": "ref.yuv"}]
dis_videos = [
    {"content_id": 0, "path": "dis.yuv", "mos": 2},
    {"content_id": 0, "path": "small.mp4", "mos": 4.5},
]
"""


def test_a_dataset_file_is_a_manifest(encodes):
    path = encodes / "dataset.py"
    path.write_text(DATASET)
    clips = load_clips(path, (1.0, 5.0))
    assert [(c.corpus, c.source, c.name, c.mos) for c in clips] == [
        ("dataset", "a", "dis", 25.0),
        ("dataset", "a", "small", 87.5),
    ]
    assert clips[0].distorted.path == encodes / "dis.yuv"
    assert (clips[0].reference.width, clips[0].reference.pix_fmt) == (352, "yuv420p")
    path.write_text("import os" + DATASET)
    with pytest.raises(InputError, match="line 1: Import is code"):
        load_clips(path)


def test_clips_have_the_names_they_are_given(encodes):
    rows = [ROWS[0] | {"clip": "first"}, ROWS[1] | {"clip": ""}]
    assert [clip.name for clip in load_clips(write(encodes, rows, "csv"))] == ["first", "small.mp4"]
    rows = [ROWS[0] | {"clip": "x"}, ROWS[0] | {"clip": "x", "distorted": "small.mp4"}]
    with pytest.raises(InputError, match="row 2 repeats row 1"):
        load_clips(write(encodes, rows, "csv"))


def test_the_flag_states_the_scale(encodes, tmp_path):
    manifest = write(encodes, VOTED, "csv")
    out = ("--out", tmp_path / "x.parquet")
    flags = ("extract", "--corpus", "manifest", "--manifest", manifest, *out)
    result = run_command(*flags)
    assert result.code == 2
    assert "no scale is stated; pass --label-scale 1 5" in result.stderr
    result = run_command(*flags, *SCALE)
    assert result.code == 0, result.stderr
    assert read_table(tmp_path / "x.parquet").label_scale == (1.0, 5.0)
    result = run_command("extract", "--corpus", "demo", "--out", tmp_path / "y.parquet", *SCALE)
    assert result.code == 2
    assert "corpus 'demo' has no opinion scores; drop the label scale" in result.stderr


def test_a_missing_file_is_told_with_its_row_and_slashes(encodes):
    path = write(encodes, [ROWS[0], ROWS[1] | {"distorted": "enc\\\\gone.mp4"}], "csv")
    with pytest.raises(InputError, match=r"row 2: .*gone.mp4: no such file.*separated by /"):
        load_clips(path)


def test_names_may_look_like_numbers_beside_decimal_commas(encodes):
    rows = [f"{r['reference']};{r['distorted']};{r['source']};{k}.5;{50 + k},5" for k, r in
            enumerate(ROWS[:2])]  # fmt: skip
    path = encodes / "semicolons.csv"
    path.write_text("\n".join(["reference;distorted;source;clip;mos", *rows]))
    assert [(clip.name, clip.mos) for clip in load_clips(path)] == [("0.5", 50.5), ("1.5", 51.5)]
