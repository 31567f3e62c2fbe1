"""One training of several processes on this machine: the results of one, and plain ends."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.commands.select_few import few_clips
from tests.support import run_command

CONFIG = """
name: spread
student: {network: nano, dropout: 0.1}
training: {steps: 20, folds: 3, seeds: [0, 1]}
"""
GRID = """
name: spread
corpora: [support_vectors]
networks: [nano]
activations: [silu]
temperatures: [1, 4]
rows: {steps: 20, seeds: [0]}
queries: {steps: 20, batch_size: 64}
"""
SAME = ("folds.parquet", "log.jsonl", "model.onnx", "config.yaml")
ONE_DEVICE = {"XLA_FLAGS": "--xla_force_host_platform_device_count=1"}


@pytest.fixture
def config(tmp_path):
    (tmp_path / "c.yaml").write_text(CONFIG)
    return tmp_path / "c.yaml"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(config, n, *more, program=("vmaf_jax", "train"), **environment):
    """The processes of one command, the first first."""
    port = free_port()
    common = ["--config", config, "--distributed", "--coordinator", f"127.0.0.1:{port}", *more]
    line = [sys.executable, "-m", *program, *map(str, common)]
    return [
        subprocess.Popen(
            [*line, "--processes", str(n), "--process", str(k)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_DEVICE | environment,
        )
        for k in range(n)
    ]


def ended(processes):
    return [(*process.communicate(), process.returncode) for process in processes]


@pytest.mark.parametrize("n", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_several_processes_train_what_one_does(n, config, tmp_path):
    alone = run_command("train", "--config", config, "--run-dir", tmp_path / "alone")
    assert alone.code == 0, alone.stderr
    first, *others = ended(start(config, n, "--run-dir", tmp_path / "together"))
    assert first[2] == 0, first[1]
    assert first[0].startswith("┏")  # the table, and nothing of JAX's before it
    assert others == [("", "", 0)] * (n - 1)
    for name in SAME:
        expected = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "together" / name).read_bytes() == expected, name


@pytest.mark.slow
def test_two_processes_select_what_one_does(tmp_path):
    (tmp_path / "grid.yaml").write_text(GRID)
    grid, out = tmp_path / "grid.yaml", ("--out", tmp_path / "together")
    with pytest.MonkeyPatch.context() as patch:
        few_clips(patch)
        alone = run_command("select", "--config", grid, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.stderr
    program = ("tests.commands.select_few", "select")
    first, second = ended(start(grid, 2, *out, program=program, VMAF_JAX_WORKER="1"))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    said = [
        [line for line in out.splitlines() if "Gloo" not in line] for out, *_ in (first, second)
    ]
    assert said == [alone.stdout.splitlines(), []]
    for name in ("predictions.parquet", "config.json"):
        expected = (tmp_path / "alone" / name).read_bytes()
        assert (tmp_path / "together" / name).read_bytes() == expected, name
    selections = [selected(tmp_path / name) for name in ("alone", "together")]
    assert selections[0] == selections[1]
    assert {candidate["network"] for candidate in selections[0]["candidates"]} == {"nano"}
    assert {path.name for path in tmp_path.iterdir()} == {"grid.yaml", "alone", "together"}


def selected(folder):
    """What a selection found, without how long anything took."""
    findings = json.loads((folder / "selection.json").read_text())
    del findings["total_s"]
    for model in findings["deployment"]:
        del model["latency_us"]
    return findings


def test_a_process_whose_coordinator_dies_ends_in_one_line(config, tmp_path):
    first, second = start(config, 2, "--set", "training.steps=1000000", "--run-dir", tmp_path / "x")
    for line in first.stderr:
        if line.startswith("training:"):
            break
    (worker,) = (int(p) for p in children_of(first.pid))
    os.kill(worker, signal.SIGKILL)
    first.communicate()
    assert first.returncode == 128 + signal.SIGKILL
    _, error = second.communicate()
    assert second.returncode == 2, error
    assert error.startswith("vmaf-jax: the coordinator (127.0.0.1:"), error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml"}


def children_of(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]


def test_what_cannot_be_joined_is_said_at_once(config):
    common = ("train", "--config", config, "--distributed")
    flags = ("--processes", 2, "--process")
    for more, message in [
        (("--coordinator", "nowhere"), "expected HOST:PORT"),
        (("--coordinator", "a:1", *flags, 2), "they count from 0"),
        (("--save-every", 1), "saves no states yet"),
        (("--coordinator", "no-such-host.invalid:1", *flags, 1), "cannot be reached"),
    ]:
        result = run_command(*common, *more)
        assert result.code == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1


def test_an_environment_that_says_nothing_is_an_error(config):
    process = subprocess.run(
        [sys.executable, "-m", "vmaf_jax", "train", "--config", str(config), "--distributed"],
        capture_output=True,
        text=True,
    )
    assert process.returncode == 2
    assert "name --coordinator, --processes and --process" in process.stderr
    assert process.stderr.count("\n") == 1
