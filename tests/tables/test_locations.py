"""Datasets at addresses: on a filesystem in memory, and on this machine's."""

import json
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.support import run_command
from tests.tables.test_dataset import PARTS
from tests.tables.test_table import make_table
from vmaf_jax.errors import InputError
from vmaf_jax.runs.config import Config, load_config
from vmaf_jax.tables import read_table
from vmaf_jax.tables.dataset import map_table, shards_of
from vmaf_jax.tables.locations import locate, parse_place


@pytest.fixture
def folder(tmp_path):
    """A dataset of three shards on this machine, one of them deeper, with files that are none."""
    folder = tmp_path / "a set"
    for k, clips in enumerate(PARTS):
        make_table(clips, k).write(folder / ("deep/x" if k == 0 else "") / f"part-{k}.parquet")
    (folder / ".part-9.parquet").write_bytes(b"half")
    (folder / "_notes").mkdir()
    (folder / "_notes" / "part.parquet").write_bytes(b"none")
    (folder / "read.me").write_bytes(b"none")
    return folder


@pytest.fixture(params=["memory", "file"])
def address(request, folder):
    """The address of a copy of it, and what changes a file there."""
    if request.param == "file":
        yield folder.as_uri(), lambda name, content: (folder / name).write_bytes(content)
        return
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for path in folder.rglob("*"):
        if path.is_file():
            memory.pipe(f"/sets/a set/{path.relative_to(folder)}", path.read_bytes())
    yield "memory://sets/a set", lambda name, content: memory.pipe(f"/sets/a set/{name}", content)
    memory.rm("/sets", recursive=True)


def same(ours, expected):
    for name in ("corpus", "source", "clip", "index", "features"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(expected, name))
    assert ours.provenance == expected.provenance


@pytest.mark.parametrize("end", ["", "/"])
def test_a_dataset_at_an_address_is_the_dataset(folder, address, end):
    same(read_table(address[0] + end), read_table(folder))
    same(map_table(locate(address[0] + end)), read_table(folder))


def test_a_file_at_an_address_is_a_table(folder, address):
    same(read_table(f"{address[0]}/part-1.parquet"), read_table(folder / "part-1.parquet"))


def test_shards_are_named_by_their_address(address):
    names = [str(shard) for shard in shards_of(locate(address[0]))]
    assert names == [
        f"{address[0]}/{k}" for k in ("deep/x/part-0", "part-1", "part-2") for k in [f"{k}.parquet"]
    ]


def test_what_is_not_complete_is_refused(address):
    where, change = address
    change("_dataset.json", json.dumps({"complete": False}).encode())
    with pytest.raises(InputError, match="not complete, clips are missing"):
        read_table(where)
    change("_dataset.json", json.dumps({"complete": True, "shards": 4}).encode())
    with pytest.raises(InputError, match="holds 3 shards of 4"):
        read_table(where)
    change("_dataset.json", b"{")
    with pytest.raises(InputError, match=r"a.*set/_dataset.json: damaged"):
        read_table(where)
    change("_dataset.json", json.dumps({"complete": True, "shards": 3}).encode())
    assert read_table(where).sources == ["a", "b", "c"]


