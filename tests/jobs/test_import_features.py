"""`vmaf-jax import` from end to end: logs, frames, votes, dataset files, and what is wrong."""

import json
import weakref
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.corpora.test_logs import VALUES
from tests.corpora.test_logs import write as write_log
from tests.support import opinions_of_uhd_1, run_command
from vmaf_jax.errors import InputError
from vmaf_jax.features import FEATURES
from vmaf_jax.jobs.import_features import ImportSettings, ImportSource, import_features
from vmaf_jax.runs.config import DataConfig
from vmaf_jax.runs.problem import load_problem
from vmaf_jax.tables import FeatureTable, read_table
from vmaf_jax.tables.dataset import shards_of
from vmaf_jax.teacher import load_teacher

CLIPS: list[dict] = [
    {"clip": "a1", "source": "a", "mos": 1.5, "mos_ci95": 0.2, "experiment": 1, "n_frames": 3},
    {"clip": "a2", "source": "a", "mos": 4.0, "mos_ci95": 0.3, "experiment": 1, "n_frames": 2},
    {"clip": "b1", "source": "b", "mos": 4.5, "mos_ci95": 0.1, "experiment": 2, "n_frames": 4},
]


def write_csv(path, rows):
    names = list(rows[0])
    lines = [",".join(str(row.get(name, "")) for name in names) for row in rows]
    path.write_text("\n".join([",".join(names), *lines]) + "\n")
    return path


def without(rows, *columns):
    return [{k: v for k, v in row.items() if k not in columns} for row in rows]


@pytest.fixture
def folder(tmp_path):
    """`frames.parquet` and `clips.csv` as teams have them, and `logs.csv` with three logs."""
    rng = np.random.default_rng(1)
    frames = {
        "clip": [row["clip"] for row in CLIPS for _ in range(row["n_frames"])],
        "frame": [k for row in CLIPS for k in range(row["n_frames"])],
        **{name: rng.uniform(0.1, 0.9, 9) for name in FEATURES},
        "vmaf": rng.uniform(0, 100, 9),
    }
    pq.write_table(pa.table(frames), tmp_path / "frames.parquet")
    write_csv(tmp_path / "clips.csv", CLIPS)
    rows = []
    for row, kind in zip(CLIPS, ("json", "xml", "csv"), strict=True):
        write_log(tmp_path / f"{row['clip']}.{kind}")
        rows.append({"log": f"{row['clip']}.{kind}"} | row)
    write_csv(tmp_path / "logs.csv", without(rows, "clip", "n_frames"))
    return tmp_path


def run(folder, *flags):
    return run_command("import", *flags, "--out", folder / "out.parquet")


def from_frames(folder, *flags):
    return run(
        folder, "--frames", folder / "frames.parquet", "--clips", folder / "clips.csv", *flags
    )


SCALE = ("--label-scale", 1, 5)


