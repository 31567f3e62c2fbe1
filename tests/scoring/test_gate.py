"""The gate: limits, an earlier result, exit codes, JUnit XML."""

import dataclasses
import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax import score
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.conformal import ScoreInterval
from vmaf_jax.scoring.gate import Drop, Gate, paired_drop, parse_limits


@pytest.fixture(scope="module")
def pair(encodes):
    return encodes / "ref.y4m", encodes / "dis.mp4"


@pytest.fixture(scope="module")
def documents(pair, encodes, tmp_path_factory):
    """Results of `score --json`: of the same pair, with and without frames, and of a ranking."""
    folder = tmp_path_factory.mktemp("baselines")
    for name, words in {
        "plain": pair,
        "frames": (*pair, "--per-frame"),
        "short": (*pair, "--frames", 9),
        "tiny": (*pair, "--model", "tiny", "--interval", 0.9),
        "ranking": (*pair, encodes / "small.mp4", "--per-frame"),
    }.items():
        (folder / f"{name}.json").write_text(run_command("score", *words, "--json").stdout)
    return folder


def raised(path, points, folder):
    """An earlier result whose scores were higher by `points`."""
    document = json.loads(path.read_text())
    document["score"] += points
    document["statistics"] = {k: v + points for k, v in document["statistics"].items()}
    document["statistics"]["frames"] -= points
    if "frames" in document:
        document["frames"] = [value + points for value in document["frames"]]
    (folder / "raised.json").write_text(json.dumps(document))
    return folder / "raised.json"


def test_limits_decide_the_exit_code(pair):
    found = score(*pair)
    low, high = found.pooled - 1, found.statistics()["p5"] + 1
    kept = run_command("score", *pair, "--fail-below", f"{low:.3f}", "--quiet")
    assert (kept.code, kept.stderr) == (0, "")
    missed = run_command("score", *pair, "--fail-below", f"{low:.3f},p5={high:.3f}", "--quiet")
    assert (missed.code, missed.stderr.count("\n")) == (1, 1)
    assert f"dis.mp4: p5 {high - 1:.2f} is below" in missed.stderr
    assert "(1 of 2 limits missed)" in missed.stderr
    assert float(missed.stdout) == pytest.approx(found.pooled, abs=1e-6)
    shown = run_command("score", *pair, "--fail-below", "1,worst-second=1,worst-shot=1")
    assert shown.stderr.count("is not below 1\n") == 3


def test_a_limit_is_of_the_pooling_that_is_the_score(pair):
    found = score(*pair, pool="p10")
    between = (found.pooled + found.mean) / 2
    for flags, code in (((), 0), (("--pool", "p10"), 1)):
        assert run_command("score", *pair, *flags, "--fail-below", f"{between:.4f}").code == code


@pytest.mark.parametrize("name", ["plain", "frames"])
def test_a_drop_fails_and_the_same_result_does_not(pair, documents, tmp_path, name):
    path = documents / f"{name}.json"
    same = run_command("score", *pair, "--baseline", path, "--max-drop", 0, "--json")
    assert same.code == 0
    (check,) = json.loads(same.stdout)["gate"]["checks"]
    assert check["drop"]["points"] == pytest.approx(0, abs=1e-9)
    earlier = raised(path, 2, tmp_path)
    flags = ("--baseline", earlier, "--max-drop")
    assert run_command("score", *pair, *flags, "3,p5=3,worst-second=3").code == 0
    dropped = run_command("score", *pair, *flags, "1,p5=3", "--json")
    assert dropped.code == 1
    assert "mean fell by 2.00" in dropped.stderr
    gate = json.loads(dropped.stdout)["gate"]
    assert (gate["passed"], [c["passed"] for c in gate["checks"]]) == (False, [False, True])


def test_a_model_s_own_error_is_noise_too(pair, documents, tmp_path):
    document = json.loads((documents / "tiny.json").read_text())
    width = document["interval"]["high"] - document["interval"]["low"]
    flags = ("--model", "tiny", "--interval", 0.9, "--baseline", tmp_path / "raised.json")
    for points, code in ((width * 0.9, 0), (width * 1.1 + 0.01, 1)):
        document["score"] = score(*pair, "tiny").pooled + points
        (tmp_path / "raised.json").write_text(json.dumps(document))
        assert run_command("score", *pair, *flags, "--max-drop", 0).code == code


