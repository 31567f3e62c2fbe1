"""Files that a caller may not name are refused, whatever they are called."""

import os
import shutil
import socket

import pyarrow
import pyarrow.parquet
import pydantic
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.serving.path_policy import (
    resolve_folder,
    resolve_model,
    resolve_output,
    resolve_video,
    resolve_videos,
)
from vmaf_jax.serving.requests import (
    TOOLS,
    CompareRequest,
    EvaluateRequest,
    ExportRequest,
    ExtractRequest,
    ImportRequest,
    LadderRequest,
    RankRequest,
    ScoreRequest,
    TrainRequest,
    WorstFramesRequest,
    parse_request,
)
from vmaf_jax.serving.settings import Settings, make_settings

Y4M = b"YUV4MPEG2 W16 H16 F25:1 C420\nFRAME\n" + bytes(384)


@pytest.fixture
def places(tmp_path):
    """An allowed folder with a video, and a secret beside it."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "a.y4m").write_bytes(Y4M)
    (tmp_path / "secret.y4m").write_bytes(Y4M)
    (tmp_path / "allowed-not").mkdir()
    (tmp_path / "allowed-not" / "a.y4m").write_bytes(Y4M)
    return Settings((allowed,), tmp_path / "out", max_bytes=1 << 30)


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
    (allowed / odd).write_bytes(Y4M)
    assert resolve_video(odd, places).name == odd


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


def test_what_is_written_stays_below_the_output_folder(places, tmp_path):
    assert resolve_output("mine/m.onnx", places) == places.out / "mine" / "m.onnx"
    places.out.mkdir()
    (places.out / "up").symlink_to(tmp_path)
    for name in ("", "..", "../x", "/etc/x", "a/../../x", "up/x", "up", ".hidden", "a b", "-x/y"):
        refused(name, places, resolve_output)


def test_every_path_of_every_request_is_checked(places):
    for kind, arguments in (
        (ScoreRequest, {"reference": "../secret.y4m", "distorted": "a.y4m"}),
        (ScoreRequest, {"reference": "a.y4m", "distorted": "../secret.y4m"}),
        (ScoreRequest, {"reference": "a.y4m", "distorted": "a.y4m", "model": "../m.onnx"}),
        (EvaluateRequest, {"model": "tiny", "features": "../t.parquet"}),
        (EvaluateRequest, {"model": "../m.json", "features": "a.y4m"}),
        (CompareRequest, {"models": ["tiny", "../m.json"], "features": "a.y4m"}),
        (TrainRequest, {"name": "x", "features": "../t.parquet"}),
        (TrainRequest, {"name": "../x"}),
        (TrainRequest, {"name": "x", "teacher": "../t.json"}),
        (TrainRequest, {"name": "x", "teacher": str(places.out.parent / "secret.json")}),
        (WorstFramesRequest, {"reference": "a.y4m", "distorted": "../secret.y4m"}),
        (RankRequest, {"reference": "..", "distorted": ["a.y4m"]}),
        (RankRequest, {"reference": "a.y4m", "distorted": ["a.y4m", "../allowed-not"]}),
        (RankRequest, {"reference": "a.y4m", "distorted": ["a.y4m"], "out": "../r.json"}),
        (ExtractRequest, {"corpus": "netflix", "data_root": "..", "out": "t.parquet"}),
        (ExtractRequest, {"manifest": "../list.csv", "out": "t.parquet"}),
        (ExtractRequest, {"corpus": "demo", "out": "../t.parquet"}),
        (ExtractRequest, {"corpus": "demo", "teacher": ["../t.json"], "out": "t.parquet"}),
        (ImportRequest, {"logs": "../list.csv", "out": "t.parquet"}),
        (ImportRequest, {"frames": "../f.csv", "clips": "a.y4m", "out": "t.parquet"}),
        (ImportRequest, {"frames": "a.y4m", "clips": "../c.csv", "out": "t.parquet"}),
        (ImportRequest, {"logs": "a.y4m", "ratings": "../r.csv", "out": "t.parquet"}),
        (ImportRequest, {"corpus": "avt_vqdb_uhd_1", "data_root": "../x", "out": "t.parquet"}),
        (
            ImportRequest,
            {"logs": "a.y4m", "teacher": ["vmaf_v0.6.1", "../t.json"], "out": "t.parquet"},
        ),
        (LadderRequest, {"table": "../t.csv"}),
        (LadderRequest, {"table": "a.y4m", "out": "../l.json"}),
        (ExportRequest, {"model": "../run", "out": "m.onnx"}),
        (ExportRequest, {"model": "tiny", "out": "../m.onnx"}),
    ):
        with pytest.raises(InputError, match=r"no such file below|not a name to write"):
            parse_request(kind, arguments, places)


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize(
    ("kind", "field", "name", "text"),
    [
        (ExtractRequest, "manifest", "list.csv", "reference,distorted,source\na.y4m,{},s\n"),
        (ExtractRequest, "manifest", "list.csv", "reference;distorted;source\n{};a.y4m;s\n"),
        (ExtractRequest, "manifest", "list.jsonl", '{{"distorted": "{}", "reference": "a.y4m"}}\n'),
        (
            *(ExtractRequest, "manifest", "list.py"),
            "ref_videos = [{{'content_id': 0, 'path': 'a.y4m'}}]\n"
            "dis_videos = [{{'content_id': 0, 'path': '{}', 'mos': 3}}]\n",
        ),
        (ImportRequest, "logs", "list.csv", "log,source\n{},s\n"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_files_that_a_list_names_are_checked_before_any_is_looked_at(
    places, tmp_path, kind, field, name, text, absent
):
    outside = tmp_path / ("absent.y4m" if absent else "secret.y4m")
    for place in (f"../{outside.name}", str(outside)):
        (places.allow[0] / name).write_text(text.format(place))
        request = parse_request(kind, {field: name, "out": "t.parquet"}, places)
        with pytest.raises(InputError, match="no such file below"):
            request.check_lists(places)
    (places.allow[0] / name).write_text(text.format("a.y4m"))
    parse_request(kind, {field: name, "out": "t.parquet"}, places).check_lists(places)


def test_a_name_in_bytes_is_refused(places, tmp_path):
    outside = str(tmp_path / "secret.y4m").encode()
    columns = {"reference": ["a.y4m"], "distorted": [outside], "source": ["s"]}
    pyarrow.parquet.write_table(pyarrow.table(columns), places.allow[0] / "list.parquet")
    arguments = {"manifest": "list.parquet", "out": "t.parquet"}
    request = parse_request(ExtractRequest, arguments, places)
    with pytest.raises(InputError, match="holds bytes"):
        request.check_lists(places)


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


WORDS = {  # are looked up, and never opened
    *("split", "label", "pix_fmt", "start", "stream", "anchor", "content"),
    *("features of extract", "features of import", "name of import"),
}


def accepts(kind, name, value, settings):
    """Whether a request takes a value for one of its fields, whatever the others are."""
    try:
        kind.model_validate({name: value}, context=settings)
    except pydantic.ValidationError as error:
        return name not in [entry["loc"][0] for entry in error.errors()]
    return True


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_a_text_of_a_request_is_a_path_that_is_checked_or_one_of_known_words(places, tool):
    """A field that somebody adds is in this list, or is checked, or takes no text."""
    for name in tool.input_schema["properties"]:
        known = bool({name, f"{name} of {tool.name}"} & WORDS)
        assert known or not accepts(tool.request, name, "../secret.y4m", places), name
        assert not accepts(tool.request, name, ["../secret.y4m"], places), name


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
