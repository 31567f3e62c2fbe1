"""The commands as a user runs them: in this process, and in one of their own where that matters."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from vmaf_jax.files import to_json
from vmaf_jax.tables import read_table


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo_table):
    """A short run of the main job, external corpus included."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    settings = ("--set", "training.steps=120")
    result = run_command("train", "--config", "configs/nano.yaml", *settings, "--run-dir", folder)
    assert result.code == 0, result.stderr
    return folder, result


def test_train_writes_the_run_folder(trained):
    folder, result = trained
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "metrics.json", "folds.parquet", "external_demo.parquet", "checkpoint",
        "model.onnx", "model.json", "parity.json", "report.html", "log.jsonl", "card.md",
    }  # fmt: skip
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == {
        "loso", "folds", "external", "parity", "timing", "environment", "behaviour",
        "held_out_together", "beside", "experiments",
    }  # fmt: skip
    assert metrics["held_out_together"] is None  # every source is a fold
    assert len(metrics["folds"]) == 23
    assert metrics["external"]["demo"]["n"] == 72 * 48
    assert metrics["loso"]["pooled"]["plcc"] > 0.99
    for text in ("motion_00.0482", "all held out", "external: demo", "parity:", "time:"):
        assert text in result.stdout
    assert "run folder" in result.stderr
    (following,) = [line for line in result.stderr.splitlines() if line.startswith("next: ")]
    assert f"score reference.y4m distorted.mp4 --model {folder}; vmaf-jax export" in following


def test_metrics_are_those_of_the_saved_predictions(trained):
    from vmaf_jax.evaluation import all_metrics, loso_metrics, read_held_out

    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    held_out = read_held_out(folder / "folds.parquet")
    assert metrics["loso"] == json.loads(to_json(loso_metrics(held_out)[0]))
    external = read_held_out(folder / "external_demo.parquet")
    computed = all_metrics(external.predicted, external.label)
    assert metrics["external"]["demo"] == json.loads(to_json(computed))


def test_sidecar_follows_the_contract(trained):
    import hashlib

    folder, _ = trained
    sidecar = json.loads((folder / "model.json").read_text())
    assert sidecar["sha256"] == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    assert sidecar["kind"] == "fr"
    assert sidecar["features"] == [
        "adm2", "vif_scale0", "vif_scale1", "vif_scale2", "vif_scale3", "motion2",
    ]  # fmt: skip
    assert not {"input_mean", "input_std"} & set(sidecar)
    assert sidecar["n_params"] == 4673


def test_same_config_same_bytes(trained, tmp_path):
    folder, _ = trained
    again = tmp_path / "again"
    result = run_command("train", "--config", folder / "config.yaml", "--run-dir", again, "--json")
    assert result.code == 0, result.stderr
    json.loads(result.stdout)  # one document and nothing else
    for path in sorted(file for file in folder.rglob("*") if file.is_file()):
        if path.name != "metrics.json":  # it holds the times
            same = timeless(again / path.relative_to(folder)) == timeless(path)
            assert same, f"{path.name} differs"


def timeless(path):
    """A file's bytes; of a page all but the times of the training."""
    if path.name != "report.html":
        return path.read_bytes()
    page, count = re.subn(r'<section id="times">.*?</section>', "", path.read_text(), flags=re.S)
    assert count == 1
    return page


def test_report_makes_the_page_that_train_wrote(trained):
    folder, _ = trained
    before = (folder / "report.html").read_text()
    result = run_command("report", folder)
    assert result.code == 0, result.stderr
    assert (folder / "report.html").read_text() == before
    assert "Only 3 of the held-out rows score 0 to 20" in before
    assert '<figure id="losses"' in before


@pytest.mark.parametrize(
    "script", ["train", "extract", "evaluate", "select", "export", "benchmark"]
)
def test_scripts_take_the_flags_of_their_commands(script):
    line = [sys.executable, f"scripts/{script}.py", "--help"]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    command = {"benchmark": "bench"}.get(script, script)
    assert f"vmaf-jax {command}" in result.stdout