def test_frames_and_clips(folder):
    write_csv(folder / "clips.csv", [row | {"codec": "hevc"} for row in CLIPS])
    result = from_frames(folder, *SCALE, "--json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["label_scale"] == [1, 5]
    assert "columns left alone: codec" in result.stderr
    table = read_table(folder / "out.parquet")
    frames = pq.read_table(folder / "frames.parquet")
    np.testing.assert_array_equal(table.features[:, 0], frames.column("adm2").to_numpy())
    assert set(table.corpus) == {"clips"}
    assert table.label("mos").tolist() == [12.5] * 3 + [75.0] * 2 + [87.5] * 4
    np.testing.assert_allclose(table.mos_ci95, [5.0] * 3 + [7.5] * 2 + [2.5] * 4)
    assert table.experiment is not None
    assert table.experiment.tolist() == ["1"] * 5 + ["2"] * 4
    assert table.source.tolist() == ["a"] * 5 + ["b"] * 4
    assert table.index.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    assert table.label_scale == (1.0, 5.0)
    first = (folder / "out.parquet").read_bytes()
    assert from_frames(folder, *SCALE).code == 0
    assert (folder / "out.parquet").read_bytes() == first


def test_frames_in_csv_and_a_teacher(folder):
    arrow = pq.read_table(folder / "frames.parquet")
    pyarrow.csv.write_csv(arrow, folder / "frames.csv")
    flags = ("--teacher", "vmaf_4k_v0.6.1", "--name", "mine", *SCALE)
    result = run(folder, "--frames", folder / "frames.csv", "--clips", folder / "clips.csv", *flags)
    assert result.code == 0, result.stderr
    table = read_table(folder / "out.parquet")
    assert set(table.corpus) == {"mine"}
    expected = load_teacher("vmaf_4k_v0.6.1")(table.features)
    np.testing.assert_array_equal(table.label("vmaf_4k_v0.6.1"), expected)


def test_logs_of_three_kinds(folder):
    result = run(folder, "--logs", folder / "logs.csv", *SCALE)
    assert result.code == 0, result.stderr
    table = read_table(folder / "out.parquet")
    np.testing.assert_array_equal(table.features, np.tile(VALUES, (3, 1)))
    assert list(dict.fromkeys(table.clip)) == ["a1", "a2", "b1"]
    assert len(table.provenance["inputs"]) == 3


def test_logs_without_opinions(folder):
    rows = [{"log": "a1.json", "source": "a"}, {"log": "b1.csv", "source": "b"}]
    write_csv(folder / "logs.csv", rows)
    result = run(folder, "--logs", folder / "logs.csv", "--teacher", "vmaf_v0.6.1")
    assert result.code == 0, result.stderr
    assert "no opinion scores" in result.stderr
    assert list(read_table(folder / "out.parquet").labels) == ["vmaf_v0.6.1"]


def test_a_clone_of_avt_vqdb_uhd_1(tmp_path):
    (tmp_path / "test_1" / "vmaf_reports").mkdir(parents=True)
    rows = []
    for k, source in enumerate(("boat", "park_8s")):
        video = f"{source}_200kbps_360p_59.94fps_h264"
        write_log(tmp_path / "test_1" / "vmaf_reports" / f"{video}_vmaf.json")
        rows.append({"video_name": f"{video}.mkv", "MOS": 2.0 + k, "CI": 0.2})
    write_csv(tmp_path / "test_1" / "mos_ci.csv", rows)
    result = run(tmp_path, "--corpus", "avt_vqdb_uhd_1", "--data-root", tmp_path)
    assert result.code == 0, result.stderr
    table = read_table(tmp_path / "out.parquet")
    assert (table.sources, set(table.corpus)) == (["boat", "park"], {"avt_vqdb_uhd_1"})
    assert table.label("mos").tolist() == [25.0] * 3 + [50.0] * 3
    assert table.label_scale == (1.0, 5.0)
    kept = ("--corpus", "avt_vqdb_uhd_1", "--data-root", tmp_path, "--source", "park")
    assert run(tmp_path, *kept).code == 0
    assert read_table(tmp_path / "out.parquet").sources == ["park"]
    result = run(tmp_path, *kept[:-1], "pork")
    assert "no source 'pork' to keep; it has boat, park." in result.stderr


def votes(clips=("a1", "a2", "b1"), subjects=("ann", "bob", "eve", "joe")):
    rng = np.random.default_rng(2)
    quality = {"a1": 2, "a2": 4, "b1": 3}
    rows = []
    for clip in clips:
        for who in subjects:
            score = int(np.clip(quality[clip] + rng.integers(-1, 2), 1, 5))
            rows.append({"clip": clip, "subject": who, "score": score})
    return rows


def test_ratings_become_scores_with_intervals(folder):
    write_csv(folder / "clips.csv", without(CLIPS, "mos", "mos_ci95", "experiment"))
    ratings = write_csv(folder / "ratings.csv", votes())
    result = from_frames(folder, "--ratings", ratings, *SCALE)
    assert result.code == 0, result.stderr
    assert "votes: 3 clips, 4 subjects, bias" in result.stderr
    table = read_table(folder / "out.parquet")
    mean = {c: np.mean([v["score"] for v in votes() if v["clip"] == c]) for c in ("a1", "a2", "b1")}
    mos = dict(zip(table.clip, table.label("mos"), strict=True))
    # Everybody voted on everything and weighs alike (few subjects): that is the mean.
    assert "one for all" in result.stderr
    for clip, value in mos.items():
        assert value == pytest.approx((mean[clip] - 1) * 25, abs=1e-6)
    assert table.mos_ci95 is not None
    assert (table.mos_ci95 > 0).all()


FROM_AFAR = [
    *[row | {"distance": 1.6} for row in CLIPS],
    CLIPS[0] | {"distance": 3.2, "mos": 2.5},
]


def test_a_clip_seen_from_two_distances_is_a_clip_of_each(folder):
    write_csv(folder / "clips.csv", FROM_AFAR)
    result = from_frames(folder, *SCALE)
    assert result.code == 0, result.stderr
    table = read_table(folder / "out.parquet")
    clips = table.mean_pool()
    assert clips.clip.tolist() == ["a1@1.6H", "a2", "b1", "a1@3.2H"]
    assert clips.distance.tolist() == [1.6, 1.6, 1.6, 3.2]
    assert clips.label("mos").tolist() == [12.5, 75.0, 87.5, 37.5]
    near, far = (table.features[table.clip == f"a1@{d}H"] for d in (1.6, 3.2))
    np.testing.assert_array_equal(near, far)


def test_votes_from_two_distances_are_of_a_clip_each(folder):
    write_csv(folder / "clips.csv", without(FROM_AFAR, "mos", "mos_ci95", "experiment"))
    afar = [row | {"score": 5} for row in votes(("a1",))]
    rows = [
        row | {"distance": distance}
        for distance, group in ((1.6, votes()), (3.2, afar))
        for row in group
    ]
    result = from_frames(folder, "--ratings", write_csv(folder / "ratings.csv", rows), *SCALE)
    assert result.code == 0, result.stderr
    clips = read_table(folder / "out.parquet").mean_pool()
    mos = dict(zip(clips.clip, clips.label("mos"), strict=True))
    assert mos["a1@3.2H"] > 99 > 60 > mos["a1@1.6H"]


def test_each_experiment_has_its_own_subjects(folder):
    fourth = {"clip": "b2", "source": "b", "experiment": 2, "n_frames": 1}
    clips = [*without(CLIPS, "mos", "mos_ci95"), fourth]
    write_csv(folder / "clips.csv", clips)
    frames = pq.read_table(folder / "frames.parquet")
    more = frames.slice(0, 1).set_column(0, "clip", pa.array(["b2"]))
    pq.write_table(pa.concat_tables([frames, more]), folder / "frames.parquet")
    # In the second test everybody with the first one's names votes one point lower.
    rows = [
        {"clip": clip, "subject": who, "score": score + shift}
        for clip, score in (("a1", 3), ("a2", 4), ("b1", 2), ("b2", 3))
        for who, shift in (("ann", 0), ("bob", 1), ("eve", int(clip in ("a1", "b1"))))
    ]
    result = from_frames(folder, "--ratings", write_csv(folder / "ratings.csv", rows), *SCALE)
    assert result.code == 0, result.stderr
    assert "experiment 1: 2 clips, 3 subjects" in result.stderr
    assert "experiment 2: 2 clips, 3 subjects" in result.stderr


def test_a_dataset_file_lists_the_clips(folder):
    scores = {"a1": [2, 1, 3], "a2": [5, 4, 4], "b1": [3, 2, 4]}
    entries = [
        f'{{"content_id": "{clip[0]}", "path": "/x/{clip}.yuv", "os": {os}}}'
        for clip, os in scores.items()
    ]
    contents = ", ".join(f'{{"content_id": "{c}", "path": "/x/{c}.yuv"}}' for c in "ab")
    (folder / "mine.py").write_text(
        f"ref_videos = [{contents}]\ndis_videos = [{', '.join(entries)}]\n"
    )
    frames = ("--frames", folder / "frames.parquet", "--clips", folder / "mine.py")
    result = run(folder, *frames, *SCALE)
    assert result.code == 0, result.stderr
    table = read_table(folder / "out.parquet")
    assert table.sources == ["a", "b"]
    assert table.label("mos")[0] < table.label("mos")[-1] < table.label("mos")[4]


def edited(rows, k, **values):
    return [row | values if i == k else row for i, row in enumerate(rows)]


PLAIN = without(CLIPS, "mos", "mos_ci95", "experiment")
BAD_CLIPS = [
    (edited(CLIPS, 1, mos=5.2), SCALE, "row 2, column 'mos': 5.2 is outside the label scale, 1 to"),
    (edited(CLIPS, 1, mos=0.9), SCALE, "row 2, column 'mos': 0.9 is outside the label scale, 1 to"),
    (edited(CLIPS, 1, mos="good"), SCALE, "row 2, column 'mos'"),
    (edited(CLIPS, 1, mos=""), SCALE, "1 of 3 rows have no mos, row 2 first"),
    (edited(CLIPS, 1, mos_ci95=""), SCALE, "1 of 3 rows have no mos_ci95, row 2 first"),
    (CLIPS, (), "mos is at most 4.5 and no scale is stated; pass --label-scale 1 5"),
    (CLIPS, ("--label-scale", 5, 1), "label scale (5.0, 1.0): expected two numbers"),
    (CLIPS, ("--label-scale", "nan", 5), "expected two numbers"),
    ([row | {"mos": 3} for row in CLIPS], SCALE, "all 3 rows have the mos 3"),
    (CLIPS[:2], SCALE, "clips.csv lacks: 1 of 3, 'b1' first"),
    (
        [*CLIPS, CLIPS[0] | {"clip": "c"}],
        SCALE,
        "frames.parquet: 1 of 4, 'c' first (one there is 'a1')",
    ),
    ([*CLIPS, CLIPS[0] | {"mos": 2}], SCALE, "rows 1 and 4 are both of the clip 'a1'"),
    ([*FROM_AFAR, FROM_AFAR[0]], SCALE, "rows 1 and 5 are both of the clip 'a1@1.6H'"),
    (edited(FROM_AFAR, 1, distance=""), SCALE, "1 of 4 rows have no distance, that of 'a2' first"),
    (edited(FROM_AFAR, 1, distance=0), SCALE, "row 2, column 'distance'"),
    (edited(CLIPS, 1, clip=""), SCALE, "row 2, column 'clip' is empty"),
    (edited(CLIPS, 1, source=""), SCALE, "row 2, column 'source'"),
    (edited(CLIPS, 1, n_frames=3), SCALE, "clip 'a2' has 3 frames, its features 2"),
    (CLIPS, (*SCALE, "--features", "cambi"), "--features cambi: expected one of vmaf"),
    (CLIPS, (*SCALE, "--teacher", "vmaf_v0.6.1neg"), "takes the feature set vmaf_neg"),
    (CLIPS, (*SCALE, "--corpus", "avt_vqdb_uhd_1"), "one of the three"),
]


def refused(result, folder, message):
    """One line, exit 2, and no table."""
    assert result.code == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("vmaf-jax: ")
    assert message in last
    assert "Traceback" not in result.stderr
    assert not (folder / "out.parquet").exists()


@pytest.mark.parametrize(
    ("rows", "flags", "message"), BAD_CLIPS, ids=[b[2][:40] for b in BAD_CLIPS]
)
def test_bad_lists_of_clips_exit_2(folder, rows, flags, message):
    write_csv(folder / "clips.csv", rows)
    refused(from_frames(folder, *flags), folder, message)


BAD_VOTES = [
    (votes(subjects=("ann",)), "votes: one subject (ann)"),
    (votes(clips=("a1", "a2")), "no vote on 1 of 3 clips, 'b1' first"),
    ([*votes(), votes()[0] | {"clip": "c"}], "votes on 1 clip without features, 'c' first"),
    (
        edited(votes(), 3, score=6),
        "subject 'joe' gave clip 'a1' 6, outside the label scale, 1 to",
    ),
    ([row | {"score": 3} for row in votes()], "all votes are the same"),
    ([*votes(), votes()[0] | {"subject": "new"}], "subject 'new' voted once"),
    (
        votes(("a1", "a2"), ("ann", "bob")) + 2 * votes(("b1",), ("eve", "joe")),
        "some subjects share no clip with the others",
    ),
]


@pytest.mark.parametrize(("rows", "message"), BAD_VOTES, ids=[b[1][:40] for b in BAD_VOTES])
def test_bad_votes_exit_2(folder, rows, message):
    write_csv(folder / "clips.csv", PLAIN)
    ratings = write_csv(folder / "ratings.csv", rows)
    refused(from_frames(folder, "--ratings", ratings, *SCALE), folder, message)


def test_votes_beside_scores_and_votes_without_a_scale_exit_2(folder):
    ratings = write_csv(folder / "ratings.csv", votes())
    refused(from_frames(folder, "--ratings", ratings, *SCALE), folder, "have scores already")
    write_csv(folder / "clips.csv", PLAIN)
    refused(from_frames(folder, "--ratings", ratings), folder, "and no scale is stated")


def test_bad_sources_exit_2(folder):
    frames, clips = folder / "frames.parquet", folder / "clips.csv"
    refused(run(folder), folder, "one of the three")
    refused(run(folder, "--frames", frames), folder, "belong together; pass both")
    refused(run(folder, "--logs", folder / "logs.csv", "--clips", clips), folder, "belong together")
    refused(run(folder, "--corpus", "demo", "--data-root", folder), folder, "import knows avt_")
    refused(run(folder, "--data-root", folder), folder, "one of the three")
    refused(
        run(folder, "--logs", folder / "none.csv"), folder, "none.csv: no such manifest of logs"
    )
    code = folder / "code.py"
    code.write_text("import os\nref_videos = []\n")
    message = "line 1: Import is code, which is not run"
    refused(run(folder, "--frames", frames, "--clips", code), folder, message)
    (folder / "a1.json").write_text('{"frames": [{"frameNum": 0, "metrics": {"vmaf": 1}}]}')
    refused(run(folder, "--logs", folder / "logs.csv", *SCALE), folder, "a1.json: has no adm2")
    write_log(folder / "a1.json", numbers=(0, 1, 3))
    refused(run(folder, "--logs", folder / "logs.csv", *SCALE), folder, "a1.json: frame 3 stands")


def test_one_source_is_said_and_not_trained_on(folder):
    write_csv(folder / "clips.csv", [row | {"source": "a"} for row in CLIPS])
    result = from_frames(folder, *SCALE)
    assert result.code == 0
    assert "one source (a): it cannot be left out" in result.stderr
    sets = (f"data.features={folder / 'out.parquet'}", "data.label=mos", "external=[]")
    flags = [flag for setting in sets for flag in ("--set", setting)]
    run_dir = ("--run-dir", folder / "run")
    result = run_command("train", "--config", "configs/nano.yaml", *flags, *run_dir)
    assert result.code == 2, result.stderr
    assert "leaving one out needs at least two" in result.stderr


def test_a_config_may_repeat_the_scale_and_not_contradict_it(folder):
    assert from_frames(folder, *SCALE).code == 0
    data = DataConfig(features=folder / "out.parquet", label="mos", label_scale=(1, 5))
    assert set(load_problem(data).label.tolist()) == {12.5, 75.0, 87.5}
    with pytest.raises(InputError, match=r"from the scale \(1.0, 5.0\), data.label_scale is"):
        load_problem(data.model_copy(update={"label_scale": (0.0, 100.0)}))


def test_the_660_real_clips(tmp_path):
    frames, clips = opinions_of_uhd_1(tmp_path)
    result = run(tmp_path, "--frames", frames, "--clips", clips, *SCALE)
    assert result.code == 0, result.stderr
    table = read_table(tmp_path / "out.parquet")
    listed = pa.csv.read_csv(clips)
    assert (len(table), table.n_clips, len(table.sources)) == (336_300, 660, 12)
    pooled = table.mean_pool()
    assert pooled.clip.tolist() == listed.column("clip").to_pylist()
    assert pooled.index.tolist() == listed.column("n_frames").to_pylist()
    mos = listed.column("mos").to_numpy()
    np.testing.assert_allclose(1 + pooled.label("mos") / 25, mos, atol=1e-12)
    assert pooled.mos_ci95 is not None
    assert pooled.experiment is not None
    np.testing.assert_allclose(pooled.mos_ci95 / 25, listed.column("mos_ci95").to_numpy())
    assert pooled.experiment.tolist() == [str(e) for e in listed.column("experiment").to_pylist()]


@pytest.mark.parametrize("out", ["out.parquet", "shards"])
def test_logs_of_libvmaf_1_are_named_unless_their_bit_depth_is_said(folder, out):
    """JSON and XML of the three say that they are of libvmaf 1.3; CSV has no version."""

    def imported():
        return run_command("import", "--logs", folder / "logs.csv", *SCALE, "--out", folder / out)

    result = imported()
    assert result.code == 0, result.stderr
    assert "a1.json: of libvmaf 1, as 2 of 3 logs are" in result.stderr
    rows = (folder / "logs.csv").read_text().splitlines()
    for depth, code in (("8", 0), ("10", 2)):
        lines = [f"{rows[0]},bit_depth", *(f"{row},{depth}" for row in rows[1:])]
        (folder / "logs.csv").write_text("\n".join(lines) + "\n")
        result = imported()
        assert result.code == code
        assert "of libvmaf 1, as" not in result.stderr
    assert "a1.json: libvmaf 1.3.11 measured 10 bits" in result.stderr


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("log|source", "a1.json|a", "its only column is 'log|source', are cells separated by"),
        ("Log,source", "a1.json,a", "has no column 'log'; is 'Log' meant?"),
        ("log,source,MOS", "a1.json,a,3", "has a column 'MOS'; rename it to 'mos'"),
        ("log,source,mos", "a1.json,a,7_0", "column 'mos': expected a number such as 12.5"),
        ("log,source,n_frames", "a1.json,a,3.5", "column 'n_frames': expected a whole number"),
        ("log,source,source", "a1.json,a,b", "column 'source' occurs twice"),
        ("log,source,mos,mos_ci95", "a1.json,a,3,1e300", "'mos_ci95': 1e+300 is wider than the"),
        (
            "log,source,mos,label_scale",
            "a1.json,a,3,1_0 50",
            "column 'label_scale': expected",
        ),
    ],
)
def test_a_wrong_header_or_number_names_the_column(folder, header, row, message):
    (folder / "logs.csv").write_text(f"{header}\n{row}\n")
    result = run(folder, "--logs", folder / "logs.csv", *SCALE)
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


