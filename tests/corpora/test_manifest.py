import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vmaf_jax.corpora.manifest import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.api import extract_clips
from vmaf_jax.extraction.request import Request

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
        ("m.txt", "x", "unknown kind"),
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


def test_a_failing_clip_keeps_the_others(encodes, cache):
    (encodes / "bad.mp4").write_bytes(b"no video at all")
    rows = [ROWS[0], ROWS[1] | {"distorted": "bad.mp4"}, ROWS[1] | {"distorted": "deep.mkv"}]
    before = set((cache / "features").glob("*.parquet"))
    clips = load_clips(write(encodes, rows, "jsonl"))
    with pytest.raises(InputError, match=r"bad.mp4: ffmpeg cannot read it"):
        extract_clips(clips, Request(("vmaf_4k_v0.6.1",)))
    assert len(set((cache / "features").glob("*.parquet")) - before) == 2