def test_many_pairs_are_junit_tests(pair, encodes, documents, tmp_path):
    folder = tmp_path / "encodes"
    folder.mkdir()
    for name in ("dis.mp4", "small.mp4", "short.mp4"):
        shutil.copy(encodes / name, folder / name)
    flags = ("--baseline", documents / "ranking.json", "--max-drop", "0.5")
    words = (pair[0], folder, *flags, "--fail-below", "99", "--junit", tmp_path / "o.xml")
    ended = run_command("score", *words)
    assert ended.code == 2  # one could not be scored
    assert "short.mp4" in ended.stderr.splitlines()[-1]
    suite = ElementTree.parse(tmp_path / "o.xml").getroot().find("testsuite")  # noqa: S314 (our own)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("5", "2", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases["dis.mp4: mean at least 99"] == ["failure"]
    assert cases["dis.mp4: mean falls by at most 0.5"] == []
    (folder / "short.mp4").unlink()
    assert run_command("score", *words).code == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--fail-below", "x"), "'x' is no limit"),
        (("--max-drop", "1"), "--baseline and --max-drop go together"),
        (("--fail-below", "101"), "scores of vmaf_v0.6.1 end at 100; lower it"),
        (("--junit", "o.xml"), "give --fail-below or --baseline"),
        (("--fail-below", "1", "--junit", "o.txt"), "must end in .xml"),
        (("--log", "o.txt"), "must end in .json or .xml"),
        (
            ("--fail-below", "p5=1", "--within", "1"),
            "--within estimates the mean; drop it, or the limit of p5",
        ),
        (("--baseline", "missing.json", "--max-drop", "1"), "missing.json: "),
        (("--baseline", "tiny.json", "--max-drop", "1"), "scored by tiny, not by vmaf_v0.6.1"),
        (("--baseline", "short.json", "--max-drop", "1"), "of 9 frames, the clip has 12"),
        (("--baseline", "plain.json", "--max-drop", "worst-shot=1"), "has no score by worst-shot"),
        (("--baseline", "text.json", "--max-drop", "1"), "no document of `score --json`"),
        (("--baseline", "nan.json", "--max-drop", "1"), "no document of `score --json`"),
        (("--baseline", "other.json", "--max-drop", "1"), "no scores of dis.mp4 against ref.y4m"),
        (
            ("--baseline", "part.json", "--max-drop", "1"),
            "of --region 0,0,64,64 --start 3f, these scores of the whole videos",
        ),
    ],
)
def test_bad_input_is_one_line(pair, documents, flags, message):
    (documents / "text.json").write_text("[1, 2")
    other = json.loads((documents / "plain.json").read_text()) | {"reference": "another"}
    (documents / "other.json").write_text(json.dumps(other))
    plain = (documents / "plain.json").read_text()
    (documents / "nan.json").write_text(plain.replace('"score": ', '"score": NaN, "was": ', 1))
    part = {**other["comparison"], "region": [0, 0, 64, 64], "start": 3}
    part = json.loads((documents / "plain.json").read_text()) | {"comparison": part}
    (documents / "part.json").write_text(json.dumps(part))
    flags = [documents / flag if flag.endswith(".json") else flag for flag in flags]
    finished = run_command("score", *pair, *flags, "--quiet")
    assert finished.code == 2
    assert message in finished.stderr
    assert finished.stderr.count("\n") == 1


def test_a_baseline_whose_frames_were_aligned_otherwise_is_refused(pair, documents, tmp_path):
    document = json.loads((documents / "frames.json").read_text())
    document["frame_numbers"] = [k + (k > 4) for k in range(len(document["frames"]))]
    (tmp_path / "aligned.json").write_text(json.dumps(document))
    end = run_command("score", *pair, "--baseline", tmp_path / "aligned.json", "--max-drop", 1)
    assert end.code == 2
    assert "aligned otherwise" in end.stderr


def test_a_pair_without_a_score_is_an_error_of_the_report(pair, tmp_path):
    """As it is in a ranking: a report of an earlier run must not stand for it."""
    junit, bad = tmp_path / "report.xml", tmp_path / "bad.mp4"
    junit.write_text("earlier")
    bad.write_text("no video")
    for distorted, reason in ((bad, "ffmpeg cannot read it"), (tmp_path / "none.mp4", "no such")):
        end = run_command("score", pair[0], distorted, "--fail-below", 50, "--junit", junit)
        assert end.code == 2
        report = junit.read_text()
        assert f'<testcase classname="{pair[0]}" name="{distorted}">' in report
        assert reason in report