@pytest.mark.parametrize("line", ["log, source, mos", "log;source;mos", "log\tsource\tmos"])
def test_lists_with_blanks_semicolons_and_tabs(folder, line):
    mark = line[3]
    rows = [f"a1.json{mark} a{mark} 1.5", f"b1.csv{mark} b{mark} 4"]
    if mark != ",":
        rows[0] = rows[0].replace("1.5", "1,5")
    (folder / "logs.csv").write_text("\r\n".join([line, *rows, ""]))
    result = run(folder, "--logs", folder / "logs.csv", *SCALE)
    assert result.code == 0, result.stderr
    table = read_table(folder / "out.parquet")
    assert sorted(set(table.source)) == ["a", "b"]
    assert sorted(set(table.labels["mos"])) == [12.5, 75.0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": float("inf")}, "Infinity is no number"),
        ({"source": True}, "row 1, column 'source'"),
        ({"mos": True}, "column 'mos': expected a number such as 12.5, received True"),
        ({"n_frames": 10**400}, "column 'n_frames': expected a number"),
        ({"source": "1e999", "twice": 1}, "the key 'source' occurs twice"),
        ({"source": "HUGE"}, "1e999 is too large"),
    ],
)
def test_lists_in_json_hold_finite_numbers_and_each_key_once(folder, change, message):
    text = json.dumps({"log": "a1.json", "source": "a", "mos": 3} | change)
    text = text.replace('"twice"', '"source"').replace('"HUGE"', "1e999")
    (folder / "logs.jsonl").write_text(text + "\n")
    result = run(folder, "--logs", folder / "logs.jsonl", *SCALE)
    assert (result.code, result.stderr.count("\n")) == (2, 1)
    assert message in result.stderr