def test_evaluate_and_export_agree_with_the_run(trained, tmp_path, demo_table):
    folder, _ = trained
    demo_table.write(tmp_path / "demo.parquet")
    exported = run_command(
        "export", "--model", folder, "--format", "onnx", "--out", tmp_path / "m.onnx"
    )
    assert exported.code == 0, exported.stderr
    assert (tmp_path / "m.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    figures = []
    for model in (folder, tmp_path / "m.onnx"):
        table = ("--features", tmp_path / "demo.parquet")
        result = run_command("evaluate", "--model", model, *table, "--json")
        assert result.code == 0, result.stderr
        figures.append(json.loads(result.stdout)["overall"])
    metrics = json.loads((folder / "metrics.json").read_text())["external"]["demo"]
    assert figures[0] == metrics
    assert figures[1]["rmse"] == pytest.approx(metrics["rmse"], abs=1e-5)


def test_evaluate_a_libvmaf_model(support_vectors, tmp_path):
    from vmaf_jax.teacher.model_file import find_model_file

    support_vectors.write(tmp_path / "sv.parquet")
    model = find_model_file("vmaf_v0.6.1")
    result = run_command(
        "evaluate", "--model", model, "--features", tmp_path / "sv.parquet", "--json"
    )
    evaluation = json.loads(result.stdout)
    assert evaluation["kind"] == "libvmaf"
    assert evaluation["overall"]["max_abs"] == 0


def test_extract_killed_half_way_resumes_to_the_same_bytes(tmp_path):
    """The clips measured before a kill are kept, and the table comes out byte for byte."""
    from vmaf_jax.corpora import demo

    clips = demo.load_clips()[::8]
    rows = [f"{c.reference.path},{c.distorted.path},{c.source},{c.name}" for c in clips]
    manifest = tmp_path / "clips.csv"
    manifest.write_text("\n".join(["reference,distorted,source,clip", *rows]) + "\n")
    common = ("--corpus", "manifest", "--manifest", manifest, "--out")
    whole = run_command("extract", *common, tmp_path / "whole.parquet")
    assert whole.code == 0, whole.stderr
    fresh, out = tmp_path / "cache", tmp_path / "killed.parquet"
    environment = {**os.environ, "VMAF_JAX_CACHE": str(fresh)}
    line = [sys.executable, "scripts/extract.py", *map(str, common), str(out)]
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    while len(list(fresh.glob("features/*.npz"))) < 3 and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 3 <= len(list(fresh.glob("features/*.npz"))) < len(clips) == 9
    assert not out.exists()
    resumed = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_extract_pools_and_names_labels(tmp_path, demo_table):
    out = tmp_path / "clips.parquet"
    result = run_command("extract", "--corpus", "demo", "--out", out, "--mean-pool", "--json")
    assert json.loads(result.stdout)["clips"] == 72
    pooled = read_table(out)
    np.testing.assert_array_equal(pooled.features, demo_table.mean_pool().features)
    assert pq.read_schema(out).names[3] == "n_frames"


def test_training_on_opinion_scores(tmp_path, demo_table):
    """A user's own labels: any table with a mos column trains a student."""
    import dataclasses

    pooled = demo_table.mean_pool()
    mos = 0.8 * pooled.label("vmaf_v0.6.1") + 10
    dataclasses.replace(pooled, labels={"mos": mos}).write(tmp_path / "mos.parquet")
    config = tmp_path / "own.yaml"
    config.write_text(
        f"name: own\ndata: {{features: {tmp_path / 'mos.parquet'}, label: mos}}\n"
        "student: {network: nano, dropout: 0.0}\ntraining: {steps: 300}\n"
    )
    result = run_command("train", "--config", config, "--run-dir", tmp_path / "run", "--json")
    assert result.code == 0, result.stderr
    metrics = json.loads(result.stdout)
    assert len(metrics["folds"]) == 9
    assert metrics["loso"]["pooled"]["plcc"] > 0.95
    # The labels are a line of VMAF's scores, so VMAF with a line has nothing to learn.
    assert "warning: nano learns opinion scores from scratch" in result.stderr
    assert metrics["beside"]["verdict"].startswith(("VMAF is as good", "VMAF is better"))
    rivals = {rival["name"]: rival for rival in metrics["beside"]["rivals"]}
    assert rivals["vmaf_v0.6.1, a line per experiment"]["rmse"] < 0.5
    as_it_comes = np.sqrt(np.mean((pooled.label("vmaf_v0.6.1") - mos) ** 2))
    assert rivals["vmaf_v0.6.1"]["rmse"] == pytest.approx(as_it_comes, abs=0.5)
    assert metrics["beside"]["verdict"] in (tmp_path / "run" / "report.html").read_text()


BAD = [
    (["train", "--config", "none.yaml"], "none.yaml: no such file; by name there are"),
    (["train", "--config", "configs/nano.yaml", "--set", "training.stepz=1"], "unknown key"),
    (["train", "--config", "configs/nano.yaml", "--set", "training.steps=-1"], "training.steps"),
    (["train", "--config", "configs/nano.yaml", "--run-dir", "{file}/x"], "cannot write here"),
    (["train", "--config", "configs/nano.yaml", "--set", "data.features={one}"], "1 source"),
    (["train", "--config", "configs/nano.yaml", "--set", "data.features={nan}"], "row 0 is nan"),
    (["extract", "--corpus", "netflix", "--out", "{tmp}/x.parquet"], "--data-root"),
    (["extract", "--corpus", "manifest", "--out", "{tmp}/x.parquet"], "--manifest"),
    (
        ["extract", "--corpus", "demo", "--manifest", "{file}", "--out", "{tmp}/x.parquet"],
        "--manifest is of corpus manifest, not of 'demo'",
    ),
    (
        ["compare-backends", "--corpus", "demo", "--data-root", "{tmp}"],
        "--data-root is of corpus netflix, not of 'demo'",
    ),
    (["extract", "--corpus", "nothing", "--out", "{tmp}/x.parquet"], "'nothing' is unknown"),
    (["extract", "--corpus", "demo", "--out", "{tmp}"], "holds other things"),
    (["extract", "--corpus", "demo", "--out", "{file}"], "must end in .parquet"),
    (["train", "--config", "configs/nano.yaml", "--run-dir", "{full}"], "holds other things"),
    (["train", "--config", "configs/nano.yaml", "--run-dir", "."], "holds other things"),
    (["train", "--config", "configs/nano.yaml", "--run-dir", "{file}"], "a file is in the way"),
    (["train", "--config", "configs/nano.yaml", "--set", "name=2020-13-45"], "not valid YAML"),
    (["train", "--config", "configs/nano.yaml", "--set", "data.label=mos"], "no opinion scores"),
    (["train", "--config", "configs/nano.yaml", "--set", "training.seeds=[1,1]"], "must differ"),
    (["evaluate", "--model", "a" * 300, "--features", "{one}"], "no run folder"),
    (["evaluate", "--model", "none", "--features", "{one}"], "model 'none'"),
    (["evaluate", "--model", "{file}/x.onnx", "--features", "{one}"], "no such model"),
    (["evaluate", "--model", "{tmp}", "--features", "{one}"], "not a run folder"),
    (["export", "--model", "none", "--out", "{tmp}/x.onnx"], "model 'none'"),
    (["export", "--model", "{tmp}", "--out", "{tmp}/x.bin"], "must end in .onnx"),
]


@pytest.mark.parametrize(
    ("arguments", "message"), BAD, ids=[f"{b[0][0]}: {b[1][:24]}" for b in BAD]
)
def test_bad_input_exits_2_with_one_line(
    arguments, message, tmp_path, support_vectors, monkeypatch
):
    import dataclasses

    source = support_vectors.sources[0]
    rows = support_vectors.source == source
    single = dataclasses.replace(
        support_vectors,
        **{
            name: getattr(support_vectors, name)[rows]
            for name in ("corpus", "source", "clip", "index", "features")
        },
        labels={k: v[rows] for k, v in support_vectors.labels.items()},
    )
    single.write(tmp_path / "one.parquet")
    harmed = single.features.copy()
    harmed[0, 0] = np.nan
    dataclasses.replace(single, features=harmed).write(tmp_path / "nan.parquet")
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    names = {
        "tmp": tmp_path,
        "file": tmp_path / "file",
        "full": tmp_path / "full",
        "one": tmp_path / "one.parquet",
        "nan": tmp_path / "nan.parquet",
    }
    monkeypatch.delenv("VMAF_DATA_ROOT", raising=False)
    result = run_command(*(a.format(**names) for a in arguments))
    assert result.code == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("vmaf-jax: ")
    assert message in last
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missed_parity_limit_exits_1(tmp_path):
    sets = ("training.steps=2", "external=[]", "parity.max_abs=1e-12")
    flags = [flag for setting in sets for flag in ("--set", setting)]
    run_dir = ("--run-dir", tmp_path / "x")
    result = run_command("train", "--config", "configs/nano.yaml", *flags, *run_dir)
    assert result.code == 1
    assert "parity: max_abs is" in result.stderr
    assert "limit 1e-12" in result.stderr
    assert (tmp_path / "x" / "parity.json").exists()


@pytest.mark.parametrize("existing", [False, True], ids=["new file", "existing file"])
def test_a_full_disk_leaves_things_as_they_were(tmp_path, existing):
    out = tmp_path / "x.parquet"
    if existing:
        out.write_bytes(b"before")
    # A limit on the size of files fails a write half-way, as a full disk does; -B: Python itself
    # would leave half a module of bytecode.
    line = f"ulimit -f 4; exec {sys.executable} -B scripts/extract.py --corpus support_vectors"
    shell = ["bash", "-c", f"{line} --out {out}"]
    result = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert f"{out}: cannot write" in result.stderr
    assert "File too large" in result.stderr
    assert "free space" in result.stderr
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"before"] if existing else [])


def test_a_read_only_folder_is_named():
    result = run_command("extract", "--corpus", "support_vectors", "--out", "/proc/x.parquet")
    assert result.code == 2
    assert "/proc: cannot write here" in result.stderr


def test_doctor_speaks(tmp_path):
    result = run_command("doctor", "--json")
    parts = json.loads(result.stdout)
    assert "with libvmaf" in parts["ffmpeg"]
    assert "CPUExecutionProvider" in parts["onnxruntime providers"]
    assert parts["problems"] == []
    assert result.code == 0