def test_a_pair_that_cannot_be_checked_is_an_error_of_the_report(pair, documents, tmp_path):
    flags = ("--baseline", documents / "tiny.json", "--max-drop", 1)
    for several in ((), (tmp_path / "missing.mp4",)):
        junit = tmp_path / f"{len(several)}.xml"
        end = run_command("score", *pair, *several, *flags, "--junit", junit)
        assert end.code == 2
        report = junit.read_text()
        assert f'<testcase classname="{pair[0]}" name="{pair[1]}">' in report
        assert '<error message="' in report
        assert "scored by tiny, not by vmaf_v0.6.1" in report


def test_a_video_that_cannot_be_checked_leaves_the_others_checked(pair, encodes, tmp_path):
    """A new encode is in no earlier result."""
    baseline, junit = tmp_path / "earlier.json", tmp_path / "limits.xml"
    known = (encodes / "dis.mp4", encodes / "small.mp4")
    baseline.write_text(run_command("score", pair[0], *known, "--json").stdout)
    videos = (pair[0], *known, encodes / "ref2.y4m")
    words = ("score", *videos, "--baseline", baseline, "--max-drop", 0.5, "--junit", junit)
    end = run_command(*words)
    assert end.code == 2
    assert "ref2.y4m" in end.stdout
    reason = "earlier.json: has no scores of ref2.y4m against ref.y4m; make the baseline"
    lines = end.stderr.splitlines()
    assert any(line.startswith("not checked: ref2.y4m: ") and reason in line for line in lines)
    assert "dis.mp4: mean " in end.stderr
    assert "1 of 3 videos not checked: " in lines[-1]
    suite = ElementTree.parse(junit).getroot().find("testsuite")  # noqa: S314 (our own)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "0", "1")
    end = run_command(*words, "--json")
    document = json.loads(end.stdout)
    assert (end.code, len(document["ranked"])) == (2, 3)
    gate = document["gate"]
    assert (gate["passed"], len(gate["checks"])) == (False, 2)
    assert reason in gate["unchecked"][0]["reason"]


def test_files_of_one_name_are_told_apart_by_their_folders(pair, encodes, tmp_path):
    for folder, name in (("x264", "dis.mp4"), ("x265", "small.mp4")):
        (tmp_path / folder).mkdir()
        shutil.copy(encodes / name, tmp_path / folder / "film.mp4")
    both = [tmp_path / folder / "film.mp4" for folder in ("x264", "x265")]
    baseline, junit = tmp_path / "earlier.json", tmp_path / "limits.xml"
    earlier = run_command("score", pair[0], *both, "--json", "--per-frame").stdout
    baseline.write_text(earlier)
    words = ("--baseline", baseline, "--max-drop", 0.5, "--json")
    end = run_command("score", pair[0], *both, *words, "--junit", junit)
    assert end.code == 0
    names = {"x264/film.mp4", "x265/film.mp4"}
    assert {check["distorted"] for check in json.loads(end.stdout)["gate"]["checks"]} == names
    assert {f"{name}: mean falls by at most 0.5" for name in names} == {
        case.get("name")
        for case in ElementTree.parse(junit).iter("testcase")  # noqa: S314 (our own)
    }
    for path in both:
        alone = json.loads(run_command("score", pair[0], path, *words).stdout)["gate"]["checks"][0]
        assert alone["drop"]["points"] == pytest.approx(0, abs=1e-9)


def test_an_estimate_from_some_frames_is_compared_by_its_interval(
    pair, encodes, documents, tmp_path
):
    """`--within` of either result leaves frames out; a percentile of the others is none."""
    document = json.loads((documents / "frames.json").read_text())
    sampled = {k: v for k, v in document.items() if k != "frames"}
    low, high = sampled["score"] - 0.4, sampled["score"] + 0.4
    sampled |= {"frames": 12, "frames_measured": 5}
    sampled["interval"] = {"level": 0.95, "low": low, "high": high, "kind": "sampling of frames"}
    for points, code in ((0.3, 0), (0.6, 1)):
        (tmp_path / "within.json").write_text(
            json.dumps({**sampled, "score": sampled["score"] + points})
        )
        flags = ("--baseline", tmp_path / "within.json", "--max-drop")
        assert run_command("score", *pair, *flags, 0).code == code
    end = run_command("score", *pair, *flags, "p5=1")
    assert (end.code, "within.json: has no score by p5" in end.stderr) == (2, True)


