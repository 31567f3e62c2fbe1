"""Trainings that are killed, told to end, or find a damaged state: nothing lost, and it is said."""

import contextlib
import dataclasses
import random
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from tests.support import full_disk, run_command
from vmaf_jax.errors import InputError
from vmaf_jax.interrupts import SAVED
from vmaf_jax.models import Student
from vmaf_jax.progress import NullProgress
from vmaf_jax.runs.state import TrainingState, load_checkpoint, save_checkpoint, write_arrays

pytestmark = pytest.mark.optimised  # they train for a while

CONFIG = """
name: short
student: {{network: nano, dropout: 0.1}}
training: {{steps: 1000}}
"""
SWEPT = """
name: short
student: {{network: nano, dropout: 0.1}}
training: {{steps: 1000}}
sweep: {{training.learning_rate: [0.02, 0.01], student.activation: [silu, relu]}}
"""
STREAMED = """
name: short
data: {{features: {shards}, buffer_rows: 128}}
student: {{network: nano, dropout: 0.1}}
training: {{steps: 1000, batch_size: 64}}
sweep: {{training.learning_rate: [0.02, 0.01], student.activation: [silu, relu]}}
"""
SAME = (
    *("folds.parquet", "checkpoint", "model.onnx", "log.jsonl", "config.yaml"),
    *("sweep.json", "sweep.parquet"),
)


@dataclasses.dataclass
class Told(NullProgress):
    """A report that remembers."""

    lines: list = dataclasses.field(default_factory=list)

    def say(self, text):
        self.lines.append(text)


def start(config, run_dir, every=("--save-every", "0.2")):
    command = [sys.executable, "-m", "vmaf_jax", "train", "--config", config, "--run-dir", run_dir]
    return subprocess.Popen([*map(str, command), *every], stderr=subprocess.PIPE, text=True)


def contents(run_dir):
    paths = [p for name in SAME for p in [run_dir / name, *(run_dir / name).rglob("*")]]
    return {str(p.relative_to(run_dir)): p.read_bytes() for p in paths if p.is_file()}


def wait_for_states(process, run_dir, n):
    """Until that many states were begun, or the process ended."""
    states: set[str] = set()
    folder = run_dir.with_name(f"{run_dir.name}.state")
    while process.poll() is None and len(states) < n:
        with contextlib.suppress(OSError):
            states |= {path.name for path in folder.iterdir() if path.name.isdecimal()}
        time.sleep(0.01)


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "short.yaml"
    path.write_text(CONFIG.format())
    return path


@pytest.fixture(scope="module")
def undisturbed(config, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    finished = run_command("train", "--config", config, "--run-dir", run_dir)  # never saves
    assert finished.code == 0, finished.stderr
    assert not run_dir.with_name("run.state").exists()
    return contents(run_dir)


def killed_and_finished(config, run_dir, kills, seed):
    """How many of `kills` hit, at random instants after a state; then the training is finished."""
    rng = random.Random(seed)  # noqa: S311
    hit = 0
    for _ in range(kills):
        process = start(config, run_dir)
        wait_for_states(process, run_dir, rng.randint(1, 3))
        time.sleep(rng.uniform(0, 0.1))  # within a save as well as between two
        hit += process.poll() is None
        process.kill()
        process.communicate()
    finished = run_command("train", "--config", config, "--run-dir", run_dir, "--save-every", 0.2)
    assert finished.code == 0, finished.stderr
    return hit, finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize("text", [CONFIG, SWEPT, STREAMED], ids=["train", "sweep", "streamed"])
def test_twenty_kills(text, support_vectors, tmp_path):
    config = tmp_path / "config.yaml"
    (tmp_path / "shards").mkdir()
    support_vectors.write(tmp_path / "shards" / "part.parquet")
    config.write_text(text.format(shards=tmp_path / "shards"))
    process = start(config, tmp_path / "undisturbed", every=())
    _, error = process.communicate()
    assert process.returncode == 0, error
    hit, _ = killed_and_finished(config, tmp_path / "run", 20, seed=1)
    assert hit
    assert contents(tmp_path / "run") == contents(tmp_path / "undisturbed")


def test_a_training_told_to_end_then_killed_ends_with_the_same_bytes(config, undisturbed, tmp_path):
    process = start(config, tmp_path / "run")
    wait_for_states(process, tmp_path / "run", 1)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate()
    assert process.returncode == SAVED, error
    assert error.splitlines()[-1] == (
        "vmaf-jax: interrupted; the training is saved, run it again to go on."
    )
    assert not (tmp_path / "run").exists()
    assert len([p for p in (tmp_path / "run.state").iterdir() if p.name.isdecimal()]) <= 2
    hit, error = killed_and_finished(config, tmp_path / "run", 1, seed=0)
    assert hit
    assert "goes on after step" in error
    assert contents(tmp_path / "run") == undisturbed


LEAVES: list[np.ndarray] = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.ones(2),
    np.array(7, np.int64),
]


