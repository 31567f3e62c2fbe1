"""`--pool`, the worst second and its time, and where they are carried."""

import json
import subprocess
from typing import get_args

import pytest

from tests.support import run_command
from vmaf_jax import score
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation.clip_pooling import POOLS, pool_clip
from vmaf_jax.evaluation.conformal import coverage, pool_clips
from vmaf_jax.evaluation.cross_validation import read_held_out
from vmaf_jax.runs.locate import checkpoints
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.score import ScoreSettings
from vmaf_jax.serving.requests import Scoring

RAW = {"width": 352, "height": 288, "pix_fmt": "yuv420p"}


@pytest.fixture(scope="module")
def shots(tmp_path_factory, ffmpeg):
    """A film of three shots of a second at 12 frames a second; the second shot is encoded badly."""
    folder = tmp_path_factory.mktemp("shots")

    def make(*words):
        subprocess.run([ffmpeg, "-v", "error", *map(str, words)], check=True, cwd=folder)

    for k, source in enumerate(("testsrc2", "mandelbrot", "smptebars")):
        lavfi = ("-f", "lavfi", "-i", f"{source}=size=176x144:rate=12", "-t", 1)
        make(*lavfi, "-pix_fmt", "yuv420p", f"{k}.y4m")
        make("-i", f"{k}.y4m", "-vf", "gblur=3" if k == 1 else "null", f"d{k}.y4m")
    for name, prefix in (("ref.y4m", ""), ("dis.y4m", "d")):
        inputs = [word for k in range(3) for word in ("-i", f"{prefix}{k}.y4m")]
        make(*inputs, "-filter_complex", "concat=n=3", "-pix_fmt", "yuv420p", name)
    return folder / "ref.y4m", folder / "dis.y4m"


def test_the_worst_shot_and_second_are_found_with_their_times(shots):
    found = score(*shots, pool="worst-shot")
    assert found.cuts == (12, 24)
    assert found.pooled == pytest.approx(found.per_frame[12:24].mean())
    document = found.to_dict()
    assert (document["score"], document["pooling"]) == (found.pooled, "worst-shot")
    for name in ("worst-shot", "worst-second"):
        moment = document["moments"][name]
        assert (moment["first_frame"], moment["last_frame"]) == (12, 23)
        assert (moment["from_s"], moment["to_s"]) == (1, 2)
        assert moment["reference_frames"] == moment["distorted_frames"] == [12, 23]
    assert document["statistics"]["worst_second"] == moment["score"]
    later = score(*shots, start="6f").to_dict()
    assert later["moments"] == {"worst-second": {**moment, "first_frame": 6, "last_frame": 17}}


def test_people_see_mean_p5_and_when_the_worst_second_is(shots):
    shown = run_command("score", *shots).stdout
    for word in ("mean", "5 %", "worst second", "at 1.00 s"):
        assert word in shown
    line = run_command("score", *shots, "--pool", "worst-second").stdout.splitlines()[-1]
    assert line.endswith("pooled by worst-second, frames 12 to 23, from 1.00 s")


@pytest.mark.parametrize("pool", [name for name in POOLS if name != "worst-shot"])
def test_every_pooling_is_the_score(shots, pool):
    found = score(*shots, pool=pool)
    assert (
        found.pooled == found.pool(pool).score == pool_clip(found.per_frame, pool, rate=12.0).score
    )
    quiet = run_command("score", *shots, "--pool", pool, "--quiet").stdout
    assert float(quiet) == pytest.approx(found.pooled, abs=1e-6)


def test_a_ranking_is_by_the_pooling(shots):
    reference, distorted = shots
    folder = reference.parent
    (folder / "few").mkdir(exist_ok=True)
    (folder / "few" / "same.y4m").write_bytes(reference.read_bytes())
    (folder / "few" / "blurred.y4m").write_bytes(distorted.read_bytes())
    ranking = rank(reference, [folder / "few"], settings=ScoreSettings(pool="p5"))
    assert [s.pooling for s in ranking.ranked] == ["p5", "p5"]
    table = ranking.to_arrow().to_pylist()
    assert [row["score"] for row in table] == [row["p5"] for row in table]
    assert table[0]["worst_second"] > table[1]["worst_second"] + 5


