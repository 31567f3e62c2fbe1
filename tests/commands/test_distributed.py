"""One training of several processes on this machine: the results of one, and plain ends."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.support import run_command
from vmaf_jax.interrupts import SAVED

CONFIG = """
name: spread
student: {network: nano, dropout: 0.1}
training: {steps: 20, folds: 3, seeds: [0, 1]}
"""
SELECTION = """
name: spread
data: {mean_pool: true}
candidates:
  rows: {student: {network: nano}, training: {steps: 20}, sweep: {student.activation: [silu, relu]}}
  kl: {student: {network: nano}, training: {steps: 20, loss: kl}}
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
    (tmp_path / "s.yaml").write_text(SELECTION)
    config, out = tmp_path / "s.yaml", ("--out", tmp_path / "together")
    alone = run_command("select", "--config", config, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.stderr
    first, second = ended(start(config, 2, *out, program=("vmaf_jax", "select")))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    said = [
        [line for line in out.splitlines() if "Gloo" not in line] for out, *_ in (first, second)
    ]
    assert said == [alone.stdout.splitlines(), []]
    for path in (tmp_path / "alone").iterdir():
        assert (tmp_path / "together" / path.name).read_bytes() == path.read_bytes(), path.name
    assert {path.name for path in tmp_path.iterdir()} == {"s.yaml", "alone", "together"}


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
    # A killed process leaves its lock, which the next one takes.
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml", ".x.lock"}


LONG = ("--set", "training.steps=1000", "--save-every", "0.2")


@pytest.fixture(scope="module")
def saved_together(tmp_path_factory):
    """A configuration, and the run that two undisturbed processes made of it, saving."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "c.yaml").write_text(CONFIG)
    first, second = ended(start(folder / "c.yaml", 2, *LONG, "--run-dir", folder / "run"))
    assert (first[2], second[2]) == (0, 0), first[1] + second[1]
    assert {path.name for path in folder.iterdir()} == {"c.yaml", "run"}
    return folder


def wait_for_state(processes, folder):
    while not [p for p in folder.glob("*") if p.name.isdecimal()]:
        assert processes[0].poll() is None
        time.sleep(0.01)


@pytest.mark.slow
def test_processes_that_are_ended_and_killed_end_with_the_same_bytes(saved_together, tmp_path):
    config, run = saved_together / "c.yaml", tmp_path / "run"
    processes = start(config, 2, *LONG, "--run-dir", run)
    wait_for_state(processes, tmp_path / "run.state")
    processes[1].terminate()  # one is told to end: all are saved, and end
    for _, error, code in ended(processes):
        assert code == SAVED, error
        assert error.splitlines()[-1] == (
            "vmaf-jax: interrupted; the training is saved, run it again to go on."
        )
    processes = start(config, 2, *LONG, "--run-dir", run)
    wait_for_state(processes, tmp_path / "run.state")
    for process in processes:
        for pid in (*children_of(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
    ended(processes)
    first, second = ended(start(config, 2, *LONG, "--run-dir", run))
    assert (first[2], second) == (0, ("", "", 0)), first[1]
    assert "goes on after step" in first[1]
    assert {path.name for path in tmp_path.iterdir()} == {"run"}
    for name in SAME:
        assert (run / name).read_bytes() == (saved_together / "run" / name).read_bytes(), name


def test_processes_that_do_not_agree_on_saving_are_told(config, tmp_path):
    port = free_port()
    processes = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "vmaf_jax", "train", "--config", str(config)),
                *("--distributed", "--coordinator", f"127.0.0.1:{port}", "--processes", "2"),
                *("--process", str(k), "--run-dir", str(tmp_path / "run"), *more),
            ],
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_DEVICE,
        )
        for k, more in enumerate([("--save-every", "1"), ()])
    ]
    ends = [(process.communicate()[1], process.returncode) for process in processes]
    assert [code for _, code in ends] == [2, 2]
    assert "start every process with it, or none" in ends[0][0].splitlines()[-1]


def children_of(pid):
    import psutil

    return [child.pid for child in psutil.Process(pid).children()]


def test_what_cannot_be_joined_is_said_at_once(config):
    common = ("train", "--config", config, "--distributed")
    flags = ("--processes", 2, "--process")
    for more, message in [
        (("--coordinator", "nowhere"), "expected HOST:PORT"),
        (("--coordinator", "a:1", *flags, 2), "they count from 0"),
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
