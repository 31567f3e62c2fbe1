"""Tables as folders of shards: read as one, checked shard by shard, written by one at a time."""

import dataclasses

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from tests.tables.test_table import make_table
from vmaf_jax.errors import InputError
from vmaf_jax.tables import concatenate, read_table
from vmaf_jax.tables.dataset import open_writer, shard_path

PARTS = ((("a", "a1", 3), ("a", "a2", 2)), (("b", "b1", 4),), (("c", "c1", 5),))


@pytest.fixture
def tables():
    tables = [make_table(clips, seed) for seed, clips in enumerate(PARTS)]
    return [
        dataclasses.replace(table, provenance={**table.provenance, "inputs": {f"i{k}": f"{k}0"}})
        for k, table in enumerate(tables)
    ]


@pytest.fixture
def folder(tables, tmp_path):
    for k, table in enumerate(tables):
        table.write(tmp_path / "set" / f"part-{k}.parquet")
    return tmp_path / "set"


def test_shards_are_one_table(folder, tables):
    (folder / ".part-9.parquet.1-a.tmp").write_bytes(b"half")
    (folder / "_notes.parquet").write_bytes(b"none")
    table, expected = read_table(folder), concatenate(tables)
    np.testing.assert_array_equal(table.features, expected.features)
    assert table.clip.tolist() == expected.clip.tolist()
    assert table.provenance == expected.provenance
    assert table.provenance["inputs"] == {"i0": "00", "i1": "10", "i2": "20"}


def test_commands_read_a_folder(folder, tmp_path):
    concatenate([read_table(folder)]).write(tmp_path / "one.parquet")
    runs = [
        run_command("evaluate", "--model", "rbf", "--features", path, "--json")
        for path in (folder, tmp_path / "one.parquet")
    ]
    assert [run.code for run in runs] == [0, 0]
    assert runs[0].stdout == runs[1].stdout


def _truncated(folder):
    path = folder / "part-1.parquet"
    path.write_bytes(path.read_bytes()[:-40])


def _without_a_column(folder):
    path = folder / "part-1.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["vmaf_v0.6.1"]), path)


def _with_a_column_twice(folder):
    table = pq.read_table(folder / "part-1.parquet")
    names = ["vif_scale1" if name == "vif_scale0" else name for name in table.column_names]
    pq.write_table(table.rename_columns(names), folder / "part-1.parquet")


def _pooled(folder):
    read_table(folder / "part-1.parquet").mean_pool().write(folder / "part-1.parquet")


def _by_another_backend(folder):
    table = read_table(folder / "part-1.parquet")
    provenance = {**table.provenance, "backend_version": "y"}
    dataclasses.replace(table, provenance=provenance).write(folder / "part-1.parquet")


def _with_inputs_in_a_list(folder):
    table = read_table(folder / "part-1.parquet")
    dataclasses.replace(table, provenance={"inputs": [1]}).write(folder / "part-1.parquet")


def _of_a_clip_again(folder):
    make_table(PARTS[0][1:]).write(folder / "part-1.parquet")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (_truncated, r"part-1.parquet: not a readable Parquet file"),
        (_without_a_column, r"part-1.parquet: column 'vmaf_v0.6.1' is missing"),
        (_with_a_column_twice, r"part-1.parquet: column 'vif_scale1' occurs more than once"),
        (_pooled, r"part-1.parquet: of another schema than .*part-0.parquet: n_frames is True"),
        (_by_another_backend, r"part-1.parquet: of another schema .* metadata is .*'y'"),
        (_with_inputs_in_a_list, r"part-1.parquet: not a vmaf-jax feature table \(its metadata"),
        (_of_a_clip_again, r"part-1.parquet: holds the clip 'a2', as .*part-0.parquet does"),
    ],
)
def test_a_shard_that_does_not_belong_is_named_in_one_line(folder, change, line):
    change(folder)
    with pytest.raises(InputError, match=line):
        read_table(folder)
    ended = run_command("evaluate", "--model", "rbf", "--features", folder)
    assert ended.code == 2
    assert ended.stderr.count("\n") == 1


def test_too_many_rows_and_no_shards(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_MAX_ROWS", "13")
    with pytest.raises(InputError, match=r"14 rows, at most 13 .* data\.buffer_rows"):
        read_table(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no shard"):
        read_table(tmp_path / "empty")


def test_a_dataset_says_whether_it_is_complete(tables, tmp_path):
    folder = tmp_path / "set"
    paths = [shard_path(folder, digest) for digest in ("ab01", "ab02", "cd03")]
    with open_writer(folder):
        tables[0].write(paths[0])  # and no more: killed here
    with pytest.raises(InputError, match="not complete, clips are missing"):
        read_table(folder)
    with open_writer(folder) as writer:
        for path, table in zip(paths, tables, strict=True):
            table.write(path)
        writer.finish(paths[:2])
    assert read_table(folder).sources == ["a", "b"]  # the shard of no clip is gone
    paths[1].unlink()
    with pytest.raises(InputError, match="holds 1 shard of 2"):
        read_table(folder)


def test_a_second_writer_and_a_folder_of_other_things_are_refused(tmp_path):
    with (
        open_writer(tmp_path / "set"),
        pytest.raises(InputError, match="another program writes into this dataset"),
        open_writer(tmp_path / "set"),
    ):
        pass
    with open_writer(tmp_path / "set"):
        pass
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("")
    with pytest.raises(InputError, match="holds other things"), open_writer(tmp_path / "other"):
        pass


@pytest.mark.parametrize("place", ["part-9.parquet", "ab/ab99.parquet", "cd/more/x.parquet"])
def test_a_foreign_shard_in_a_finished_dataset_is_refused(tables, tmp_path, place):
    folder = tmp_path / "set"
    own = shard_path(folder, "ab01")
    with open_writer(folder) as writer:
        tables[0].write(own)
        writer.finish([own])
    assert read_table(folder).sources == ["a"]
    tables[1].write(folder / place)
    with pytest.raises(InputError, match=r"holds 2 shards of 1; run the command that writes it"):
        read_table(folder)