def test_a_sample_is_compared_with_a_baseline_of_every_frame(pair, documents):
    found = score(*pair)
    sample = dataclasses.replace(
        found,
        per_frame=found.per_frame[::3],
        table=found.table.take(np.arange(len(found.per_frame)) % 3 == 0),
        frames=len(found.per_frame),
        interval=ScoreInterval(0.95, found.pooled - 0.5, found.pooled + 0.5, "sampling"),
    )
    (check,) = Gate(baseline=documents / "frames.json", max_drop="0").check(sample)
    assert check.drop.points == pytest.approx(0, abs=1e-9)
    assert (check.drop.low, check.drop.high) == pytest.approx((-0.5, 0.5))


def test_no_output_replaces_the_baseline_or_another_output(pair, documents, tmp_path):
    baseline = tmp_path / "earlier.json"
    shutil.copy(documents / "plain.json", baseline)
    limit, both = ("--baseline", baseline, "--max-drop", 1), tmp_path / "o.xml"
    for words, message in (
        (("--log", baseline, *limit), "is the input"),
        (("--log", both, "--fail-below", 1, "--junit", both), "is --log and --junit both"),
    ):
        end = run_command("score", *pair, *words)
        assert (end.code, end.stderr.count("\n")) == (2, 1)
        assert message in end.stderr
    assert baseline.read_bytes() == (documents / "plain.json").read_bytes()
    assert not both.exists()


def test_an_unknown_pooling_is_told_of_its_flag(pair):
    end = run_command("score", *pair, "--fail-below", "p6=75")
    assert end.stderr.startswith("vmaf-jax: --fail-below p6: no such pooling")


def test_limits_are_of_the_score_or_of_poolings():
    assert parse_limits("90", "--fail-below") == {None: 90.0}
    limits = parse_limits("p5=75, worst-second=60", "--fail-below")
    assert limits == {"p5": 75.0, "worst-second": 60.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no limit"),
        ("x", "'x' is no limit"),
        ("nan", "no limit"),
        ("111", "no limit"),
        ("-1", "no limit"),
        ("p5=", "'p5=' is no limit"),
        ("p7=3", "--fail-below p7: no such pooling"),
        ("90,80", "two limits of one pooling"),
    ],
)
def test_what_is_no_limit(text, message):
    with pytest.raises(InputError, match=message):
        parse_limits(text, "--fail-below")


@pytest.fixture
def before():
    rng = np.random.default_rng(1)
    return np.clip(85 + np.cumsum(rng.normal(0, 1, 500)) % 10, 0, 100)


@pytest.mark.parametrize("pool", ["mean", "harmonic", "p5", "median"])
def test_an_even_drop_is_certain(before, pool):
    drop = paired_drop(before, before - 0.7, pool, 25.0)
    assert drop.points == pytest.approx(0.7, abs=0.02)
    assert drop.low <= drop.points <= drop.high
    assert drop.is_beyond(0.5)
    assert not drop.is_beyond(0.8)


def test_a_drop_that_other_seconds_take_back_is_noise(before):
    rng = np.random.default_rng(2)
    later = before + np.repeat(rng.normal(-0.6, 8, 20), 25)
    drop = paired_drop(before, later, "mean", 25.0)
    assert drop.points > 0.5
    assert drop.low < 0 < drop.high
    assert not drop.is_beyond(0.5)


def test_equal_scores_do_not_drop(before):
    assert paired_drop(before, before, "mean", None) == Drop(0, 0, 0)
    assert not Drop.exactly(5e-4).is_beyond(0.0)  # as builds of libvmaf differ
    assert Drop.exactly(1.0).widen(2.0) == Drop(1, -1, 3)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_short_clips_have_a_drop(n):
    scores = np.linspace(80, 90, n)
    assert paired_drop(scores, scores - 2, "mean", 60.0).points == pytest.approx(2)


def test_intervals_hold_the_drop_of_content_about_as_often_as_they_say():
    """Of clips that are drawn from one process, whose mean drop is known to be 1."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(60):
        seconds = rng.normal(1, 2, 40)
        noise = rng.normal(0, 0.5, 400)
        drop = paired_drop(np.full(400, 90.0), 90 - np.repeat(seconds, 10) - noise, "mean", 10.0)
        held += drop.low <= 1 <= drop.high
    assert held >= 52  # of 57 expected; three standard deviations


def test_a_baseline_with_a_key_twice_is_refused(pair, documents, tmp_path):
    text = (documents / "tiny.json").read_text()
    (tmp_path / "twice.json").write_text(text.replace("{", '{"score": 1.0, ', 1))
    end = run_command("score", *pair, "--baseline", tmp_path / "twice.json", "--max-drop", 1)
    assert end.code == 2
    assert "twice.json: the key 'score' occurs twice; make it again" in end.stderr
