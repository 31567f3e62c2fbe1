"""What is written replaces what was there only when it is whole."""

from pathlib import Path

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.files import (
    atomic_path,
    check_output,
    check_result_folder,
    parse_yaml,
    read_yaml,
    work_folder,
    write_text,
    write_together,
)
from vmaf_jax.tables.dataset import check_dataset


def write_folder(path, content):
    with atomic_path(path) as temporary:
        temporary.mkdir()
        (temporary / "result").write_text(content)


def test_a_folder_replaces_an_earlier_one_whole(tmp_path):
    write_folder(tmp_path / "run", "first")
    (tmp_path / "run" / "more").write_text("of the first")
    write_folder(tmp_path / "run", "second")
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["result"]
    assert (tmp_path / "run" / "result").read_text() == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_earlier_folder_stays_where_its_successor_cannot_take_its_place(tmp_path, monkeypatch):
    """As on a disk that is full, or a network that goes, at that very moment."""
    write_folder(tmp_path / "run", "first")
    rename = Path.rename

    def no_room(self, target):
        if self.name.endswith(".tmp"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", no_room)
    with pytest.raises(InputError, match=r"run: cannot write \(No space left on device\)"):
        write_folder(tmp_path / "run", "second")
    assert (tmp_path / "run" / "result").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_an_error_while_writing_leaves_what_was_there(tmp_path):
    write_folder(tmp_path / "run", "first")
    nowhere = ValueError("no result")

    def fail(folder):
        folder.mkdir()
        raise nowhere

    with pytest.raises(ValueError, match="no result"), atomic_path(tmp_path / "run") as temporary:
        fail(temporary)
    assert (tmp_path / "run" / "result").read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("target", ["elsewhere", "absent"])
def test_a_result_folder_that_is_a_link_is_refused_before_the_work(tmp_path, target):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / target)
    for overwrite in (False, True):
        with pytest.raises(InputError, match=f"a link to .*{target}; name the file itself"):
            check_result_folder(tmp_path / "run", "metrics.json", overwrite=overwrite)
    check_dataset(tmp_path / "run")  # shards are added to it, and nothing is replaced


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: a\nx: 1\nname: b\n", "line 3: the key name occurs twice, first in line 1"),
        ("student:\n  k: 1\n  k: 2\n", "line 3: the key student.k occurs twice, first in line 2"),
        ("a: [{b: 1, b: 2}]\n", "line 1: the key a.b occurs twice, first in line 1"),
        ("'name': a\nname: b\n", "line 2: the key name occurs twice, first in line 1"),
        ("<<: {a: 1, a: 2}\n", "line 1: the key <<.a occurs twice"),
    ],
)
def test_a_key_that_occurs_twice_in_yaml_is_refused(tmp_path, text, told):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refusal:
        read_yaml(path)
    assert str(refusal.value).startswith(f"{path}: not valid YAML ({told}")
    assert "keep one" in str(refusal.value)


def test_keys_that_occur_once_in_each_mapping_are_read():
    text = "a: {k: 1}\nb: {k: 2}\nc: [{k: 3}, {k: 4}]\n<<: {a: 5, d: 6}\n"
    assert parse_yaml(text) == {"a": {"k": 1}, "b": {"k": 2}, "c": [{"k": 3}, {"k": 4}], "d": 6}
    assert parse_yaml("a: &x {k: 1}\n") == {"a": {"k": 1}}


def test_a_failed_write_leaves_no_folder_that_was_made_for_it(tmp_path):
    def fill(temporary):
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InputError), atomic_path(tmp_path / "a" / "b" / "c") as temporary:
        fill(temporary)
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_a_folder_names_the_place_that_was_asked_for(tmp_path):
    with pytest.raises(InputError) as failure, atomic_path(tmp_path / "run") as folder:
        write_text(folder / ("x" * 300), "")
    assert str(failure.value).startswith(f"{tmp_path / 'run' / 'xxx'}")
    assert ".tmp" not in str(failure.value)
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_of_temporary_files_is_named_by_its_variable():
    def fill(temporary):
        raise OSError(28, "No space left on device")

    with (
        work_folder() as work,
        pytest.raises(InputError, match=r"\(No space left on device\); .* TMPDIR"),
        atomic_path(work / "model.onnx") as temporary,
    ):
        fill(temporary)


def test_files_written_together_are_all_there_or_none(tmp_path):
    (tmp_path / "old").write_text("old")
    contents = {tmp_path / "new" / "first": b"1", tmp_path / "old": b"2"}
    with pytest.raises(InputError):
        write_together({**contents, tmp_path / ("x" * 300) / "third": b"3"})
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"
    write_together(contents)
    assert (tmp_path / "old").read_text() == "2"
    assert (tmp_path / "new" / "first").read_text() == "1"


def test_a_check_of_an_output_makes_nothing(tmp_path):
    check_output(tmp_path / "a" / "b.csv", ".csv")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for folder in ("x" * 300, "file", "file/under", f"new/{'x' * 300}"):
        with pytest.raises(InputError, match=r"File name too long|Not a dir|in the way"):
            check_output(tmp_path / folder / "b.csv", ".csv")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
