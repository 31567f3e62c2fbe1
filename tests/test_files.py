"""What is written replaces what was there only when it is whole."""

from pathlib import Path

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.files import atomic_path, check_result_folder
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
