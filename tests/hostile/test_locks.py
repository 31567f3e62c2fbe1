"""Locks and states in folders that others write to: nothing is followed, emptied or awaited."""

import os
import shutil
import subprocess

import numpy as np
import pytest

from tests.hostile.support import refused
from tests.support import run_command
from vmaf_jax import files
from vmaf_jax.errors import InputError
from vmaf_jax.files import claim_result_folder, read_limited, take_lock, write_bytes
from vmaf_jax.runs.state import UnfitError, read_arrays, write_arrays
from vmaf_jax.tables.dataset import open_writer
from vmaf_jax.video.ffmpeg import find_ffmpeg

WORK = b"a year of work\n"


@pytest.fixture
def folder(encodes, tmp_path, monkeypatch):
    for name in ("ref.y4m", "dis.mp4"):
        shutil.copy(encodes / name, tmp_path)
    (tmp_path / "clips.csv").write_text("reference,distorted,source\nref.y4m,dis.mp4,s\n")
    (tmp_path / "c.yaml").write_text("name: x\nstudent: {network: nano}\ntraining: {steps: 2}\n")
    (tmp_path / "work.txt").write_bytes(WORK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ("train", "--config", "c.yaml", "--run-dir", "out", "--save-every", "100")
EXTRACT = ("extract", "--corpus", "manifest", "--manifest", "clips.csv", "--out", "out")
LOCKS = {
    "a result's": (TRAIN, ".out.lock"),
    "a training's": (TRAIN, "out.state/lock"),
    "a dataset's": (EXTRACT, "out/.lock"),
}
PUT = {
    "a link to a file": (lambda path: path.symlink_to("../work.txt"), "a link, .* remove it"),
    "a link to nothing": (lambda path: path.symlink_to("../new.txt"), "a link, .* remove it"),
    "a FIFO": (os.mkfifo, "no regular file, .* remove it"),
    "a folder": (lambda path: path.mkdir(), "cannot be opened as a lock"),
}


@pytest.mark.parametrize("put", PUT)
@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_that_is_none_is_refused_and_left_alone(lock, put, folder):
    command, name = LOCKS[lock]
    (folder / name).parent.mkdir(exist_ok=True)
    if command == EXTRACT:
        (folder / "out" / "_dataset.json").write_text("{}")
    make, line = PUT[put]
    make(folder / name)
    refused(folder, f"{name}: {line}", *command)
    assert (folder / "work.txt").read_bytes() == WORK
    assert not (folder / "new.txt").exists()


@pytest.mark.parametrize("command", ["train", "select"])
def test_a_result_folder_has_one_writer(command, folder):
    """The later of two trainings replaced the run of the other silently."""
    (folder / "s.yaml").write_text(
        "name: x\ndata: {corpus: support_vectors}\ncandidates:\n"
        "  a: {training: {steps: 2}, sweep: {student.network: [nano]}}\n"
    )
    words = {"train": TRAIN[:-2], "select": ("select", "--config", "s.yaml", "--out", "out")}
    with claim_result_folder(folder / "out", "metrics.json", overwrite=False):
        refused(folder, "/out: another program writes its result here; wait", *words[command])
    assert not (folder / ".out.lock").exists()


def test_a_result_that_another_program_has_just_written_is_kept(tmp_path, monkeypatch):
    take = files.take_lock

    def take_late(path, busy):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "mark").write_text("of the other program")
        return take(path, busy)

    monkeypatch.setattr(files, "take_lock", take_late)
    claim = claim_result_folder(tmp_path / "out", "mark", overwrite=False)
    with pytest.raises(InputError, match="holds an earlier result"), claim:
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_interrupted_program_leaves_no_lock(tmp_path):
    with claim_result_folder(tmp_path / "out", "mark", overwrite=False):
        assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]
        files.remove_work_folders()
        assert list(tmp_path.iterdir()) == []