def written(folder, *, training="this one", steps=(10, 20, 30)):
    with TrainingState(folder, 1.0, Told()) as state:
        for step in steps:
            state.of(training).save([*LEAVES[:-1], np.array(step, np.int64)], step)
    return state.folder


def taken_up(folder, training="this one"):
    report = Told()
    with TrainingState(folder, 1.0, report) as state:
        return state.of(training).restore(LEAVES), report.lines


def test_the_newest_of_the_last_two_is_taken(tmp_path):
    folder = written(tmp_path / "run")
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert names == ["000000020", "000000030"]
    leaves, lines = taken_up(tmp_path / "run")
    for ours, theirs in zip(leaves[:-1], LEAVES[:-1], strict=True):
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    assert int(leaves[-1]) == 30
    assert len(lines) == 1


def flip(folder):
    path = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "harm",
    [
        lambda newest: flip(newest / "state"),
        lambda newest: (newest / "digests.json").unlink(),
        lambda newest: shutil.rmtree(newest / "state"),
    ],
    ids=["a bit", "no list", "no files"],
)
def test_a_damaged_state_falls_back_and_says_so(tmp_path, harm):
    folder = written(tmp_path / "run")
    harm(folder / "000000030")
    leaves, lines = taken_up(tmp_path / "run")
    assert int(leaves[-1]) == 20
    assert "000000030: damaged" in lines[0]
    assert "goes on after step 20" in lines[1]


def test_a_state_of_another_training_is_not_taken(tmp_path):
    written(tmp_path / "run")
    leaves, lines = taken_up(tmp_path / "run", training="another")
    assert leaves is None
    assert all("of another training" in line for line in lines)


def test_two_trainings_do_not_share_a_run_folder(tmp_path):
    with TrainingState(tmp_path / "run", 1.0, Told()) as first:
        with pytest.raises(InputError, match="another training saves its state here"):
            TrainingState(tmp_path / "run", 1.0, Told())
        first.remove()
    with TrainingState(tmp_path / "run", 1.0, Told()):
        pass


def test_a_training_that_fails_before_its_first_state_leaves_nothing(tmp_path):
    with TrainingState(tmp_path / "run", 1.0, Told()):
        assert (tmp_path / "run.state" / "lock").is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "write",
    [save_checkpoint, lambda path, variables: write_arrays(path, dict(variables), "this")],
    ids=["checkpoint", "state"],
)
def test_a_full_disk_is_one_line_and_leaves_nothing(write, tmp_path, capfd):
    variables = Student("tiny").init(jax.random.key(0))
    refusal = pytest.raises(InputError, match=r"cannot write \(File too large\); free space")
    with full_disk(1000), refusal:
        write(tmp_path / "a", variables)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_round_trip_to_the_same_bytes(tmp_path):
    student = Student("nano")
    variables = student.init(jax.random.key(0))
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, variables)
    back = load_checkpoint(tmp_path / "a", student)
    for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(dict(variables)), strict=True):
        np.testing.assert_array_equal(x, y)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_damage_is_named(tmp_path):
    student = Student("nano")
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none", student)
    save_checkpoint(tmp_path / "c", student.init(jax.random.key(0)))
    with pytest.raises(InputError, match="parameters of another student"):
        load_checkpoint(tmp_path / "c", Student("tiny"))
    (tmp_path / "c" / "_METADATA").write_text("{")
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "c", student)
