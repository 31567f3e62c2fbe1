"""Files that a caller may not name are refused, whatever they are called."""

import os
import shutil
import socket

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.serving.path_policy import (
    Settings,
    make_settings,
    resolve_file,
    resolve_folder,
    resolve_model,
    resolve_output,
    resolve_teacher,
    resolve_video,
    resolve_videos,
)


def refused(text, settings, kind=resolve_video):
    with pytest.raises(InputError) as error:
        kind(text, settings)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    return str(error.value)


def test_what_lies_below_is_read_by_either_name(places):
    (allowed,) = places.allow
    assert resolve_video("a.y4m", places) == resolve_video(str(allowed / "a.y4m"), places)
    odd = "a b;$(rm -rf)'\"%d|concat:x.y4m"
    (allowed / odd).write_bytes((allowed / "a.y4m").read_bytes())
    assert resolve_video(odd, places).name == odd


def test_what_a_tool_wrote_is_read_by_the_name_it_was_given(places):
    (allowed,) = places.allow
    (places.out / "sub").mkdir(parents=True)
    for name in ("sub/table.parquet", "a.y4m"):
        (places.out / name).write_bytes((allowed / "a.y4m").read_bytes())
    assert resolve_file("sub/table.parquet", places) == places.out / "sub" / "table.parquet"
    assert resolve_video("a.y4m", places) == allowed / "a.y4m"  # inputs come first
    assert "no such file" in refused("../secret.y4m", places)


def test_what_no_tool_wrote_is_looked_for_below_the_first_folder_alone(places, tmp_path):
    (allowed,) = places.allow
    inner = Settings((allowed,), allowed / "runs" / "mcp")
    inner.out.mkdir(parents=True)
    shutil.copyfile(allowed / "a.y4m", allowed / "runs" / "b.y4m")
    (inner.out / "link.y4m").symlink_to(allowed / "runs" / "b.y4m")
    for name in ("../b.y4m", "..", ".", "../../runs/b.y4m", "link.y4m"):
        assert "no such file" in refused(name, inner)
        assert "no such file" in refused(name, inner, resolve_file)
    assert resolve_video("runs/b.y4m", inner) == allowed / "runs" / "b.y4m"


def test_a_run_is_read_by_the_word_it_was_given_but_for_names_of_models(places):
    for name in ("mine", "tiny", "vmaf_v0.6.1", "auto"):
        shutil.copytree("checkpoints/nano", places.out / name)
    assert resolve_model("mine", places) == str(places.out / "mine")
    for name in ("tiny", "vmaf_v0.6.1", "auto", "none_such"):
        assert resolve_model(name, places) == name
    assert resolve_teacher("mine", places) == "mine"  # a column of the table
    (places.out / "mine" / "extra").symlink_to("/etc")
    assert "leads elsewhere" in refused("mine", places, resolve_model)


@pytest.mark.parametrize(
    "text",
    [
        "../secret.y4m",
        "./../allowed-not/a.y4m",
        "sub/../../secret.y4m",
        "A.Y4M",
        "absent.y4m",
        "/etc/passwd",
        "~/secret.y4m",
        ".",
        "http://127.0.0.1/a.y4m",
        "file:///etc/passwd",
        "file:a.y4m",
        "concat:a.y4m|a.y4m",
        "subfile,,start,0,end,9,,:a.y4m",
        "data:text/plain,x",
        "pipe:0",
        "a.y4m\0.txt",
        "a\n.y4m",
        "",
        "x" * 5000,
        "\ud800.y4m",
        "a/" * 2000 + "a.y4m",
    ],
)
def test_other_names_are_refused(places, text):
    message = refused(text, places)
    assert "secret" not in message or "secret" in text


def test_a_refusal_does_not_tell_whether_a_file_outside_exists(places):
    existing, absent = (refused(name, places) for name in ("../secret.y4m", "../absent.y4m"))
    assert existing.replace("secret", "absent") == absent


def test_links_are_followed_before_they_are_judged(places, tmp_path):
    (allowed,) = places.allow
    (allowed / "inside.y4m").symlink_to(allowed / "a.y4m")
    (allowed / "outside.y4m").symlink_to(tmp_path / "secret.y4m")
    (allowed / "up").symlink_to(tmp_path)
    (allowed / "loop").symlink_to(allowed / "loop")
    assert resolve_video("inside.y4m", places) == allowed / "a.y4m"
    for name in ("outside.y4m", "up/secret.y4m", "loop", "loop/x"):
        refused(name, places)


def test_names_that_messages_cannot_carry_are_refused(places):
    (allowed,) = places.allow
    folder = allowed / os.fsdecode(b"f\xe9")
    folder.mkdir()
    shutil.copy(allowed / "a.y4m", allowed / os.fsdecode(b"x\xe9.y4m"))
    (allowed / "plain").symlink_to(folder)
    for name in ("plain", "."):  # a folder, and one that holds a video
        with pytest.raises(InputError, match="leads to a name that is no UTF-8; rename it"):
            resolve_videos(name, places)