@pytest.mark.parametrize("read", [read_table, lambda where: map_table(locate(where))])
def test_a_shard_that_does_not_belong_is_named_by_its_address(folder, address, read):
    where, change = address
    sound = (folder / "part-1.parquet").read_bytes()
    column = pq.read_metadata(folder / "part-1.parquet").row_group(0).column(5)
    for cut in (0, 10, len(sound) // 2, len(sound) - 1):
        change("part-1.parquet", sound[:cut])
        with pytest.raises(InputError, match=r"://.*/part-1.parquet: not a readable Parquet file"):
            read(where)
    damaged = bytearray(sound)
    damaged[column.data_page_offset + column.total_compressed_size - 1] ^= 1
    change("part-1.parquet", bytes(damaged))
    with pytest.raises(InputError, match=r"://.*/part-1.parquet: not a readable Parquet file"):
        read(where)
    read_table(folder / "part-2.parquet").mean_pool().write(folder / "pooled.parquet")
    change("part-1.parquet", (folder / "pooled.parquet").read_bytes())
    (folder / "pooled.parquet").unlink()
    with pytest.raises(InputError, match=r"/part-1.parquet: of another schema than .*://.*part-0"):
        read(where)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("nonesuch://x/y", "^nonesuch://x/y: unknown scheme 'nonesuch'; expected one of fsspec"),
        ("memory://none/such", "^memory://none/such: no such folder of shards, or table"),
        ("file:///none/such", "^file:///none/such: no such folder of shards, or table"),
        ("file://host/such", "^file://host/such: no such folder of shards, or table"),
        ("s3://key:pass@bucket/x", r"^s3://\.\.\.: an address with credentials in it"),
        ("s3://key:pa/ss@bucket/x", r"^s3://\.\.\.: an address with credentials in it"),
        ("https://host/x?X-Amz-Signature=pass", r"^https://\.\.\.: an address with credentials"),
        ("s3://bucket/x?secret_key=pass", r"^s3://\.\.\.: an address with credentials in it"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_in_one_line(place, line):
    pytest.importorskip("fsspec")
    with pytest.raises(InputError, match=line) as refused:
        read_table(place)
    assert "pass" not in str(refused.value)
    ended = run_command("evaluate", "--model", "rbf", "--features", place)
    assert (ended.code, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    setting = ("--set", f"data.features={place}", "--set", "external=[]")
    ended = run_command("train", "--config", "configs/nano.yaml", *setting, "--run-dir", "never")
    assert (ended.code, ended.stdout) == (2, "")
    assert "pass" not in ended.stderr


@pytest.mark.parametrize(
    "place", ["s3://bucket/x?region=us-east-1", "hdfs://user@host:8020/x", "sftp://user@host/x"]
)
def test_addresses_are_kept_as_they_are(place):
    assert parse_place(place) == place


def test_a_package_that_is_missing_is_named(monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setitem(sys.modules, "dropboxdrivefs", None)
    with pytest.raises(InputError, match=r"dropbox:// takes .* pip install dropboxdrivefs"):
        read_table("dropbox://x/y")
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(InputError, match=r"memory:// takes .* pip install fsspec"):
        read_table("memory://x/y")


def test_commands_take_an_address(folder, address, tmp_path):
    ended = [
        run_command("evaluate", "--model", "rbf", "--features", place, "--json")
        for place in (folder, address[0])
    ]
    assert [end.code for end in ended] == [0, 0], ended[1].stderr
    assert ended[0].stdout == ended[1].stdout


def test_a_configuration_keeps_the_address(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\ndata: {features: 's3://bucket/set'}\n")
    config = load_config(path)
    assert config.data.features == "s3://bucket/set"
    assert "features: s3://bucket/set\n" in config.to_yaml()
    assert load_config(path, ["data.features=a/b.parquet"]).data.features.name == "b.parquet"
    of_paths = Config(name="x", data={"features": tmp_path})
    assert Config(name="x", data={"features": str(tmp_path)}).digest() == of_paths.digest()
    with pytest.raises(InputError, match=r"data\.features is 3: .*expected a path"):
        load_config(path, ["data.features=3"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("import", "--logs", "logs.csv", "--label-scale", "1", "5", "--out", "s3://bucket/set"),
        ("extract", "--corpus", "demo", "--out", "s3://bucket/set.parquet"),
        ("extract", "--corpus", "demo", "--out", "file:///tmp/set"),
        ("train", "--config", "configs/nano.yaml", "--run-dir", "memory://run"),
    ],
)
def test_results_are_not_written_to_an_address(arguments, tmp_path, monkeypatch):
    (tmp_path / "configs").symlink_to(Path("configs").absolute())
    (tmp_path / "logs.csv").write_text("log,source,clip,mos\n")
    monkeypatch.chdir(tmp_path)
    ended = run_command(*arguments)
    assert (ended.code, ended.stdout) == (2, ""), ended.stderr
    assert "an address; results are written to this machine" in ended.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["configs", "logs.csv"]