def test_a_lock_is_held_by_one_and_never_emptied(tmp_path):
    work = tmp_path / "work.txt"
    work.write_bytes(WORK)
    os.link(work, tmp_path / "lock")
    with take_lock(tmp_path / "lock", "taken"):
        with pytest.raises(InputError, match="taken"):
            take_lock(tmp_path / "lock", "taken")
        child = ["flock", "--nonblock", str(tmp_path / "lock"), "true"]
        assert subprocess.run(child, check=False).returncode == 1
    take_lock(tmp_path / "lock", "taken").close()
    assert work.read_bytes() == WORK


OTHER = {
    "in the place of saved states": (TRAIN, "out.state/thesis.tex", "no saved state"),
    "in a dataset, a table": (EXTRACT, "out/votes.parquet", "no shard that was written here"),
    "in a shard's folder, a table": (EXTRACT, "out/ab/votes.parquet", "no shard that was written"),
}


@pytest.mark.parametrize("case", OTHER)
def test_files_of_others_are_not_removed(case, folder):
    command, name, line = OTHER[case]
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(WORK)
    if "dataset" in case or "shard" in case:
        (folder / "out" / "_dataset.json").write_text("{}")
    refused(folder, f"{name}: {line}", *command)


def test_a_linked_folder_of_states_is_not_written_to(folder):
    (folder / "elsewhere").mkdir()
    (folder / "out.state").symlink_to("elsewhere")
    refused(folder, "out.state: a link", *TRAIN)


def test_a_dataset_is_not_written_through_links(folder):
    (folder / "elsewhere").mkdir()
    with open_writer(folder / "out"):
        (folder / "out" / "ab").symlink_to(folder / "elsewhere")
    refused(folder, "ab: a link", *EXTRACT)


def test_removing_a_dataset_leaves_what_it_did_not_write(tmp_path):
    with open_writer(tmp_path / "set") as writer:
        (tmp_path / "set" / "notes.txt").write_bytes(WORK)
        writer.remove()
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["notes.txt"]


def test_a_saved_state_with_a_fifo_is_damaged_and_not_waited_for(tmp_path):
    place = tmp_path / "000000010"
    write_arrays(place, {"a": np.ones(3)}, "this")
    assert read_arrays(place, "this").keys() == {"a"}
    os.mkfifo(place / "state" / "more")
    with pytest.raises(UnfitError, match="damaged"):
        read_arrays(place, "this")
    (place / "digests.json").unlink()
    os.mkfifo(place / "digests.json")
    with pytest.raises(UnfitError, match="not a regular file"):
        read_arrays(place, "this")


@pytest.mark.parametrize("kind", ["features", "surveys", "encodes"])
def test_a_fifo_in_the_cache_is_a_damaged_entry_and_not_waited_for(kind, folder, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_CACHE", str(folder / "cache"))
    command = ["score", "ref.y4m", "dis.mp4"]
    if kind != "features":
        command = ["encode", "ref.y4m", "--target", "80", "--out", "out.mp4"]
    assert run_command(*command).code == 0
    (folder / "out.mp4").unlink(missing_ok=True)
    entries = [path for path in (folder / "cache" / kind).rglob("*") if path.is_file()]
    assert entries
    for entry in entries:
        entry.unlink()
        os.mkfifo(entry)
    refused(folder, f"cache/{kind}/.*: this cache entry is corrupted; delete it", *command)


def test_a_fifo_where_the_bundled_program_is_remembered_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.delenv("VMAF_JAX_FFMPEG", raising=False)
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path))
    found = find_ffmpeg()
    for entry in (tmp_path / "programs").iterdir():
        entry.unlink()
        os.mkfifo(entry)
    assert find_ffmpeg() == found


def test_files_are_made_and_not_written_through_links(tmp_path):
    (tmp_path / "out").symlink_to(tmp_path / "work.txt")
    with pytest.raises(InputError, match="a link to"):  # to nothing as well as to a file
        write_bytes(tmp_path / "out", b"x")
    assert not (tmp_path / "work.txt").exists()


def test_what_is_read_is_a_regular_file(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(InputError, match="not a regular file"):
        read_limited(tmp_path / "fifo", "X_BYTES", 10)
    (tmp_path / "grown").write_bytes(bytes(11))
    with pytest.raises(InputError, match="11 bytes, at most 10"):
        read_limited(tmp_path / "grown", "X_BYTES", 10)
