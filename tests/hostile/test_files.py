"""Inputs that are no videos, outputs that would destroy something, and inputs without an end."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.hostile.support import refused
from tests.support import ROOT, run_command
from vmaf_jax.errors import InputError
from vmaf_jax.export.contract import load_onnx
from vmaf_jax.runs.config import load_config
from vmaf_jax.video.inputs import Video, check_video


@pytest.fixture
def folder(encodes, tmp_path, monkeypatch):
    for name in ("ref.y4m", "dis.mp4"):
        shutil.copy(encodes / name, tmp_path)
    (tmp_path / "clips.csv").write_text("reference,distorted,source\nref.y4m,dis.mp4,s\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "empty.onnx").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


POINTERS = {
    "list.m3u8": b"#EXTM3U\n#EXTINF:1,\ndis.mp4\n#EXT-X-ENDLIST\n",
    "endless.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\ndis.mp4\n",
    "renamed.mp4": b"#EXTM3U\n#EXTINF:1,\ndis.mp4\n#EXT-X-ENDLIST\n",
    "with_bom.mp4": b"\xef\xbb\xbf#EXTM3U\n#EXTINF:1,\ndis.mp4\n",
    "spaced.mp4": b"\n\n  #EXTM3U\n#EXTINF:1,\ndis.mp4\n",
    "list.ffconcat": b"ffconcat version 1.0\nfile dis.mp4\n",
    "concat.mp4": b"ffconcat version 1.0\nfile dis.mp4\n",
    "manifest.mpd": b'<?xml version="1.0"?><MPD></MPD>',
    "bare.mp4": b"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
    "session.sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\n",
    "list.pls": b"[playlist]\nFile1=dis.mp4\n",
}


@pytest.mark.parametrize("place", ["reference", "distorted"])
@pytest.mark.parametrize("name", POINTERS)
def test_a_list_of_other_files_is_refused(name, place, folder):
    (folder / name).write_bytes(POINTERS[name])
    pair = (name, "ref.y4m") if place == "reference" else ("ref.y4m", name)
    refused(folder, f"{name}: a playlist of other files", "score", *pair)


NO_VIDEO = {
    "missing": ("nope.mp4", "no such file"),
    "a folder": ("sub", "a folder"),
    "a device": ("/dev/zero", "not a readable file"),
    "standard input": ("/dev/stdin", "not a readable file|no such file|empty"),
    "a long name": ("x" * 300 + ".mp4", "cannot be opened"),
    "a long path": ("/".join(["x" * 200] * 30), "cannot be opened"),
    "a pattern": ("%03d.png", "no such file"),
    "a glob": ("*.mp4", "no such file"),
    "a protocol": ("http://127.0.0.1:9/a.mp4", "no such file"),
    "concat:": ("concat:ref.y4m|ref.y4m", "no such file"),
    "pipe:": ("pipe:0", "no such file"),
    "lavfi": ("testsrc=duration=1", "no such file"),
    "raw without a size": ("a.yuv", "does not say its size"),
    "empty": ("empty.mp4", "empty file"),
    "a fifo": ("fifo.mp4", "not a readable file"),
    "a link to nothing": ("link.mp4", "no such file"),
    "a link in a circle": ("loop.mp4", "cannot be opened|no such file"),
}


@pytest.mark.parametrize("case", NO_VIDEO)
def test_what_is_no_video_is_refused(case, folder):
    name, message = NO_VIDEO[case]
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "a.yuv").write_bytes(b"\0" * 100)
    (folder / "link.mp4").symlink_to("nowhere")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    os.mkfifo(folder / "fifo.mp4")
    refused(folder, message, "score", "ref.y4m", name)


def test_a_percent_sign_in_a_name_is_no_pattern(ffmpeg, folder):
    line = Video(Path("%03d.png")).arguments()
    assert line[:4] == ["-f", "image2", "-pattern_type", "none"]
    assert Video(Path("a%d.mp4")).arguments()[0] == "-protocol_whitelist"
    assert check_video(Video(folder / "ref.y4m")) is None


OUTPUTS = {
    "a reference as csv": (["score", "ref.y4m", "dis.mp4", "--csv", "ref.y4m"], "is the input"),
    "a reference as plot": (["score", "ref.y4m", "dis.mp4", "--plot", "./ref.y4m"], "is the input"),
    "the distorted as csv": (["score", "ref.y4m", "dis.mp4", "--csv", "dis.mp4"], "is the input"),
    "a hard link to it": (["score", "ref.y4m", "dis.mp4", "--csv", "hard.csv"], "is the input"),
    "a link to it": (["score", "ref.y4m", "dis.mp4", "--csv", "link.csv"], "is the input"),
    "a link elsewhere": (["score", "ref.y4m", "dis.mp4", "--csv", "other.csv"], "a link to"),
    "a device as csv": (["score", "ref.y4m", "dis.mp4", "--csv", "/dev/null"], "no regular file"),
    "a fifo as csv": (["score", "ref.y4m", "dis.mp4", "--csv", "fifo.csv"], "no regular file"),
    "a folder as csv": (["score", "ref.y4m", "dis.mp4", "--csv", "sub"], "must end in .csv"),
    "one file twice": (
        ["score", "ref.y4m", "dis.mp4", "--csv", "o.csv", "--plot", "o.csv"],
        "must end in .png",
    ),
    "csv of another kind": (["score", "ref.y4m", "dis.mp4", "--csv", "o.txt"], "must end in .csv"),
    "the manifest": (
        ["extract", "--corpus", "manifest", "--manifest", "clips.csv", "--out", "clips.csv"],
        "is the input",
    ),
    "a device": (
        ["extract", "--corpus", "manifest", "--manifest", "clips.csv", "--out", "/dev/null"],
        "no regular file",
    ),
    "json": (
        ["extract", "--corpus", "manifest", "--manifest", "clips.csv", "--out", "mos.json"],
        "must end in .parquet",
    ),
    "a folder of other things": (
        ["extract", "--corpus", "manifest", "--manifest", "clips.csv", "--out", "."],
        "holds other things",
    ),
    "below a file": (
        [
            "extract",
            "--corpus",
            "manifest",
            "--manifest",
            "clips.csv",
            "--out",
            "dis.mp4/o.parquet",
        ],
        "cannot",
    ),
    "a very long name": (
        ["extract", "--corpus", "demo", "--out", "x" * 300 + ".parquet"],
        "cannot be looked at|cannot write",
    ),
    "an exported device": (["export", "--model", "nano", "--out", "/dev/null"], "must end|regular"),
    "an export onto its model": (
        ["export", "--model", "m.json", "--format", "libvmaf", "--out", "m.json"],
        "is the input",
    ),
}


@pytest.mark.parametrize("case", OUTPUTS)
def test_an_output_never_replaces_what_it_must_not(case, folder):
    arguments, message = OUTPUTS[case]
    os.link(folder / "ref.y4m", folder / "hard.csv")
    (folder / "link.csv").symlink_to("dis.mp4")
    (folder / "other.csv").symlink_to("clips.csv")
    (folder / "m.json").write_text("{}")
    os.mkfifo(folder / "fifo.csv")
    refused(folder, message, *arguments)
    assert Path("/dev/null").is_char_device()


YAML = {
    "nested aliases": "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n",
    "one alias": "name: &n tiny\ndata: *n\n",
    "a merge": "a: &a {b: 1}\nc: {<<: *a}\n",
    "deep": "[" * 20_000,
    "a date beyond range": "name: 2026-99-99\n",
    "a time beyond range": "name: 9999-12-31 23:59:59 -23:59\n",
    "a Python object": "name: !!python/object/apply:os.system [ls]\n",
    "a tag": "name: !mine 5\n",
    "a list": "[1, 2]",
    "empty": "",
    "a tab": "\tname: x",
    "two documents": "name: a\n---\nname: b\n",
    "an unknown key": "name: a\nmodle: b\n",
    "a name with a slash": "name: ../a\n",
    "name missing": "data: {}\n",
    "a name true": "name: true\n",
    "steps below 1": "name: a\ntraining: {steps: 0}\n",
    "a batch beyond memory": "name: a\ntraining: {batch_size: 99999999999}\n",
    "a rate NaN": "name: a\ntraining: {learning_rate: .nan}\n",
    "an infinite sigma": "name: a\ntraining: {sigma: .inf}\n",
    "no such network": "name: a\nstudent: {network: huge}\n",
}


@pytest.mark.parametrize("case", YAML)
def test_a_wrong_configuration_is_refused(case, folder):
    path = folder / "c.yaml"
    path.write_text(YAML[case])
    with pytest.raises(InputError) as refusal:
        load_config(path)
    assert str(refusal.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "override",
    ["a", "=", "a=[", "data.features=*x", "name.x=1", "a=2026-99-99", "sweep={a: [1], a: [2]}"],
)
def test_a_wrong_override_is_refused(override, folder):
    with pytest.raises(InputError):
        load_config(ROOT / "configs/tiny.yaml", [override])


def test_inputs_without_an_end_are_told_before_they_are_read(folder, monkeypatch):
    os.mkfifo(folder / "fifo.yaml")
    for path in (Path("/dev/zero"), folder / "fifo.yaml", folder):
        with pytest.raises(InputError, match="not a regular file"):
            load_config(path)
    sparse = folder / "sparse.json"
    with sparse.open("wb") as file:
        file.truncate(12 << 30)
    refused(folder, "VMAF_JAX_MAX_MODEL_BYTES", "score", "ref.y4m", "dis.mp4", "--teacher", sparse)
    refused(folder, "VMAF_JAX_MAX_MODEL_BYTES", "score", "ref.y4m", "dis.mp4", "--model", sparse)
    shutil.copy(ROOT / "checkpoints/nano/model.onnx", folder / "m.onnx")
    sparse.rename(folder / "m.json")
    refused(
        folder, "VMAF_JAX_MAX_SIDECAR_BYTES", "score", "ref.y4m", "dis.mp4", "--model", "m.onnx"
    )


def graph_with(*nodes, initializers=()):
    model = onnx.load(ROOT / "checkpoints/nano/model.onnx")
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(initializers)
    return model.SerializeToString()


def ints(name, *values):
    return onnx.numpy_helper.from_array(np.array(values, np.int64), name)


def one_node(kind, *inputs, initializers, **attributes):
    node = onnx.helper.make_node(kind, list(inputs), ["big"], **attributes)
    return graph_with(node, initializers=initializers)


ONNX = {
    "ConstantOfShape": one_node("ConstantOfShape", "s", initializers=[ints("s", 10**9)]),
    "ConstantOfShape, 2-D": one_node(
        "ConstantOfShape", "s", initializers=[ints("s", 40000, 40000)]
    ),
    "Expand": one_node("Expand", "features", "s", initializers=[ints("s", 10**8, 1, 6)]),
    "Pad": one_node("Pad", "features", "s", initializers=[ints("s", 0, 0, 10**9, 0)]),
    "many nodes": graph_with(
        *(onnx.helper.make_node("Identity", ["features"], [f"i{k}"]) for k in range(20_001))
    ),
    "doubling": graph_with(
        *(
            onnx.helper.make_node(
                "Concat", [f"d{k}" if k else "features"] * 2, [f"d{k + 1}"], axis=0
            )
            for k in range(30)
        )
    ),
    "not ONNX": b"not onnx",
    "empty": b"",
    "cut": (ROOT / "checkpoints/nano/model.onnx").read_bytes()[:-900],
}


@pytest.mark.parametrize("case", ONNX)
def test_a_graph_that_grows_is_refused(case, folder):
    path = folder / "m.onnx"
    path.write_bytes(ONNX[case])
    with pytest.raises(InputError) as refusal:
        load_onnx(path)
    assert str(refusal.value).startswith(f"{path}: ")


@pytest.mark.parametrize("name", ["tiny", "nano", "rbf"])
def test_a_shipped_name_wins_over_a_folder(name, folder):
    from vmaf_jax.runs.locate import checkpoints, find_run

    (folder / name).mkdir()
    assert find_run(name) == checkpoints() / name
    assert find_run(f"./{name}") == Path(name)


COMMANDS = {
    "an unknown command": (["scoer"], "No such command"),
    "an unknown flag": (["score", "a", "b", "--modle", "x"], "No such option"),
    "no arguments": (["score"], "Missing argument"),
    "a wrong number": (["score", "a", "b", "--width", "wide"], "parse string as an integer"),
    "an offset in words": (["score", "a", "b", "--offset", "late"], "parse string as an integer"),
}


@pytest.mark.parametrize("case", COMMANDS)
def test_a_mistyped_command_ends_with_two(case, folder):
    arguments, message = COMMANDS[case]
    result = run_command(*arguments)
    assert result.code == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


LINES = {
    "another scale": (["--scale", "zoom"], "expected stretch or pad or crop"),
    "another fps": (["--fps", "30"], "expected match"),
    "another sync": (["--sync", "on"], "expected auto"),
    "sync and offset": (["--sync", "auto", "--offset", "3"], "drop one of them"),
    "an offset beyond": (["--offset", "1000000"], "at most 100000 frames"),
    "a size for no raw": (["--width", "5"], "are for raw"),
    "no such model": (["--model", "nope"], "no run folder"),
    "an empty model": (["--model", "empty.onnx"], "empty.onnx: empty file"),
    "no such backend": (["--backend", "gpu"], "expected one of libvmaf, jax, onnx"),
    "no such teacher": (["--teacher", "vmaf_v9"], "cannot load it"),
    "a teacher's path": (["--teacher", "../x"], "letters, digits"),
    "another model's teacher": (
        ["--backend", "jax", "--teacher", "vmaf_v0.6.1neg"],
        "--backend libvmaf",
    ),
}


@pytest.mark.parametrize("case", LINES)
def test_a_wrong_flag_is_told_with_its_mend(case, folder):
    arguments, message = LINES[case]
    line = refused(folder, message, "score", "ref.y4m", "dis.mp4", *arguments)
    assert "--features" not in line


def test_a_program_that_is_not_there_is_no_reason_to_take_another(folder, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_FFMPEG", "/nope")
    refused(folder, "VMAF_JAX_FFMPEG=/nope: no such program", "score", "ref.y4m", "dis.mp4")


def test_a_limit_that_is_no_number_is_told(folder, monkeypatch):
    monkeypatch.setenv("VMAF_JAX_MAX_CONFIG_BYTES", "many")
    with pytest.raises(InputError, match="expected a whole number"):
        load_config(ROOT / "configs/tiny.yaml")
    monkeypatch.setenv("VMAF_JAX_MAX_CONFIG_BYTES", "10")
    with pytest.raises(InputError, match=r"at most 10 are read; .*VMAF_JAX_MAX_CONFIG_BYTES"):
        load_config(ROOT / "configs/tiny.yaml")


def test_the_result_says_how_the_two_were_compared(folder):
    result = run_command("score", "ref.y4m", "dis.mp4", "--json")
    comparison = json.loads(result.stdout)["comparison"]
    assert comparison["pairing"] == "frame number"
    assert comparison["reference"]["rate"] == comparison["distorted"]["rate"] == 24
    assert comparison["decoded"] == [12, 12]
    assert comparison["warnings"] == []
