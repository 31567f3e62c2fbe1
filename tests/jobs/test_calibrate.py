"""Calibration by the command, on ladders of two titles that viewers like less than VMAF does."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.errors import InputError
from vmaf_jax.export.sidecar import check_sidecar
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.jobs.calibrate import calibrate, suggest
from vmaf_jax.jobs.calibrated_folder import LIBVMAF
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.model import load_model
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.tables.table import FeatureTable, from_hundred
from vmaf_jax.teacher import load_teacher

N, FRAMES = 12, 3
UNKNOWN = checkpoints() / "opinions" / LIBVMAF  # which does not say what it predicts
TITLES = {"park": 3.0, "talk": 9.0}  # and their motion
BEST = np.array([0.98, 0.75, 0.95, 0.97, 0.98])
WORST = np.array([0.55, 0.08, 0.25, 0.35, 0.42])


@pytest.fixture(scope="module")
def ladder(tmp_path_factory):
    """A table of the ladders, and by clip the votes: VMAF on 1-5, the first title a vote lower."""
    folder = tmp_path_factory.mktemp("ladders")
    random = np.random.default_rng(0)
    rows, sources, clips = [], [], []
    for title, motion in TITLES.items():
        for k in range(N):
            mean = WORST + (BEST - WORST) * k / (N - 1)
            rows += [[*(mean + random.normal(0, 0.004, 5)), motion] for _ in range(FRAMES)]
            sources += [title] * FRAMES
            clips += [f"{title}_{k}"] * FRAMES
    n = len(rows)
    table = FeatureTable(
        feature_set=FEATURES,
        corpus=np.full(n, "c", object),
        source=np.array(sources, object),
        clip=np.array(clips, object),
        index=np.tile(np.arange(FRAMES, dtype=np.int32), n // FRAMES),
        features=np.array(rows),
        labels={"mos": np.zeros(n)},  # which must not be looked at
        provenance={"backend": "import", "inputs": {}, "label_scale": [1, 5]},
    )
    table.write(folder / "table.parquet")
    vmaf = load_teacher("vmaf_4k_v0.6.1")(table.features).reshape(-1, FRAMES).mean(1)
    names = clips[::FRAMES]
    lower = np.array([name.startswith("park") for name in names])
    votes = np.clip(1 + 4 * vmaf / 100 - 0.8 * lower, 1, 5)
    return folder / "table.parquet", dict(zip(names, votes.tolist(), strict=True))


def write_votes(path, votes, names, header="clip,mos,mos_ci95"):
    lines = [header, *(f"{name},{votes[name]:.3f},0.2" for name in names)]
    path.write_text("\n".join(lines) + "\n")
    return path


def read_clips(folder):
    with (folder / "clips.csv").open() as file:
        return {row["clip"]: row for row in csv.DictReader(file)}


def errors(rows, votes):
    left = [name for name, row in rows.items() if row["rated"] == "false"]
    return np.array([float(rows[name]["score"]) - votes[name] for name in left])


def test_three_suggested_clips_of_each_title_tell_of_the_others(tmp_path, ladder):
    table, votes = ladder
    answer = run_command("calibrate", "--features", table, "--suggest", 3, "--json")
    assert answer.code == 0, answer.stderr
    titles = json.loads(answer.stdout)["suggestions"]
    assert [title["source"] for title in titles] == list(TITLES)
    chosen = [clip["clip"] for title in titles for clip in title["clips"]]
    assert len(set(chosen)) == 6
    for title in titles:
        expected = [clip["expected_rmse"] for clip in title["clips"]]
        assert expected == sorted(expected, reverse=True)
    few = write_votes(tmp_path / "few.csv", votes, [chosen[0], chosen[3]])
    more = write_votes(tmp_path / "more.csv", votes, chosen)
    rmse = []
    for name in (few, more):
        out = tmp_path / name.stem
        done = run_command("calibrate", "--features", table, "--votes", name, "--out", out)
        assert done.code == 0, done.stderr
        rows = read_clips(out)
        assert list(rows["park_0"]) == ["clip", "source", "score", "low", "high", "rated"]
        assert len(rows) == 2 * N
        assert all(
            1 <= float(r["low"]) <= float(r["score"]) <= float(r["high"]) <= 5
            for r in rows.values()
        )
        rmse.append(float(np.sqrt(np.mean(errors(rows, votes) ** 2))))
    assert rmse[1] < 0.25 < rmse[0]
    assert {name for name, row in rows.items() if row["rated"] == "true"} == set(chosen)


def test_as_csv_with_costs_and_rated_clips(tmp_path, ladder):
    table, votes = ladder
    costs = tmp_path / "costs.csv"
    costs.write_text("clip,cost\n" + "".join(f"{name},1\n" for name in votes))
    rows = list(csv.DictReader(suggest(table, 2, titles=["park"]).to_csv().splitlines()))
    assert [row["source"] for row in rows] == ["park", "park"]
    rated = write_votes(tmp_path / "rated.csv", votes, [rows[0]["clip"]])
    words = ("--title", "park", "--suggest", 1, "--already", rated, "--costs", costs)
    answer = run_command("calibrate", "--features", table, *words)
    (second,) = csv.DictReader(answer.stdout.splitlines())
    assert second["clip"] == rows[1]["clip"]


def test_no_error_is_expected_where_no_clip_is_left(ladder):
    every = suggest(ladder[0], N, titles=["park"])
    *others, last = every.suggestions[0].clips
    assert (last.expected_rmse, None in [clip.expected_rmse for clip in others]) == (None, False)
    assert every.to_csv().endswith(f"park,{last.clip},\n")


def test_votes_of_one_title_help_the_other(tmp_path, ladder):
    table, votes = ladder
    rated = write_votes(tmp_path / "rated.csv", votes, ["park_2", "park_6", "park_9"])
    done = run_command(
        "calibrate", "--features", table, "--votes", rated, "--out", tmp_path / "out",
        "--title", "talk", "--json",
    )  # fmt: skip
    result = json.loads(done.stdout)
    assert {clip["source"] for clip in result["clips"]} == {"talk"}
    assert result["label_scale"] == [1, 5]


@pytest.mark.parametrize("base", ["vmaf_4k_v0.6.1", "tiny"])
def test_the_folder_scores_as_the_list_says_and_tells_other_titles(tmp_path, ladder, base):
    table, votes = ladder
    rated = write_votes(tmp_path / "rated.csv", votes, ["park_2", "park_6", "park_9"])
    out = tmp_path / "park"
    flags = ("--votes", rated, "--out", out, "--model", base, "--interval", 0.8)
    done = run_command("calibrate", "--features", table, *flags)
    assert done.code == 0, done.stderr
    again = run_command("calibrate", "--features", table, *flags)
    assert (again.code, "add --overwrite" in again.stderr) == (2, True)
    rows, features = read_clips(out), read_table(table).features.reshape(-1, FRAMES, 6)
    model = load_model(out)
    assert (model.kind, model.label, model.label_scale) == ("calibrated", "mos", (1.0, 5.0))
    for row, frames in zip(rows.values(), features, strict=True):
        said = model.titles.predict(frames)
        interval = model.titles.interval(said, 0.8)
        ends = from_hundred(np.array([said.votes, interval.low, interval.high]), (1.0, 5.0))
        shown = [float(row[name]) for name in ("score", "low", "high")]
        if row["rated"] == "false":  # a rated clip's own votes say more of it than of a new one
            np.testing.assert_allclose(ends, shown, atol=1e-4)
        assert said.title == row["source"]
        assert model.clip_score(frames) == said.votes
    other = features[5] + np.array([0, 0, 0, 0, 0, 4.0])
    assert model.titles.predict(other).title is None
    assert model.titles.predict(other).deviation > 1.3 * model.titles.predict(features[5]).deviation
    card = (out / "card.md").read_text()
    assert "| park | 3 | not stated |" in card
    assert ("`model.libvmaf.json`" in card) == (out / "model.libvmaf.json").is_file()
    onnx = load_model(out / "model.onnx")
    np.testing.assert_allclose(onnx(features[3]), model(features[3]), atol=2e-2)
    assert (out / "model.libvmaf.json").exists() == (base != "tiny")
    refused = run_command("calibrate", "--features", table, "--suggest", 1, "--model", out)
    assert "is calibrated by votes already" in refused.stderr


def test_a_folder_is_exported_as_its_curve_pooled_by_the_mean(tmp_path, ladder):
    table, votes = ladder
    rated = write_votes(tmp_path / "rated.csv", votes, ["park_2", "park_6", "park_9", "talk_5"])
    out, features = tmp_path / "park", read_table(table).features
    calibrate(table, rated, out, "opinions")
    for format_, file in (("onnx", tmp_path / "a.onnx"), ("libvmaf", tmp_path / "b.json")):
        done = run_command("export", "--model", out, "--format", format_, "--out", file)
        assert done.code == 0, done.stderr
    onnx, libvmaf = load_model(tmp_path / "a.onnx"), load_teacher(tmp_path / "b.json")
    assert (onnx.pooling, onnx.label_scale) == ("mean", (1.0, 5.0))  # opinions has a percentile
    assert json.loads((tmp_path / "a.json").read_text())["calibrated"]["rated"]
    np.testing.assert_allclose(onnx(features), libvmaf(features), atol=1e-2)
    clips = libvmaf(features).reshape(-1, FRAMES).mean(1)
    predicted = [float(row["score"]) for row in read_clips(out).values()]
    assert np.sqrt(np.mean((1 + clips / 25 - predicted) ** 2)) < 0.45  # of both titles
    for more, message in (
        (("--quantize", "dynamic"), "has no 8-bit form and no other distance"),
        (("--distance", 3), "has no 8-bit form and no other distance"),
    ):
        done = run_command("export", "--model", out, "--out", tmp_path / "c.onnx", *more)
        assert (done.code, message in done.stderr) == (2, True)


def test_codecs_that_viewers_mark_down_are_learnt_over_titles(tmp_path, ladder):
    table, votes = ladder
    odd = {name for name in votes if int(name.split("_")[1]) % 2}
    lower = {name: max(1.0, vote - 1.2 * (name in odd)) for name, vote in votes.items()}
    codecs = tmp_path / "codecs.csv"
    lines = [f"{name},{'new' if name in odd else 'old'}" for name in votes]
    codecs.write_text("\n".join(["clip,codec", *lines]))
    names = [f"{t}_{k}" for t in TITLES for k in (3, 4, 6, 7, 8, 9)]
    rated = write_votes(tmp_path / "rated.csv", lower, names)
    rmse = []
    for out, flags in ((tmp_path / "plain", ()), (tmp_path / "by", ("--codecs", codecs))):
        command = ("calibrate", "--features", table, "--votes", rated, "--out", out, *flags)
        done = run_command(*command)
        assert done.code == 0, done.stderr
        rmse.append(np.sqrt(np.mean(errors(read_clips(out), lower) ** 2)))
    assert rmse[1] < 0.8 * rmse[0]
    asked = run_command("calibrate", "--features", table, "--suggest", 2, "--codecs", codecs)
    chosen = [row["clip"] in odd for row in csv.DictReader(asked.stdout.splitlines())]
    assert chosen.count(True) == 2  # one clip of each codec, of both titles
    model = load_model(out)  # which does not know the codec of what it scores
    assert {entry.codec for entry in model.titles.record.rated} == {"new", "old"}
    assert 0 < model.clip_score(read_table(table).features[:FRAMES]) < 100
    codecs.write_text("clip,codec\npark_0,old\n")
    refused = run_command(*command, "--overwrite")
    assert (refused.code, "'park_1' has no codec; add a row" in refused.stderr) == (2, True)


def test_an_interval_of_zero_is_not_taken_for_certainty(tmp_path, ladder):
    table, votes = ladder
    rows = [f"{name},{votes[name]:.3f}" for name in ("park_2", "park_6")]
    for k, width in enumerate(("0", "1e-9", "")):
        rated = tmp_path / f"{k}.csv"
        rated.write_text("\n".join(["clip,mos,mos_ci95", *(f"{row},{width}" for row in rows)]))
        done = run_command(
            "calibrate", "--features", table, "--votes", rated, "--out", tmp_path / rated.stem
        )
        assert (done.code, done.stderr) == (0, "")
    assert read_clips(tmp_path / "0") == read_clips(tmp_path / "2")


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        ("clip,mos\npark_77,3\n", [], "clips that the table lacks: 1 of 1, 'park_77' first"),
        ("clip,mos\npark_1,7\n", [], "outside the label scale, 1 to 5"),
        ("clip,mos\npark_1,2\n", ["--title", "lake"], "which has park, talk; name one."),
        ("clip,mos\npark_1,2\n", ["--label-scale", 0, 10], "says 1 to 5; drop the flag"),
        ("clip,mos\npark_1,2\n", ["--interval", 1], "--interval 1: expected more than 0"),
        ("clip,mos\npark_1,2\n", ["--model", "vmaf_v1.0.16_3d0h"], "cannot be calibrated"),
        ("clip,mos\npark_1,2\n", ["--model", UNKNOWN], "how its scores map to votes is known only"),
    ],
)  # fmt: skip
def test_bad_votes_are_told_in_a_line(tmp_path, ladder, text, flags, message):
    table, _ = ladder
    votes = tmp_path / "rated.csv"
    votes.write_text(text)
    out = tmp_path / "out"
    done = run_command("calibrate", "--features", table, "--votes", votes, "--out", out, *flags)
    assert (done.code, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr
    assert not out.exists()


def test_what_cannot_be_chosen_or_predicted_is_told(tmp_path, ladder):
    table, votes = ladder
    whole = write_votes(tmp_path / "all.csv", votes, votes)
    command = ("calibrate", "--features", table)
    for words, message in (
        (("--suggest", N + 1), f"'park' has {N} clips to rate"),
        (("--suggest", 1, "--already", whole), "has 0 clips to rate"),
        (("--suggest", 0), "expected 1 or more"),
        (("--votes", whole, "--out", tmp_path / "o"), "every clip is rated"),
        (("--votes", whole), "--votes FILE goes with --out DIR"),
        (("--suggest", 1, "--out", tmp_path / "o"), "--out and --overwrite go with --votes"),
        (("--suggest", 1, "--overwrite"), "--out and --overwrite go with --votes"),
        ((), "pass one"),
    ):
        done = run_command(*command, *words)
        assert (done.code, len(done.stderr.splitlines())) == (2, 1), done.stderr
        assert message in done.stderr


def test_clips_that_share_a_name_are_refused_before_they_are_rated(tmp_path, ladder):
    shared = read_table(ladder[0])
    names = np.array([name.replace("talk", "park") for name in shared.clip], object)
    dataclasses.replace(shared, clip=names).write(tmp_path / "shared.parquet")
    done = run_command("calibrate", "--features", tmp_path / "shared.parquet", "--suggest", 1)
    assert (done.code, done.stdout) == (2, "")
    assert "'park_0' is the name of 2 clips of the table" in done.stderr


def test_names_are_the_same_with_accents_apart(tmp_path, ladder):
    plain = read_table(ladder[0])
    names = np.array([name.replace("park", "caf\u00e9") for name in plain.clip], object)
    titles = np.array([name.replace("park", "caf\u00e9") for name in plain.source], object)
    table = tmp_path / "table.parquet"
    dataclasses.replace(plain, clip=names, source=titles).write(table)
    rated, costs = tmp_path / "rated.csv", tmp_path / "costs.csv"
    rated.write_text("clip,mos\ncafe\u0301_2,2\ncaf\u00e9_6,3\n")
    costs.write_text("clip,cost\n" + "".join(f"{n},1\n" for n in ladder[1]).replace(
        "park", "cafe\u0301"))  # fmt: skip
    rows = calibrate(table, rated, tmp_path / "out", titles=["cafe\u0301"]).clips
    assert {row.clip for row in rows if row.rated} == {"caf\u00e9_2", "caf\u00e9_6"}
    assert suggest(table, 1, costs=costs, titles=["cafe\u0301"]).suggestions[0].clips


def test_titles_of_a_test_without_votes_are_told_and_remain_strangers(tmp_path, ladder):
    plain, votes = read_table(ladder[0]), ladder[1]
    tests = np.where(plain.source == "park", "A", "B").astype(object)
    table = tmp_path / "tests.parquet"
    dataclasses.replace(plain, experiment=tests).write(table)
    rated = write_votes(tmp_path / "rated.csv", votes, ["talk_2", "talk_6", "talk_9"])
    out = tmp_path / "out"
    with pytest.raises(InputError, match="no clip of the test 'A' is rated, so that 'park'"):
        calibrate(table, rated, out, titles=("park",))
    done = run_command("calibrate", "--features", table, "--votes", rated, "--out", out)
    assert done.code == 0
    assert "no clip of 'A' is rated: 1 title of other tests" in " ".join(done.stdout.split())
    wide, narrow = (np.diff([float(read_clips(out)[name][k]) for k in ("low", "high")])[0]
                    for name in ("park_3", "talk_3"))  # fmt: skip
    assert wide > narrow
    model, features = load_model(out), plain.features.reshape(-1, FRAMES, 6)
    assert model.titles.predict(features[3]).title is None
    row = read_clips(out)["talk_3"]
    said = model.titles.predict(features[N + 3])
    assert (said.title, model.titles.record.rated[0].title) == ("talk", 0)
    assert 1 + said.votes / 25 == pytest.approx(float(row["score"]), abs=1e-4)


def test_votes_and_clips_of_several_distances_are_refused(tmp_path, ladder):
    plain = read_table(ladder[0])
    n, table = len(plain.clip), tmp_path / "distances.parquet"
    rated = tmp_path / "rated.csv"
    for distance, text, message in (
        (np.where(plain.source == "park", 1.6, 3.2), "park_2,2,1.6\n", r"\(1\.6, 3\.2 picture"),
        (np.full(n, 1.6), "park_2,2,1.6\npark_4,3,3.2\n", r"rated.csv: is of several viewing"),
        (np.full(n, 1.6), "park_2,2,3.2\n", r"voted from 3\.2 picture heights, .* is of 1\.6"),
    ):
        dataclasses.replace(plain, distance=distance).write(table)
        rated.write_text("clip,mos,distance\n" + text)
        with pytest.raises(InputError, match=message):
            calibrate(table, rated, tmp_path / "out")
        with pytest.raises(InputError, match=message):
            suggest(table, 1, already=rated)
    rated.write_text("clip,mos,distance\npark_2,2,1.6\n")
    assert calibrate(table, rated, tmp_path / "out").clips


def test_votes_of_one_to_five_among_those_of_a_hundred_are_told(tmp_path, ladder):
    plain = read_table(ladder[0])
    table, rated = tmp_path / "hundred.parquet", tmp_path / "rated.csv"
    provenance = {**plain.provenance, "label_scale": [0, 100]}
    dataclasses.replace(plain, provenance=provenance).write(table)
    rated.write_text("clip,mos\npark_1,4\npark_6,70\npark_10,4.5\npark_11,5\n")
    with pytest.raises(InputError, match="2 clips are rated 5 or less from 0 to 100, 'park_10'"):
        calibrate(table, rated, tmp_path / "out")


def test_the_curve_of_a_calibrated_folder_is_no_base_model(tmp_path, ladder):
    table, votes = ladder
    out = tmp_path / "out"
    calibrate(table, write_votes(tmp_path / "rated.csv", votes, ["park_2", "park_9"]), out)
    done = run_command(
        "calibrate", "--features", table, "--suggest", 1, "--model", out / "model.onnx"
    )
    assert (done.code, "is calibrated by votes already" in done.stderr) == (2, True)


def test_a_table_without_a_scale_names_the_flag(tmp_path, ladder):
    table, votes = ladder
    plain = read_table(table)
    bare = tmp_path / "bare.parquet"
    FeatureTable(
        **{k: getattr(plain, k) for k in ("feature_set", "corpus", "source", "clip", "index")},
        features=plain.features, labels={}, provenance={"backend": "import", "inputs": {}},
    ).write(bare)  # fmt: skip
    rated = write_votes(tmp_path / "rated.csv", votes, ["park_2"])
    command = ("calibrate", "--features", bare, "--votes", rated, "--out", tmp_path / "out")
    done = run_command(*command)
    assert done.code == 2
    assert "pass --label-scale LO HI" in done.stderr
    assert run_command(*command, "--label-scale", 1, 5).code == 0


def test_a_damaged_or_earlier_folder_is_calibrated_again(tmp_path, ladder):
    table, votes = ladder
    out = tmp_path / "park"
    calibrate(table, write_votes(tmp_path / "rated.csv", votes, ["park_2", "park_9"]), out, "tiny")
    with pytest.raises(InputError, match=r"is calibrated by votes, .* list its base model"):
        check_sidecar(out / "model.onnx", complete=True)
    sound = (out / "model.json").read_text()
    hyper = ("hyperparameters", "scatter")
    for keys, value, message in (
        (hyper, None, r"has no calibrated\.hyperparameters\.scatter"),
        (hyper, -2, "scatter is -2, expected 0.001 to 1000"),
        (hyper, float("nan"), "scatter is nan"),
        (("hyperparameters", "noise"), 1e200, r"noise is 1e\+200"),
        (("hyperparameters", "shared_length"), 0, "shared_length is 0"),
        (("panel",), -1.0, r"calibrated\.panel is -1\.0"),
        (("titles",), [], r"calibrated\.titles is \[\]"),
        (("titles", 0, "motion2"), -1.0, r"motion2 is -1\.0"),
        (("rated",), [], r"calibrated\.rated is \[\]"),
        (("rated", 0, "title"), 2, "one is of a title beyond the 2"),
        (("rated", 0, "title"), -1, r"rated\.0\.title is -1"),
        (("rated", 0, "variance"), -1.0, r"variance is -1\.0"),
        (("rated", 0, "compared"), [1.0], r"compared is \[1\.0\]"),
        (("curve",), [1.0], r"calibrated\.curve is \[1\.0\]"),
        (("width",), 0.0, r"calibrated\.width is 0\.0"),
    ):
        document = json.loads(sound)
        entry = document["calibrated"]
        for key in keys[:-1]:
            entry = entry[key]
        if value is None:
            del entry[keys[-1]]
        else:
            entry[keys[-1]] = value
        (out / "model.json").write_text(json.dumps(document))
        with pytest.raises(InputError, match=rf"{message}.*; calibrate again\."):
            load_model(out)
