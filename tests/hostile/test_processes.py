"""Commands in processes of their own: signals, standard output, encodings, what is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import vmaf_jax
from vmaf_jax.files import atomic_path, work_folder
from vmaf_jax.video.ffmpeg import ProcessTable

LIMITED = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_AS, (12 << 30, 12 << 30))
runpy.run_module("vmaf_jax", run_name="__main__", alter_sys=True)
"""
PROGRAM = [sys.executable, "-c", LIMITED]


def run(*arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        check=False,
        timeout=100,
    )


def descendants(pid):
    """Processes below `pid`, by the system's own lists."""
    pids = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            pids += [int(child), *descendants(int(child))]
    return pids


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_no_process_and_no_folder(number, tmp_path):
    raw = tmp_path / "a.yuv"
    with raw.open("wb") as file:
        file.truncate(1920 * 1080 * 3 // 2 * 400)  # a minute of work, and sparse
    places = {name: str(tmp_path / name) for name in ("TMPDIR", "VMAF_JAX_CACHE")}
    for place in places.values():
        Path(place).mkdir()
    size = ["--width", "1920", "--height", "1080", "--pix-fmt", "yuv420p"]
    process = subprocess.Popen(
        [*PROGRAM, "score", str(raw), str(raw), *size],
        env={**os.environ, **places},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    children: list[int] = []
    for _ in range(600):
        children = descendants(process.pid)
        if children and any(Path(places["TMPDIR"]).glob("vmaf-jax-*")):
            break
        time.sleep(0.1)
    assert children
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert b"interrupted" in stderr
    assert b"Traceback" not in stderr
    assert list(Path(places["TMPDIR"]).glob("vmaf-jax-*")) == []
    for child in children:  # killed; the system may take a moment to bury them
        for _ in range(100):
            if not Path(f"/proc/{child}").exists() or "(zombie)" in state(child):
                break
            time.sleep(0.1)
        else:
            pytest.fail(f"process {child} is left")


def test_no_process_slips_through_while_it_starts(monkeypatch):
    started = threading.Event()

    class Slow(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.set()
            time.sleep(0.3)  # lives, and its starter does not hold it yet

    running, processes = ProcessTable(), []
    monkeypatch.setattr(subprocess, "Popen", Slow)
    start = threading.Thread(
        target=lambda: processes.append(running.start(["sleep", "60"])), daemon=True
    )
    start.start()
    started.wait()
    running.kill_all()
    start.join()
    assert processes[0].wait(timeout=30) == -signal.SIGKILL
    late = threading.Thread(target=lambda: running.start(["sleep", "60"]), daemon=True)
    late.start()
    late.join(0.2)
    assert late.is_alive()  # it waits for the end of the program
    assert len(processes) == 1


def state(pid):
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "(zombie)"


def test_what_a_killed_process_left_is_removed(tmp_path, monkeypatch):
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / f"vmaf-jax-{ended.pid}-abc").mkdir()
    (tmp_path / f"vmaf-jax-{os.getpid()}-abc").mkdir()
    (tmp_path / f".out.csv.{ended.pid}-12ab.tmp").write_text("half")
    (tmp_path / ".out.csv.notes.tmp").write_text("mine")
    with work_folder() as folder:
        assert folder.is_dir()
    with atomic_path(tmp_path / "out.csv") as temporary:
        temporary.write_text("whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"vmaf-jax-{os.getpid()}-abc", "out.csv", ".out.csv.notes.tmp"}


def test_full_standard_output_is_neither_a_limit_nor_a_traceback():
    with Path("/dev/full").open("wb") as full:
        result = run("registry", "verify", stdout=full)
    assert result.returncode == 3
    assert b"standard output" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_reader_that_left_is_no_reason_to_speak():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        result = run("registry", "verify", stdout=closed)
    assert (result.returncode, result.stderr) == (141, b"")


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_names_that_the_terminal_lacks_are_escaped(encoding):
    result = run("score", "bücher\N{SNOWMAN}.y4m", "b.mp4", PYTHONIOENCODING=encoding)
    assert result.returncode == 2
    assert b"no such file" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_platform_that_is_not_there_is_told(encodes):
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    result = run("score", *pair, "--backend", "jax", JAX_PLATFORMS="nonesuch")
    assert result.returncode == 2
    assert b"JAX_PLATFORMS=nonesuch" in result.stderr
    assert b"Traceback" not in result.stderr


def test_a_name_that_is_no_text_is_drawn_and_written(encodes, tmp_path):
    name = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    name.write_bytes((encodes / "dis.mp4").read_bytes())
    scores = vmaf_jax.score(encodes / "ref.y4m", name, model="nano")
    scores.write_plot(tmp_path / "o.png")
    assert str(scores.table.clip[0]) == "caf\\udce9"


def test_double_precision_of_the_host_program_changes_nothing():
    rows = np.full((3, 6), 0.5)
    expected = vmaf_jax.load_model("nano")(rows)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(vmaf_jax.load_model("nano")(rows), expected)


def test_a_cache_that_cannot_be_written_costs_no_measurement(encodes, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    table = vmaf_jax.extract_pair(*pair, cache=tmp_path / "file" / "cache")
    assert len(table) == 12
    assert "VMAF_JAX_CACHE" in caplog.text
