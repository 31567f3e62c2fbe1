"""Extraction by Ray on a real cluster: nodes are killed, drivers die, versions differ."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.extraction.ray_nodes import LOOPBACK, Nodes
from tests.jobs.test_import_features import write_csv
from tests.support import run_command
from vmaf_jax.tables import read_table
from vmaf_jax.tables.dataset import shard_files

pytest.importorskip("ray", reason="the extra ray is not installed")
N_CLIPS = 16
RAW = ("--width", 352, "--height", 288, "--pix-fmt", "yuv420p")
SCRIPT = [sys.executable, "scripts/extract.py", "--corpus", "manifest"]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """A head without cores, and two nodes of one, each with a cache of its own."""
    nodes = Nodes()
    for _ in range(2):
        nodes.add({"VMAF_JAX_CACHE": str(tmp_path_factory.mktemp("node"))})
    yield nodes
    nodes.end()


@pytest.fixture(scope="module")
def manifest(encodes, tmp_path_factory):
    """Clips of 3 to 10 frames: raw files, cut."""
    folder = tmp_path_factory.mktemp("clips")
    size = 352 * 288 * 3 // 2
    rows = []
    for k in range(N_CLIPS):
        n = 3 + k // 2
        for name in ("ref", "dis"):
            content = (encodes / f"{name}.yuv").read_bytes()[: n * size]
            (folder / f"{name}{n}.yuv").write_bytes(content)
        other = "dis" if k % 2 else "ref"
        pair = {"reference": folder / f"ref{n}.yuv", "distorted": folder / f"{other}{n}.yuv"}
        of_raw = {"width": 352, "height": 288, "pix_fmt": "yuv420p"}
        rows.append({**pair, "source": f"s{n}", "clip": f"c{k}", **of_raw})
    return write_csv(folder / "clips.csv", rows)


@pytest.fixture(scope="module")
def local(manifest, tmp_path_factory):
    """The local engine's bytes: of the file, and of each shard."""
    folder = tmp_path_factory.mktemp("local")
    flags = ("extract", "--corpus", "manifest", "--manifest", manifest, "--out")
    assert run_command(*flags, folder / "one.parquet").code == 0
    assert run_command(*flags, folder / "set").code == 0
    return (folder / "one.parquet").read_bytes(), contents(folder / "set")


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def started(line):
    """A program on loopback, its output to be read."""
    return subprocess.Popen(
        [*map(str, line)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | LOOPBACK,
        text=True,
    )


def start(nodes, manifest, out, engine="ray"):
    line = [*SCRIPT, "--manifest", manifest, "--out", out, "--engine", engine]
    line += ["--address", nodes.address] if engine == "ray" else []
    return started(line)


def wait_for_shards(process, folder, count):
    while len(shard_files(folder)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    assert len(shard_files(folder)) < N_CLIPS


def test_a_killed_node_costs_nothing_but_time(nodes, manifest, local, tmp_path):
    process = start(nodes, manifest, tmp_path / "set")
    wait_for_shards(process, tmp_path / "set", 3)
    nodes.kill(1)
    out, error = process.communicate()
    assert process.returncode == 0, error
    assert f"{N_CLIPS} clips" in out
    assert contents(tmp_path / "set") == local[1]
    assert read_table(tmp_path / "set").n_clips == N_CLIPS


def test_a_killed_driver_and_a_clip_that_fails_leave_what_is_measured(
    nodes, manifest, local, tmp_path
):
    lines = manifest.read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    row |= {"reference": tmp_path / "broken.mp4", "distorted": tmp_path / "broken.mp4"}
    row |= {"source": "x", "clip": "broken", "pix_fmt": ""}
    listed = tmp_path / manifest.name
    listed.write_text("\n".join([lines[0], ",".join(map(str, row.values())), *lines[1:]]))
    out = tmp_path / "set"
    process = start(nodes, listed, out)
    wait_for_shards(process, out, 2)
    process.kill()
    process.communicate()
    before = contents(out)
    process = start(nodes, listed, out)
    _, error = process.communicate()
    assert process.returncode == 2
    assert f"1 of {N_CLIPS + 1} clips failed (x/broken: " in error.splitlines()[-1]
    assert before.items() <= contents(out).items()
    written = {path: path.stat().st_mtime_ns for path in shard_files(out)}
    assert len(written) == N_CLIPS
    again = run_command("extract", "--corpus", "manifest", "--manifest", manifest, "--out", out)
    assert again.code == 0, again.stderr
    assert contents(out) == local[1]
    assert {path: path.stat().st_mtime_ns for path in shard_files(out)} == written


def test_a_node_of_another_version_is_refused(nodes, manifest, ffmpeg, tmp_path):
    other = tmp_path / "ffmpeg"
    other.write_text(
        f"""#!/bin/sh
{{ "{ffmpeg}" "$@" 2>&1 1>&3 | sed "s/^ffmpeg version [^ ]*/ffmpeg version 1/" >&2; }} 3>&1
"""
    )
    other.chmod(0o755)
    number = nodes.add({"VMAF_JAX_FFMPEG": str(other)})
    try:
        process = start(nodes, manifest, tmp_path / "set")
        _, error = process.communicate()
        scored = score_by(nodes, manifest.parent / "ref3.yuv", manifest.parent, *RAW)
    finally:
        nodes.kill(number)
    for code, line in ((process.returncode, error), (scored.returncode, scored.stderr)):
        assert code == 2
        assert line.count("\n") == 1
        assert "has ffmpeg 1 and vmaf-jax" in line
        assert "two versions are not mixed" in line
    assert not (tmp_path / "set").exists()
    assert not scored.stdout


def start_scoring(nodes, *arguments):
    """`vmaf-jax score` by the cluster, in a process of its own."""
    line = [sys.executable, "-m", "vmaf_jax", "score", *arguments]
    line += ["--engine", "ray", "--address", nodes.address]
    return started(line)


def score_by(nodes, *arguments):
    process = start_scoring(nodes, *arguments)
    out, error = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


@pytest.mark.slow
def test_a_node_killed_while_it_scores_costs_nothing_but_time(nodes, encodes, tmp_path):
    size = 352 * 288 * 3 // 2
    content = (encodes / "dis.yuv").read_bytes()
    for k in range(1, 13):  # frames turned around, so that none is in a cache
        (tmp_path / f"d{k}.yuv").write_bytes(content[k * size :] + content[: k * size])
    cache = tmp_path / "cache"
    number = nodes.add({"VMAF_JAX_CACHE": str(cache)})
    flags = (encodes / "ref.yuv", tmp_path, *RAW, "--force", "--json")
    process = start_scoring(nodes, *flags)
    while not list(cache.rglob("*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    nodes.kill(number)
    assert process.poll() is None
    out, error = process.communicate()
    assert process.returncode == 0, error
    local = run_command("score", *flags)
    documents = [json.loads(text, object_hook=untimed) for text in (local.stdout, out)]
    assert documents[0] == documents[1]
    assert len(documents[0]["ranked"]) == 12


def test_scores_of_a_cluster_are_those_of_one_machine(nodes, encodes, tmp_path):
    for name in (
        "dis.mp4",
        "small.mp4",
        "deep.mkv",
        "short.mp4",
    ):  # the last is of 9 frames, not 12
        shutil.copy(encodes / name, tmp_path / name)
    (tmp_path / "a_broken.mp4").write_bytes(b"no video")
    pair = (os.path.relpath(encodes / "ref.y4m"), os.path.relpath(tmp_path))
    sure = ("--model", "tiny", "--interval", 0.9)
    flags = (*pair, *sure, "--teacher", "vmaf_v0.6.1", "--json", "--per-frame")
    local, spread = run_command("score", *flags), score_by(nodes, *flags)
    assert (local.code, spread.returncode) == (2, 2), spread.stderr
    assert spread.stderr.splitlines()[-1] == local.stderr.splitlines()[-1]
    documents = [json.loads(text, object_hook=untimed) for text in (local.stdout, spread.stdout)]
    assert documents[0] == documents[1]
    assert len(documents[0]["ranked"]) == 3
    assert {Path(f["distorted"]).name for f in documents[1]["failed"]} == {
        "a_broken.mp4",
        "short.mp4",
    }


def untimed(document):
    return {key: value for key, value in document.items() if key != "seconds"}


def test_what_cannot_be_is_told_in_one_line(manifest, tmp_path, monkeypatch):
    flags = ("extract", "--corpus", "manifest", "--manifest", manifest, "--out", tmp_path / "set")
    lines = {
        ("--engine", "ray", "--address", "127.0.0.1:1"): "127.0.0.1:1: no Ray cluster answers",
        ("--engine", "ray", "--address", "nowhere"): "nowhere: no Ray cluster answers there",
        ("--engine", "spark"): "--engine spark: expected one of local, ray",
        ("--address", "127.0.0.1:1"): "add --engine ray",
        ("--engine", "ray", "--jobs", "2"): "a clip a core, drop it",
        ("--engine", "ray", "--backend", "jax"): "measured by libvmaf; drop --backend jax",
    }
    for more, line in lines.items():
        ended = run_command(*flags, *more)
        assert (ended.code, ended.stderr.count("\n")) == (2, 1)
        assert line in ended.stderr
    video = manifest.parent / "ref3.yuv"
    lines = {
        (manifest.parent, "--engine", "ray", "--address", "127.0.0.1:1"): "no Ray cluster answers",
        (manifest.parent, "--engine", "spark"): "--engine spark: expected one of local, ray",
        (manifest.parent, "--address", "127.0.0.1:1"): "add --engine ray",
        (manifest.parent, "--engine", "ray", "--backend", "jax"): "drop --backend jax",
        (video, "--engine", "ray"): "spreads several videos; name more, or drop it",
        ("-", "--engine", "ray"): "a cluster cannot read a pipe",
    }
    for more, line in lines.items():
        ended = run_command("score", video, *more, *RAW)
        assert (ended.code, ended.stderr.count("\n")) == (2, 1)
        assert line in ended.stderr
        assert not ended.stdout
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = run_command(*flags, "--engine", "ray")
    assert ended.code == 2
    assert "pip install '.[ray]'" in ended.stderr
    assert not (tmp_path / "set").exists()


@pytest.mark.slow
def test_a_cluster_of_its_own_writes_the_local_file_and_ends(manifest, local, tmp_path):
    out = tmp_path / "one.parquet"
    line = [*SCRIPT, "--manifest", manifest, "--out", out, "--engine", "ray"]
    ended = subprocess.run([*map(str, line)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert out.read_bytes() == local[0]
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.slow
def test_a_cluster_of_its_own_ends_with_a_program_that_is_told_to(manifest, tmp_path):
    line = [*SCRIPT, "--manifest", manifest, "--out", tmp_path / "set", "--engine", "ray"]
    process = subprocess.Popen([*map(str, line)], stderr=subprocess.PIPE, text=True)
    wait_for_shards(process, tmp_path / "set", 1)
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.communicate()[1].splitlines()[-1].endswith("what was measured is kept.")
    assert process.returncode == 128 + signal.SIGTERM
    _, left = psutil.wait_procs(children, timeout=30)
    assert not left


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "ray"])
def test_twenty_kills_end_with_the_same_bytes(engine, nodes, manifest, local, tmp_path):
    """At random instants after the first shard that a run adds; runs that end are counted out."""
    rng = np.random.default_rng(0)
    out = tmp_path / "set"
    hit = 0
    while hit < 20:
        if len(shard_files(out)) > N_CLIPS - 3:  # most is done: begin anew
            shutil.rmtree(out)
        process = start(nodes, manifest, out, engine)
        begun = len(shard_files(out))
        while process.poll() is None and len(shard_files(out)) == begun:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.5))
        hit += process.poll() is None
        process.kill()
        process.communicate()
    process = start(nodes, manifest, out, engine)
    process.communicate()
    assert process.returncode == 0
    assert contents(out) == local[1]
