"""Several distorted files in one call: ranked, the broken one named; logs as libvmaf's."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from tests.support import run_command
from vmaf_jax.corpora.logs import read_log
from vmaf_jax.errors import InputError
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.rank import pair_videos, rank, shortest_paths
from vmaf_jax.scoring.score import ScoreSettings, score
from vmaf_jax.teacher import load_teacher


@pytest.fixture
def folder(tmp_path, encodes, ffmpeg):
    (tmp_path / "encodes").mkdir()
    for source, name in (("dis.mp4", "b_crf35.mp4"), ("small.mp4", "a_small.mp4")):
        shutil.copy(encodes / source, tmp_path / "encodes" / name)
    shutil.copy(encodes / "ref.y4m", tmp_path / "ref.y4m")
    return tmp_path


def test_they_are_ranked_as_scored_alone(folder):
    files = sorted((folder / "encodes").iterdir())
    ranking = rank(folder / "ref.y4m", files, settings=ScoreSettings(teachers=("vmaf_v0.6.1",)))
    alone = {path.name: score(folder / "ref.y4m", path) for path in files}
    assert [str(s.table.clip[0]) for s in ranking.ranked] == sorted(
        (str(s.table.clip[0]) for s in alone.values()),
        key=lambda name: -next(s.pooled for s in alone.values() if str(s.table.clip[0]) == name),
    )
    for scores in ranking.ranked:
        same = next(s for s in alone.values() if s.table.clip[0] == scores.table.clip[0])
        np.testing.assert_allclose(scores.per_frame, same.per_frame, atol=1e-4)
        assert "vmaf_v0.6.1" in scores.table.labels
    table = ranking.to_arrow()
    assert table.column("rank").to_pylist() == [1, 2]
    assert table.column("score").to_pylist() == [s.pooled for s in ranking.ranked]


def test_a_broken_one_is_named_and_the_others_ranked(folder):
    broken = folder / "encodes" / "broken.mp4"
    broken.write_bytes((folder / "encodes" / "b_crf35.mp4").read_bytes()[:700])
    result = run_command("score", folder / "ref.y4m", folder / "encodes", "--json")
    assert result.code == 2
    assert "1 of 3 videos not scored" in result.stderr
    document = json.loads(result.stdout)
    assert len(document["ranked"]) == 2
    (failure,) = document["failed"]
    assert failure["distorted"] == str(broken)
    assert "broken.mp4" in failure["reason"]
    table = run_command("score", folder / "ref.y4m", folder / "encodes")
    assert table.code == 2
    assert "broken.mp4" in table.stderr
    assert "crf35" in table.stdout
    assert "Traceback" not in table.stderr


def test_one_without_the_requested_pooling_is_named_and_the_others_ranked(encodes):
    """Raw files have no rate, and so no worst second."""
    raw = ScoreSettings(width=352, height=288, pix_fmt="yuv420p", pool="worst-second")
    ranking = rank(encodes / "ref.yuv", [encodes / "dis.yuv", encodes / "dis.mp4"], settings=raw)
    assert [scores.paths[1].name for scores in ranking.ranked] == ["dis.mp4"]
    (failure,) = ranking.failed
    assert failure.distorted == str(encodes / "dis.yuv")
    assert "worst-second" in failure.reason


def test_quiet_is_a_number_alone(folder):
    pair = (folder / "ref.y4m", folder / "encodes" / "b_crf35.mp4")
    result = run_command("score", *pair, "--quiet")
    assert result.code == 0
    assert result.stdout == f"{score(*pair).pooled:.6f}\n"
    refused = run_command("score", *pair, "--quiet", "--per-frame")
    assert (refused.code, "drop one of them." in refused.stderr) == (2, True)
    several = run_command("score", folder / "ref.y4m", folder / "encodes", "-q")
    lines = [line.split("\t") for line in several.stdout.splitlines()]
    assert [float(number) for number, _ in lines] == sorted(
        (float(number) for number, _ in lines), reverse=True
    )
    assert len(lines) == 2


def test_files_are_told_apart_and_have_their_size(tmp_path, encodes):
    for place in ("first/a.mp4", "second/a.mp4", "second/b.mp4", "second/deep/b.mkv"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(encodes / ("dis.mp4" if "first" in place else "small.mp4"), tmp_path / place)
    files = [tmp_path / name for name in ("first/a.mp4", "second/a.mp4", "second/b.mp4")]
    files.append(tmp_path / "second" / "deep" / "b.mkv")
    reference = encodes / "ref.y4m"
    names = {"first/a.mp4", "second/a.mp4", "b.mp4", "b.mkv"}
    quiet = run_command("score", reference, *files, "--quiet").stdout
    assert {line.split("\t")[1] for line in quiet.splitlines()} == names
    table = run_command("score", reference, *files).stdout
    assert all(name in table for name in names)
    entries = json.loads(run_command("score", reference, *files, "--json").stdout)["ranked"]
    assert {entry["distorted"] for entry in entries} == names
    assert {entry["reference"] for entry in entries} == {"ref.y4m"}
    for entry in entries:
        size = (encodes / ("dis.mp4" if "first" in entry["distorted"] else "small.mp4")).stat()
        assert entry["bytes"] == size.st_size
        assert entry["kbit_per_s"] == pytest.approx(size.st_size * 8 / 0.5 / 1000)  # 12 at 24 fps
    part = json.loads(run_command("score", reference, *files, "--json", "--frames", 6).stdout)
    assert part["ranked"][0]["kbit_per_s"] is None


def test_shortest_paths():
    paths = [Path(p) for p in ("/a/x.mp4", "/b/x.mp4", "/b/c/x.mp4", "/d/c/x.mp4", "/y.mp4")]
    assert shortest_paths(paths) == ["a/x.mp4", "b/x.mp4", "b/c/x.mp4", "d/c/x.mp4", "y.mp4"]
    assert shortest_paths([Path("/x"), Path("/a/x"), Path("/x")]) == ["/x", "a/x", "/x"]


def test_results_print_in_a_few_lines(folder):
    ranking = rank(folder / "ref.y4m", [folder / "encodes"], "tiny", ScoreSettings(interval=0.9))
    alone = ranking.ranked[0]
    teacher = load_teacher("vmaf_v0.6.1")
    for value in (ranking, alone, alone.table, load_model("tiny"), load_model("rbf"), teacher):
        text = repr(value)
        assert text.count("\n") < 5
        assert len(text) < 500
        assert "array(" not in text
    assert "tiny: " in repr(alone)
    assert repr(alone.table) == "FeatureTable(vmaf, 12 frames of 1 clip and 1 source, labels: none)"


CACHED = """
import sys
from vmaf_jax.cli import main
main(sys.argv[1:], leave=False)
print(sorted({"jax", "jaxlib", "flax", "orbax", "matplotlib"} & sys.modules.keys()))
"""


VMAFS_OWN = ["vmaf_v0.6.1", "vmaf_v0.6.1neg", "vmaf_4k_v0.6.1", "phone", "auto"]


@pytest.mark.parametrize("model", ["tiny", "rbf", *VMAFS_OWN])
def test_a_measured_pair_is_scored_without_jax(folder, model):
    pair = (folder / "ref.y4m", folder / "encodes" / "b_crf35.mp4")
    interval = [] if model in VMAFS_OWN else ["--interval", "0.9"]
    flags = ["--model", model, *interval, "--quiet"]
    line = [sys.executable, "-c", CACHED, "score", *map(str, pair), *flags]
    for _ in range(2):  # measured, and out of the cache
        result = subprocess.run(line, capture_output=True, text=True, check=True)
        assert result.stdout.splitlines()[-1] == "[]"


def logged(log):
    """What a log has of each frame, by a reader that is not ours."""
    if log.suffix == ".xml":
        tree = ElementTree.parse(log)  # noqa: S314 (our own)
        return [dict(frame.attrib) for frame in tree.iter("frame")]
    return [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]


@pytest.mark.parametrize("suffix", [".json", ".xml"])
def test_a_log_is_read_as_libvmafs_own(folder, suffix):
    pair = (folder / "ref.y4m", folder / "encodes" / "b_crf35.mp4")
    log = folder / f"log{suffix}"
    result = run_command(
        "score", *pair, "--model", "tiny", "--log", log, "--teacher", "vmaf_v0.6.1"
    )
    assert result.code == 0, result.stderr
    scores = score(*pair, "tiny", teachers=("vmaf_v0.6.1",))
    np.testing.assert_allclose(read_log(log, FEATURES).features, scores.table.features, atol=1e-6)
    frames = logged(log)
    for name, values in (("tiny", scores.per_frame), *scores.table.labels.items()):
        written = [float(frame[name]) for frame in frames]
        np.testing.assert_allclose(written, values, atol=1e-6)
    if suffix == ".json":
        pooled = json.loads(log.read_text())["pooled_metrics"]["tiny"]
        statistics = scores.all_statistics()["tiny"]
        for key in ("mean", "harmonic_mean", "min"):
            assert pooled[key] == pytest.approx(statistics[key], abs=1e-6)


def test_folder_against_folder(folder):
    references = folder / "references"
    references.mkdir()
    for name in ("a.y4m", "a_small.y4m", "b.y4m"):
        shutil.copy(folder / "ref.y4m", references / name)
    pairs = pair_videos(references, [folder / "encodes"])
    assert [(r.name, d.name) for r, d in pairs] == [
        ("a_small.y4m", "a_small.mp4"),
        ("b.y4m", "b_crf35.mp4"),
    ]
    (references / "b.y4m").unlink()
    with pytest.raises(InputError, match=r"b_crf35\.mp4: begins with the name of no reference"):
        pair_videos(references, [folder / "encodes"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--csv", "x.csv"), "--csv is of one pair"),
        (("--per-frame",), "needs --json"),
        (("--model", "nowhere"), "nowhere"),
    ],
)
def test_what_several_cannot_have(folder, arguments, words):
    result = run_command("score", folder / "ref.y4m", folder / "encodes", *arguments)
    assert result.code == 2
    assert words in result.stderr


def test_a_folder_without_videos_is_named(folder):
    (folder / "empty").mkdir()
    result = run_command("score", folder / "ref.y4m", folder / "empty")
    assert result.code == 2
    assert "a folder without videos" in result.stderr


def test_a_notebook_shows_what_was_scored(folder):
    ranking = rank(folder / "ref.y4m", [folder / "encodes"])
    (best, *_) = ranking.ranked
    page = best._repr_html_()
    assert f"{best.mean:.3f}" in page
    assert page.count("<path") > 3
    shown = ranking._repr_html_()
    assert shown.index("b_crf35") != shown.index("a_small")
    assert f"{best.pooled:.3f}" in shown
    table = best.to_arrow()
    assert table.column_names[:3] == ["frame", "score", "adm2"]
    np.testing.assert_array_equal(table.column("score").to_numpy(), best.per_frame)
    if importlib.util.find_spec("pandas") is None:
        with pytest.raises(InputError, match="pip install pandas"):
            best.to_pandas()
    else:
        assert best.to_pandas()["score"].tolist() == best.per_frame.tolist()


def test_how_sure_each_is_stands_in_every_table(folder):
    pair = ("score", folder / "ref.y4m", folder / "encodes" / "a_small.mp4")
    files = (*pair, folder / "encodes" / "b_crf35.mp4", "--model", "tiny", "--interval", 0.9)
    ranking = rank(folder / "ref.y4m", files[2:4], "tiny", ScoreSettings(interval=0.9))
    table = ranking.to_arrow()
    shown = run_command(*files).stdout
    for k, scores in enumerate(ranking.ranked):
        row = table.slice(k, 1).to_pylist()[0]
        assert (row["low"], row["high"]) == (scores.interval.low, scores.interval.high)
        assert row["inside_training_region"] == scores.inside_training_region
        bounds = f"{scores.interval.low:.2f} to {scores.interval.high:.2f}"
        assert bounds in ranking._repr_html_()
        assert bounds in " ".join(shown.split())
        assert bounds in scores._repr_html_()
        assert ("outside training" in scores.interval_text) == (
            scores.inside_training_region is False
        )
    assert "low" not in rank(folder / "ref.y4m", files[2:3]).to_arrow().column_names


def test_other_metrics_come_from_the_same_pass(folder, ffmpeg):
    pair = (folder / "ref.y4m", folder / "encodes" / "b_crf35.mp4")
    names = "psnr,ssim,ms_ssim,ciede2000,cambi"
    result = run_command(
        "score", *pair, "--extra-metrics", names, "--json", "--teacher", "vmaf_v0.6.1"
    )
    assert result.code == 0, result.stderr
    document = json.loads(result.stdout)
    assert list(document["extra_metrics"]) == names.split(",")
    assert list(document["teachers"]) == ["vmaf_v0.6.1"]
    for figures in document["extra_metrics"].values():
        assert figures["min"] <= figures["median"] <= figures["max"]
    # ffmpeg's own filter is the reference for PSNR.
    line = [ffmpeg, "-v", "error", "-i", pair[1], "-i", pair[0], "-lavfi"]
    line += ["settb=1/25,setpts=N[a];[1:v]settb=1/25,setpts=N[b];[a][b]psnr=f=-", "-f", "null", "-"]
    said = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=True).stdout
    psnr = [float(value) for value in re.findall(r"psnr_y:([\d.]+)", said)]
    assert len(psnr) == 12
    assert document["extra_metrics"]["psnr"]["mean"] == pytest.approx(np.mean(psnr), abs=0.01)
    assert document["extra_metrics"]["psnr"]["std"] == pytest.approx(np.std(psnr), abs=0.01)
    plain = run_command("score", *pair, "--json")
    assert "extra_metrics" not in json.loads(plain.stdout)
    shown = run_command("score", *pair, "--extra-metrics", "psnr")
    assert "psnr" in shown.stdout
    several = run_command("score", pair[0], folder / "encodes", "--extra-metrics", "psnr", "--json")
    assert all("psnr" in entry["extra_metrics"] for entry in json.loads(several.stdout)["ranked"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--extra-metrics", "pnsr"), "no such metric"),
        (("--extra-metrics", "psnr", "--backend", "jax"), "drop it"),
    ],
)
def test_other_metrics_that_cannot_be(folder, arguments, words):
    result = run_command(
        "score", folder / "ref.y4m", folder / "encodes" / "b_crf35.mp4", *arguments
    )
    assert result.code == 2
    assert words in result.stderr


def test_a_name_that_no_file_system_takes_is_one_of_the_failures(folder):
    long = folder / ("x" * 300 + ".mp4")
    ranking = rank(folder / "ref.y4m", [folder / "encodes" / "b_crf35.mp4", long])
    assert len(ranking.ranked) == 1
    (failure,) = ranking.failed
    assert failure.distorted == str(long)
    assert "too long" in failure.reason
