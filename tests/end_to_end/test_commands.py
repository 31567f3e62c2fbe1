"""The commands as a user runs them, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from vmaf_jax.features import read_table


def run(*arguments, script=None, **kwargs):
    head = (
        [sys.executable, f"scripts/{script}.py"] if script else [sys.executable, "-m", "vmaf_jax"]
    )
    return subprocess.run(
        [*head, *map(str, arguments)], capture_output=True, text=True, check=False, **kwargs
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory, demo_table):
    """A short run of the main job, external corpus included."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    result = run(
        "--config", "configs/nano.yaml", "--set", "training.steps=120", "--run-dir", folder,
        script="train",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
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
    }  # fmt: skip
    assert len(metrics["folds"]) == 23
    assert metrics["external"]["demo"]["n"] == 72 * 48
    assert metrics["loso"]["pooled"]["plcc"] > 0.99
    for text in ("motion_00.0482", "all held out", "external: demo", "parity:", "time:"):
        assert text in result.stdout
    assert "run folder" in result.stderr


def test_metrics_are_those_of_the_saved_predictions(trained):
    from vmaf_jax.evaluation import all_metrics, loso_metrics, read_held_out

    folder, _ = trained
    metrics = json.loads((folder / "metrics.json").read_text())
    held_out = read_held_out(folder / "folds.parquet")
    assert metrics["loso"] == json.loads(json.dumps(loso_metrics(held_out)["loso"]))
    external = read_held_out(folder / "external_demo.parquet")
    assert metrics["external"]["demo"] == all_metrics(external.predicted, external.label)


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
    result = run("train", "--config", folder / "config.yaml", "--run-dir", again, "--json")
    assert result.returncode == 0, result.stderr
    json.loads(result.stdout)  # one document and nothing else
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if path.name != "metrics.json":  # it holds the times
            same = (again / path.relative_to(folder)).read_bytes() == path.read_bytes()
            assert same, f"{path.name} differs"