def test_sources_and_logs_that_look_mistyped_are_said(folder):
    for name in ("a", "b", "c"):
        write_log(folder / f"{name}.json")
    (folder / "l.csv").write_text(
        "log,source,clip,\na.json,Park,x,\nb.json,park ,y,\na.json,t,z,\n"
    )
    said = run(folder, "--logs", folder / "l.csv")
    assert said.code == 0, said.stderr
    assert "sources 'Park' and 'park' differ in capitals or blanks alone" in said.stderr
    assert f"several clips have the log {(folder / 'a.json').resolve()}" in said.stderr
    assert "left alone" not in said.stderr  # of a column without name or cells


@pytest.mark.parametrize("scale", ["5", "1 to 5", "1-5", "1;5", "-1e308 1e308", "nan 5"])
def test_a_scale_that_is_no_pair_is_named(folder, scale):
    rows = [row | {"label_scale": scale} for row in without(CLIPS, "n_frames")]
    write_csv(folder / "clips.csv", rows)
    refused(from_frames(folder), folder, "scale")


def test_decimals_of_parquet_are_numbers(folder):
    rows = [row | {"mos": Decimal(str(row["mos"]))} for row in CLIPS]
    pq.write_table(pa.Table.from_pylist(rows), folder / "clips.parquet")
    flags = ("--frames", folder / "frames.parquet", "--clips", folder / "clips.parquet")
    assert run(folder, *flags, "--label-scale", 1, 5).code == 0
    assert read_table(folder / "out.parquet").labels["mos"][0] == 12.5