def test_only_regular_files_of_sane_size_are_read(places, monkeypatch):
    (allowed,) = places.allow
    (allowed / "folder.y4m").mkdir()
    os.mkfifo(allowed / "pipe.y4m")
    monkeypatch.chdir(allowed)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as unix, (allowed / "huge.yuv").open("wb") as huge:
        unix.bind("socket.y4m")
        huge.truncate(100 << 30)
    for name in ("folder.y4m", "pipe.y4m", "socket.y4m"):
        assert "not a regular file" in refused(name, places)
    assert "107374182400 bytes" in refused("huge.yuv", places)
    device = Settings((places.allow[0].parents[-1] / "dev",), places.out)
    assert "not a regular file" in refused("/dev/zero", device)


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n",
        b"#EXTM3U\n#EXT-X-VERSION:3\n\0\x80\xff binary after",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n\0",
        b"\x80\x80<?xml?><MPD profiles='dash'>\0",
        b"\xef\xbb\xbf#EXTM3U\n\xff\0",
        b"# VobSub index file, v7\n\0",
        b"just a text that somebody called a video\n",
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8", "list"])
def test_files_that_name_others_are_refused(places, name, content):
    (places.allow[0] / name).write_bytes(content)
    assert "playlist" in refused(name, places)


def test_real_videos_are_no_playlists(encodes):
    settings = Settings((encodes.resolve(),), encodes / "out")
    for name in ("ref.y4m", "ref.yuv", "dis.mp4", "deep.mkv", "small.mp4"):
        assert resolve_video(name, settings).name == name


def test_models_are_names_or_lie_below(places, tmp_path):
    for name in ("tiny", "vmaf_v0.6.1", "none_such"):
        assert resolve_model(name, places) == name
    for name in ("../tiny", "/etc", "/etc/x.onnx", "model.onnx", "runs/none", "a" * 300 + ".json"):
        refused(name, places, resolve_model)
    run = places.allow[0] / "run"
    shutil.copytree("checkpoints/nano", run)
    assert resolve_model("./run", places) == str(run)
    config = (run / "config.yaml").read_text()
    secret = "teacher: " + str(tmp_path / "secret.json")
    (run / "config.yaml").write_text(config.replace("teacher: vmaf_v0.6.1", secret))
    assert "no such file below" in refused("./run", places, resolve_model)
    (run / "config.yaml").write_text(config)
    (run / "extra").symlink_to("/etc")
    assert "leads elsewhere" in refused("./run", places, resolve_model)


@pytest.mark.parametrize("name", ["m.json", "m.parity.json", "folds.parquet", "external_a.parquet"])
def test_a_link_beside_a_model_file_tells_nothing_of_what_is_outside(name, places, tmp_path):
    (allowed,) = places.allow
    (allowed / "m.onnx").write_bytes(b"x")
    (tmp_path / "there").write_text("{}")
    said = []
    for target in ("there", "absent"):
        (allowed / name).symlink_to(tmp_path / target)
        said.append(refused("m.onnx", places, resolve_model))
        (allowed / name).unlink()
    assert said[0] == said[1]
    assert f"comes with {name}, which leads elsewhere" in said[0]
    (allowed / name).symlink_to(allowed / "m.onnx")
    assert resolve_model("m.onnx", places) == str(allowed / "m.onnx")


def test_what_is_written_stays_below_the_output_folder(places, tmp_path):
    assert resolve_output("mine/m.onnx", places) == places.out / "mine" / "m.onnx"
    places.out.mkdir()
    (places.out / "up").symlink_to(tmp_path)
    for name in ("", "..", "../x", "/etc/x", "a/../../x", "up/x", "up", ".hidden", "a b", "-x/y"):
        refused(name, places, resolve_output)


def test_a_folder_is_read_where_nothing_leads_out_of_it(places, tmp_path):
    (allowed,) = places.allow
    assert resolve_folder(".", places) == resolve_videos(str(allowed), places) == allowed
    assert "not a folder" in refused("a.y4m", places, resolve_folder)
    (allowed / "out.y4m").symlink_to(tmp_path / "secret.y4m")
    assert "leads elsewhere" in refused(".", places, resolve_folder)
    assert "no such file below" in refused(".", places, resolve_videos)
    (allowed / "out.y4m").unlink()
    (allowed / "list.mp4").write_text("#EXTM3U\n/etc/passwd\n")
    assert "playlist" in refused(".", places, resolve_videos)


def test_folders_come_from_flags_then_the_environment_then_here(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("VMAF_JAX_MCP_ALLOW", f"{tmp_path}{os.pathsep}{tmp_path / 'b'}")
    assert make_settings(None, None, None).allow == (tmp_path, tmp_path / "b")
    assert make_settings([tmp_path / "b"], None, None).allow == (tmp_path / "b",)
    monkeypatch.setenv("VMAF_JAX_MCP_ALLOW", str(tmp_path / "absent"))
    with pytest.raises(InputError, match="no such folder"):
        make_settings(None, None, None)
    monkeypatch.delenv("VMAF_JAX_MCP_ALLOW")
    monkeypatch.chdir(tmp_path / "b")
    assert make_settings(None, None, None).allow == (tmp_path / "b",)