def test_logs_carry_them(shots, tmp_path):
    found = score(*shots)
    for suffix in ("json", "xml"):
        found.write_log(tmp_path / f"log.{suffix}")
    pooled = json.loads((tmp_path / "log.json").read_text())["pooled_metrics"]
    for name in ("vmaf", found.model):
        for key in ("p1", "p5", "p10", "median", "worst_second"):
            assert pooled[name][key] == pytest.approx(found.statistics()[key], abs=1e-6)
    assert "p5" not in pooled["integer_adm2"]
    assert (
        f'worst_second="{pooled["vmaf"]["worst_second"]:.6f}"' in (tmp_path / "log.xml").read_text()
    )


def test_a_page_says_when(shots, tmp_path):
    path = tmp_path / "clip.html"
    assert run_command("score", *shots, "--html", path, "--quiet").code == 0
    assert "the worst second has" in path.read_text()
    assert "from frame 12 (1.00 s)" in path.read_text()


def test_a_file_without_a_rate_has_no_second(encodes):
    pair = (encodes / "ref.yuv", encodes / "dis.yuv")
    found = score(*pair, **RAW)
    assert "moments" not in found.to_dict()
    assert "worst_second" not in found.statistics()
    with pytest.raises(InputError, match="no frame rate"):
        score(*pair, pool="worst-second", **RAW)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--pool", "p50"), "--pool p50: no such pooling; expected one of mean, harmonic, p1"),
        (("--pool", "p5", "--within", "1"), "--within estimates the mean"),
        (("--pool", "p5", "--interval", "0.9"), "VMAF's own model"),
        (("--pool", "p5", "--interval", "0.9", "--model", "rbf_4k"), "frames of fewer than 3"),
        (("--pool", "p5", "--interval", "0.9", "--model", "opinions"), "people voted on whole"),
    ],
)
def test_bad_input_is_one_line(shots, flags, message):
    finished = run_command("score", *shots, *flags)
    assert (finished.code, finished.stdout, finished.stderr.count("\n")) == (2, "", 1)
    assert message in finished.stderr


@pytest.mark.parametrize("pool", ["p5", "worst-second"])
def test_a_percentile_has_its_interval(shots, pool):
    found = score(*shots, "tiny", pool=pool, interval=0.9)
    truth = pool_clip(score(*shots, "vmaf_v0.6.1").per_frame, pool, rate=12.0).score
    assert found.interval.level == 0.9
    assert found.interval.low < found.pooled < found.interval.high
    assert found.interval.high - found.interval.low < 1
    assert abs(found.pooled - truth) < 1
    own = score(*shots, "tiny", interval=0.9).interval
    assert score(*shots, "tiny", pool="mean", interval=0.9).interval == own


@pytest.mark.parametrize("name", ["tiny", "nano", "rbf"])
@pytest.mark.parametrize("pool", ["p5", "median"])
def test_intervals_of_percentiles_hold_of_sources_left_out(name, pool):
    rows = [read_held_out(path) for path in checkpoints().glob(f"{name}/*.parquet")]
    predictions = pool_clips(rows, lambda scores: pool_clip(scores, pool).score, least=2)
    assert (len(predictions.label), predictions.n_sources) == (72, 9)
    held = coverage(predictions, 0.9)
    assert held.covered_by_source >= 0.85
    assert held.width < 0.3


def test_tools_take_the_same_poolings():
    (literal, _) = get_args(Scoring.model_fields["pool"].annotation)
    assert get_args(literal) == POOLS


def test_a_ladder_takes_one_pooling(tmp_path):
    rows = [
        {"codec": "x", "source": "a", "bitrate": 100 * k, "score": 50 + k, "pooling": pooling}
        for k, pooling in enumerate(("mean", "mean", "p5", "p5"), 1)
    ]
    (tmp_path / "encodes.jsonl").write_text("\n".join(map(json.dumps, rows)))
    finished = run_command("ladder", tmp_path / "encodes.jsonl")
    assert finished.code == 2
    assert "scores of different poolings (mean, p5)" in finished.stderr