def test_a_missing_log_is_told_with_list_and_row(folder):
    (folder / "l.csv").write_text("log,source\na1.json,a\nlogs\\b1.csv,b\n")
    refused(run(folder, "--logs", folder / "l.csv"), folder, "l.csv: row 2: ")


N_LOGS = 300


@pytest.fixture
def logs(tmp_path):
    rng = np.random.default_rng(0)
    write_log(tmp_path / "log.json")  # three frames; one log stands for many clips
    mos = rng.uniform(1, 5, N_LOGS).round(3)
    rows = [
        {"log": "log.json", "clip": f"c{k}", "source": f"s{k % 7}", "mos": mos[k]}
        for k in range(N_LOGS)
    ]
    return write_csv(tmp_path / "logs.csv", rows)


def test_a_folder_holds_what_the_file_would(logs, tmp_path):
    flags = ("--logs", logs, "--label-scale", 1, 5, "--teacher", "vmaf_v0.6.1")
    runs = [run_command("import", *flags, "--out", tmp_path / o) for o in ("set", "one.parquet")]
    assert [run.code for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout.split(": ")[1] == runs[1].stdout.split(": ")[1]
    ours, single = read_table(tmp_path / "set"), read_table(tmp_path / "one.parquet")
    np.testing.assert_array_equal(ours.features, single.features)
    for name in ("mos", "vmaf_v0.6.1"):
        np.testing.assert_array_equal(ours.label(name), single.label(name))
    assert ours.clip.tolist() == single.clip.tolist()
    assert ours.provenance == single.provenance


def test_no_more_than_a_shard_is_held(logs, tmp_path, monkeypatch):
    """Tables that are written are let go before the next is put together."""
    live: list[weakref.ref] = []
    held = []
    write = FeatureTable.write

    def counted(table, path):
        held.append(sum(ref() is not None for ref in live))
        live.append(weakref.ref(table))
        write(table, path)

    monkeypatch.setattr(FeatureTable, "write", counted)
    settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=20)
    summary = import_features(ImportSource(logs=logs), tmp_path / "set", settings)
    shards = shards_of(tmp_path / "set")
    assert (summary.rows, summary.n_clips, len(summary.sources)) == (3 * N_LOGS, N_LOGS, 7)
    assert {len(read_table(shard)) for shard in shards} == {21, 18}
    assert len(shards) == len(held) == 43
    assert max(held) <= 1


def test_another_import_replaces_the_shards(logs, tmp_path):
    for rows in (20, 500):
        settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=rows)
        import_features(ImportSource(logs=logs), tmp_path / "set", settings)
    assert len(shards_of(tmp_path / "set")) == 2


def test_what_cannot_be_is_told_and_the_dataset_says_so(logs, tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    text = logs.read_text().splitlines()
    text[-1] = text[-1].replace("log.json", "bad.json")
    logs.write_text("\n".join(text))
    source = ImportSource(logs=logs)
    settings = ImportSettings(label_scale=(1.0, 5.0), shard_rows=100)
    with pytest.raises(InputError, match=r"bad\.json"):
        import_features(source, tmp_path / "set", settings)
    with pytest.raises(InputError, match="not complete"):
        read_table(tmp_path / "set")
    ended = run_command("import", "--frames", logs, "--clips", logs, "--out", tmp_path / "new")
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert "a folder takes --logs" in ended.stderr
