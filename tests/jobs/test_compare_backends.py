"""JAX against libvmaf on every frame of the demo corpus and of the golden pair, by the command."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from vmaf_jax.cli import main
from vmaf_jax.corpora import demo
from vmaf_jax.errors import InputError
from vmaf_jax.evaluation import metrics as agreement
from vmaf_jax.extraction.corpus import CorpusSource
from vmaf_jax.extraction.extract import extract_clips
from vmaf_jax.extraction.request import Request
from vmaf_jax.features import FEATURE_SETS, V1_SETS
from vmaf_jax.jobs import compare_backends as module

pytestmark = pytest.mark.optimised  # how near JAX is to libvmaf is what is tested


def check(report, frames):
    assert report.frames == frames
    assert report.missed == []
    by_pair = {(pair.ours, pair.theirs): pair.columns for pair in report.comparisons}
    ours = by_pair["JAX CPU", "libvmaf float"]
    for name in ("adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3"):
        assert ours[name].max_abs <= 5e-6  # where 2e-5 is asked
    assert ours["motion2"].max_abs <= 2e-5
    assert ours["score"].max_abs <= 1e-3
    # The backends are not one and the same.
    assert by_pair["JAX CPU", "libvmaf integer"]["vif_scale3"].max_abs > 1e-5
    assert max(report.beyond_libvmaf.values()) <= 2e-5


EVERY = pytest.param(slice(None), marks=pytest.mark.slow, id="every clip")


@pytest.mark.parametrize("chosen", [pytest.param(slice(0, 2), id="two clips"), EVERY])
def test_on_the_demo(chosen, tmp_path):
    clips = demo.load_clips()[chosen]
    report = module.compare_backends(clips, tmp_path / "report")
    check(report, 48 * len(clips))
    text = (tmp_path / "report" / "report.md").read_text()
    assert "Limits: all kept." in text
    for comparison in report.comparisons:
        picture = (tmp_path / "report" / comparison.picture).read_bytes()
        assert picture.startswith(b"\x89PNG")
        assert comparison.picture in text
    stored = json.loads((tmp_path / "report" / "backends.json").read_text())
    assert stored["comparisons"][1]["columns"]["score"]["max_abs"] <= 1e-3


def test_on_the_golden_pair(tmp_path, golden):
    folder, _ = golden
    paths = [str(path) for path in sorted(folder.glob("*.yuv"))]
    columns = {
        "reference": [str(folder.resolve() / paths[0].rsplit("/", 1)[-1])],
        "distorted": [str(folder.resolve() / paths[1].rsplit("/", 1)[-1])],
        "source": ["golden"],
        "width": [576],
        "height": [324],
        "pix_fmt": ["yuv420p10le"],
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "golden.csv")
    clips = CorpusSource("manifest", manifest=tmp_path / "golden.csv").clips()
    check(module.compare_backends(clips, tmp_path / "r"), 3)


def test_evaluate_measures_a_corpus_in_jax(encodes, tmp_path, capsys):
    columns = {
        "reference": [str(encodes / "ref.y4m"), str(encodes / "ref2.y4m")],
        "distorted": [str(encodes / "dis.mp4"), str(encodes / "small.mp4")],
        "source": ["one", "two"],
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "clips.csv")
    corpus = ["--corpus", "manifest", "--manifest", str(tmp_path / "clips.csv")]
    overall = {}
    for backend in ("libvmaf", "jax"):
        main(["evaluate", "--model", "tiny", *corpus, "--backend", backend, "--json"], leave=False)
        overall[backend] = json.loads(capsys.readouterr().out)["overall"]
    assert overall["jax"]["n"] == 24
    assert overall["jax"]["rmse"] < 0.5
    assert overall["jax"]["rmse"] != overall["libvmaf"]["rmse"]


def test_an_interrupted_extraction_in_jax_keeps_what_is_done(tmp_path, encodes):
    size = 352 * 288 * 3 // 2
    content = (encodes / "dis.yuv").read_bytes()
    rows = ["reference,distorted,source,width,height,pix_fmt"]
    for k in range(12):  # frames turned around, so that each is another clip
        (tmp_path / f"d{k}.yuv").write_bytes(content[k * size :] + content[: k * size])
        rows.append(f"{encodes / 'ref.yuv'},{tmp_path / f'd{k}.yuv'},one,352,288,yuv420p")
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    fresh, out = tmp_path / "cache", tmp_path / "table.parquet"
    line = [sys.executable, "scripts/extract.py", "--corpus", "manifest", "--out", out]
    process = subprocess.Popen(
        [*line, "--manifest", tmp_path / "clips.csv", "--backend", "jax"],
        env={
            **os.environ,
            "VMAF_JAX_CACHE": str(fresh),
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # what is measured is not looked at
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(fresh.glob("features/*.npz")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130, error
    assert "interrupted; run it again" in error
    assert 1 <= len(list(fresh.glob("features/*.npz"))) < 12
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--model", "tiny"], "needs --features FILE or --corpus NAME"),
        (["evaluate", "--model", "tiny", "--features", "x", "--backend", "jax"], "is measured"),
        (["evaluate", "--model", "tiny", "--corpus", "demo", "--backend", "gpu"], "backend 'gpu'"),
        (
            ["extract", "--corpus", "demo", "--out", "x.parquet", "--backend", "tpu"],
            "backend 'tpu'",
        ),
        (
            ["compare-backends", "--corpus", "support_vectors"],
            "corpus 'support_vectors' holds features, no videos",
        ),
    ],
)
def test_bad_requests_exit_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_difference_over_its_limit_is_a_missed_gate(tmp_path, encodes, monkeypatch, capsys):
    monkeypatch.setattr(agreement, "FEATURE_LIMIT", 1e-12)
    (tmp_path / "clips.csv").write_text(
        f"reference,distorted,source\n{encodes / 'ref.y4m'},{encodes / 'dis.mp4'},one\n"
    )
    corpus = ["--corpus", "manifest", "--manifest", str(tmp_path / "clips.csv")]
    with pytest.raises(SystemExit) as end:
        main(["compare-backends", *corpus, "--out", str(tmp_path / "report")])
    assert end.value.code == 1
    assert "adm2 differs by" in capsys.readouterr().err
    assert (tmp_path / "report" / "report.md").is_file()
    limits = json.loads((tmp_path / "report" / "backends.json").read_text())["limits"]
    assert (limits["adm2"], limits["motion2"], limits["score"]) == (1e-12, 2e-4, 1e-3)


def test_motion_is_judged_frame_by_frame():
    fast, still = 30.0, 0.0
    near = agreement.column_differences(
        {"motion2": np.array([fast, still])}, {"motion2": np.array([fast + 3e-5, still + 1e-6])}
    )
    assert agreement.missed_limits(near) == []
    far = agreement.column_differences(
        {"motion2": np.array([0.1])}, {"motion2": np.array([0.1001])}
    )
    assert agreement.missed_limits(far) == ["motion2 differs by 9.99e-04, limit 2e-04"]


def test_neg_scores_are_compared_over_neg_features(tmp_path):
    (clip, *_) = demo.load_clips()
    report = module.compare_backends([clip], tmp_path / "r", teacher="vmaf_v0.6.1neg")
    check(report, 48)
    tables = [FEATURE_SETS[name] for name in ("vmaf_neg", "vmaf_float_neg")]
    truth = [extract_clips([clip], Request((), feature_set)).features for feature_set in tables]
    apart = np.abs(truth[0] - truth[1]).max(axis=0)
    columns = report.comparisons[0].columns
    assert [columns[name].max_abs for name in tables[0]] == pytest.approx(apart.tolist())


def test_other_folders_are_left_alone(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(InputError, match="holds other things"):
        module.compare_backends([], tmp_path)


def test_v1_is_held_against_libvmafs_integer_features(golden, tmp_path):
    folder, expected = golden
    pair = expected["pairs"][0]
    columns = {
        "reference": [str(folder.resolve() / pair["reference"])],
        "distorted": [str(folder.resolve() / pair["distorted"])],
        "source": ["golden"],
        **{key: [expected[key]] for key in ("width", "height", "pix_fmt")},
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "golden.csv")
    clips = CorpusSource("manifest", manifest=tmp_path / "golden.csv").clips()
    report = module.compare_backends(clips, tmp_path / "r", teacher="vmaf_v1.0.16_3d0h")
    expected = {
        "cambi": 1e-5,
        "speed_chroma_uv": 1e-4,
        "adm3": 5e-5,
        "motion3": 5e-4,
        "score": 0.02,
    }
    assert json.loads((tmp_path / "r" / "backends.json").read_text())["limits"] == expected
    first = report.comparisons[0]
    assert (first.ours, first.theirs) == ("JAX CPU", "libvmaf integer")
    assert set(first.columns) == {"cambi", "speed_chroma_uv", "adm3", "motion3", "score"}
    assert report.missed == []
    assert 0 < first.columns["score"].max_abs <= 0.02
    assert "farther from" not in (tmp_path / "r" / "report.md").read_text()


def check_v1(corpus, feature_set, folder, only=None):
    """Scores within 0.02 points on every frame, and chroma unmeasured on the same frames."""
    clips = [c for c in CorpusSource(corpus).clips() if only in (None, (c.source, c.name))]
    report = module.compare_backends(clips, folder, teacher=feature_set.teacher)
    assert report.missed == []
    assert 0 < report.comparisons[0].columns["score"].max_abs <= 0.02
    request = Request((), feature_set)
    ours, theirs = (extract_clips(clips, request, backend=b).features for b in ("jax", "libvmaf"))
    np.testing.assert_array_equal(ours[:, 1] == 0, theirs[:, 1] == 0)
    return ours


def test_v1_on_large_pictures(tmp_path):
    # Of a model whose chroma cannot be measured at 576x324.
    feature_set = FEATURE_SETS["vmaf_v1_3d0h_2160"]
    only = ("motorcycle_left", "x264_crf36")
    rows = check_v1("demo_1080p", feature_set, tmp_path / "r", only)
    assert len(rows) == 8
    assert (rows[:, 1] > 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["demo", "demo_1080p"])
@pytest.mark.parametrize("feature_set", V1_SETS, ids=lambda feature_set: feature_set.name)
def test_v1_on_every_frame(corpus, feature_set, tmp_path):
    rows = check_v1(corpus, feature_set, tmp_path / "r")
    n_singular = int((rows[:, 1] == 0).sum())
    scaled = dict(feature_set.options).get("speed_prescale", 1) != 1
    assert n_singular == ((len(rows) if scaled else 5) if corpus == "demo" else 0)