def test_evaluate_and_export_agree_with_the_run(trained, tmp_path, demo_table):
    folder, _ = trained
    demo_table.write(tmp_path / "demo.parquet")
    exported = run("export", "--model", folder, "--format", "onnx", "--out", tmp_path / "m.onnx")
    assert exported.returncode == 0, exported.stderr
    assert (tmp_path / "m.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    figures = []
    for model in (folder, tmp_path / "m.onnx"):
        table = ("--features", tmp_path / "demo.parquet")
        result = run("--model", model, *table, "--json", script="evaluate")
        assert result.returncode == 0, result.stderr
        figures.append(json.loads(result.stdout)["overall"])
    metrics = json.loads((folder / "metrics.json").read_text())["external"]["demo"]
    assert figures[0] == metrics
    assert figures[1]["rmse"] == pytest.approx(metrics["rmse"], abs=1e-5)


def test_evaluate_a_libvmaf_model(support_vectors, tmp_path):
    from vmaf_jax.teacher.model_file import find_model_file

    support_vectors.write(tmp_path / "sv.parquet")
    model = find_model_file("vmaf_v0.6.1")
    result = run("evaluate", "--model", model, "--features", tmp_path / "sv.parquet", "--json")
    found = json.loads(result.stdout)
    assert found["kind"] == "libvmaf"
    assert found["overall"]["max_abs"] == 0


def test_extract_killed_half_way_resumes_to_the_same_bytes(tmp_path, demo_table):
    """The clips measured before a kill are kept, and the table comes out byte for byte."""
    from vmaf_jax.files import cache_dir

    fresh = tmp_path / "cache"
    fresh.mkdir()
    (fresh / "demo").symlink_to(cache_dir() / "demo")
    environment = {**os.environ, "VMAF_JAX_CACHE": str(fresh)}
    out = tmp_path / "killed.parquet"
    line = [sys.executable, "scripts/extract.py", "--corpus", "demo", "--out", str(out)]
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    limit = time.monotonic() + 60
    while len(list(fresh.glob("features/*.parquet"))) < 5 and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = len(list(fresh.glob("features/*.parquet")))
    assert 5 <= kept < 72
    assert not out.exists()
    resumed = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert resumed.returncode == 0, resumed.stderr
    demo_table.write(tmp_path / "whole.parquet")
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_extract_pools_and_names_labels(tmp_path, demo_table):
    out = tmp_path / "clips.parquet"
    result = run("extract", "--corpus", "demo", "--out", out, "--mean-pool", "--json")
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
    result = run("train", "--config", config, "--run-dir", tmp_path / "run", "--json")
    assert result.returncode == 0, result.stderr
    metrics = json.loads(result.stdout)
    assert len(metrics["folds"]) == 9
    assert metrics["loso"]["pooled"]["plcc"] > 0.95


BAD = [
    (["train", "--config", "none.yaml"], "none.yaml: cannot read"),
    (["train", "--config", "configs/nano.yaml", "--set", "training.stepz=1"], "unknown key"),
    (["train", "--config", "configs/nano.yaml", "--set", "training.steps=-1"], "training.steps"),
    (["train", "--config", "configs/nano.yaml", "--run-dir", "{file}/x"], "cannot create"),
    (["train", "--config", "configs/nano.yaml", "--set", "data.features={one}"], "1 source"),
    (["train", "--config", "configs/nano.yaml", "--set", "data.features={nan}"], "row 0 is nan"),
    (["extract", "--corpus", "netflix", "--out", "{tmp}/x.parquet"], "--data-root"),
    (["extract", "--corpus", "manifest", "--out", "{tmp}/x.parquet"], "--manifest"),
    (["extract", "--corpus", "nothing", "--out", "{tmp}/x.parquet"], "'nothing' is unknown"),
    (["extract", "--corpus", "demo", "--out", "{tmp}"], "a folder; name a .parquet file"),
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
def test_bad_input_exits_2_with_one_line(arguments, message, tmp_path, support_vectors):
    import dataclasses

    one = support_vectors.sources[0]
    rows = support_vectors.source == one
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
    environment = {k: v for k, v in os.environ.items() if k != "VMAF_DATA_ROOT"}
    result = run(*(a.format(**names) for a in arguments), env=environment)
    assert result.returncode == 2, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("vmaf-jax: ")
    assert message in last
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missed_parity_limit_exits_1(tmp_path):
    sets = ("training.steps=2", "external=[]", "parity.max_abs=1e-12")
    flags = [flag for each in sets for flag in ("--set", each)]
    run_dir = ("--run-dir", tmp_path / "x")
    result = run("train", "--config", "configs/nano.yaml", *flags, *run_dir)
    assert result.returncode == 1
    assert "parity: max_abs is" in result.stderr
    assert "limit 1e-12" in result.stderr
    assert (tmp_path / "x" / "parity.json").exists()


@pytest.mark.parametrize("kept", [False, True], ids=["new file", "existing file"])
def test_a_full_disk_leaves_things_as_they_were(tmp_path, kept):
    out = tmp_path / "x.parquet"
    if kept:
        out.write_bytes(b"before")
    # A limit on the size of files fails a write half-way, as a full disk does.
    line = f"ulimit -f 4; exec {sys.executable} scripts/extract.py --corpus support_vectors"
    shell = ["bash", "-c", f"{line} --out {out}"]
    result = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert f"{out}: cannot write" in result.stderr
    assert "File too large" in result.stderr
    assert "free space" in result.stderr
    assert [p.read_bytes() for p in tmp_path.iterdir()] == ([b"before"] if kept else [])


def test_a_read_only_folder_is_named():
    result = run("extract", "--corpus", "support_vectors", "--out", "/proc/x.parquet")
    assert result.returncode == 2
    assert "/proc: cannot write here" in result.stderr


def test_doctor_speaks(tmp_path):
    result = run("doctor", "--json")
    found = json.loads(result.stdout)
    assert "with libvmaf" in found["ffmpeg"]
    assert "CPUExecutionProvider" in found["onnxruntime providers"]
    assert found["problems"] == []
    assert result.returncode == 0
