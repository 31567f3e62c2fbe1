"""Every parser of what strangers write, given anything: it reads, or refuses in one line."""

import json
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from vmaf_jax.corpora.manifest import load_clips
from vmaf_jax.errors import InputError
from vmaf_jax.export.sidecar import read_sidecar
from vmaf_jax.extraction.libvmaf import _parse
from vmaf_jax.extraction.request import LibvmafModel
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.jobs.doctor import verify_registry
from vmaf_jax.runs.config import load_config
from vmaf_jax.tables.dataset import read_table
from vmaf_jax.teacher.model_file import known_teachers, read_model_file
from vmaf_jax.video.comparison_run import reports_damage
from vmaf_jax.video.inputs import Video, check_video
from vmaf_jax.video.pixel_format import RAW_FORMATS, frame_bytes
from vmaf_jax.video.report import check_formats, explain_failure, frame_counts
from vmaf_jax.video.streams import decoded_streams

A_FILE = Path("a.mp4")
FUZZ = hypothesis.settings(
    max_examples=60,
    deadline=None,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
BYTES = st.binary(max_size=200) | VALUES.map(lambda value: json.dumps(value).encode())


def reads_or_refuses(parse, *arguments):
    line = "read"
    try:
        parse(*arguments)
    except InputError as refusal:
        line = str(refusal)
    assert line
    assert "\n" not in line.strip()


PARSERS = {
    "libvmaf JSON": (read_model_file, "m.json"),
    "sidecar": (read_sidecar, "m.json"),
    "registry": (verify_registry, "registry.json"),
    "config": (load_config, "c.yaml"),
    "manifest, lines": (load_clips, "c.jsonl"),
    "manifest, CSV": (load_clips, "c.csv"),
    "manifest, Parquet": (load_clips, "c.parquet"),
    "table": (read_table, "t.parquet"),
}


@pytest.mark.parametrize("name", PARSERS)
@FUZZ
@hypothesis.given(content=BYTES)
def test_any_bytes(name, content, tmp_path):
    parse, file = PARSERS[name]
    path = tmp_path / file
    path.write_bytes(content)
    reads_or_refuses(parse, path)


@FUZZ
@hypothesis.given(data=st.data())
def test_a_model_file_with_anything_anywhere(data, tmp_path):
    document = json.loads(known_teachers()["vmaf_v0.6.1"].read_text())
    key = data.draw(st.sampled_from(sorted(document["model_dict"])))
    document["model_dict"][key] = data.draw(VALUES)
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    reads_or_refuses(read_model_file, path)


@FUZZ
@hypothesis.given(data=st.data())
def test_a_model_file_with_a_byte_changed(data, tmp_path):
    content = bytearray(known_teachers()["vmaf_v0.6.1"].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "m.json"
    path.write_bytes(bytes(content))
    reads_or_refuses(read_model_file, path)


@FUZZ
@hypothesis.given(
    row=st.dictionaries(
        st.sampled_from(["reference", "distorted", "source", "width", "mos", "fps", "x"]), VALUES
    )
)
def test_any_row_of_a_manifest(row, tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_text(json.dumps(row))
    with pytest.raises(InputError):  # its files are not there, whatever else it says
        load_clips(path)


@FUZZ
@hypothesis.given(
    width=st.integers(-5, 5000),
    height=st.integers(-5, 5000),
    size=st.integers(0, 4000),
    pix_fmt=st.sampled_from([*RAW_FORMATS, "rgb24", ""]),
)
def test_raw_sizes(width, height, size, pix_fmt, tmp_path):
    path = tmp_path / "a.yuv"
    path.write_bytes(bytes(size))
    video = Video(path, width, height, pix_fmt)
    try:
        frames = check_video(video)
    except InputError:
        return
    assert frames is not None
    assert frames * frame_bytes(width, height, pix_fmt) == size > 0


# ruff: noqa: E501 (lines as ffmpeg writes them)
LINES = st.lists(
    st.sampled_from(
        [
            "Input #0, mov,mp4, from 'a':",
            "Input #1, hls, from 'b':",
            "Input #99, x, from ''",
            "  Stream #0:0: Video: h264, yuv420p(tv, bt709), 352x288, 24 fps, 24 tbr",
            "  Stream #1:0: Video: , , fps tbr",
            "  Stream #0:0: Video: h264 k fps",
            "      Display Matrix: rotation of -90.00 degrees",
            "Display Matrix: rotation of - degrees",
            "[graph 0 input from stream 0:0 @ 0x1] [verbose] w:8 h:8 pixfmt:gray tb:1/1 fr:1/0 sar:0/1",
            "[graph 0 input from stream 1:0 @ 0x1] [verbose] w:8 h:9 pixfmt:x tb:0/0 fr:0/0 sar:-/-",
            "[graph 0 input from stream 1:0 @ 0x1] w:8 h:9 pixfmt:x tb:0 fr:0 sar:1/1 csp:gbr range:pc",
            "[in#0/mov @ 0x1] [verbose]   Input stream #0:0 (video): 1 packets; 5 frames decoded; 0 "
            "decode errors; ",
            "[in#1/mov @ 0x1]   Input stream #1:0 (video): 1 packets; 5 frames decoded; 3 decode errors",
            "[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame",
            "[h264 @ 0x1] [error] bad",
            "libvmaf ERROR nothing",
            "",
            "[",
            "] [error]",
        ]
    )
    | st.text(max_size=40),
    max_size=12,
)


@FUZZ
@hypothesis.given(lines=LINES)
def test_any_report_of_ffmpeg(lines):
    report = "\n".join(lines)
    pair = Video(A_FILE), Video(A_FILE)
    facts = decoded_streams(report)
    if facts is not None:
        reports_damage(tuple(lines), facts)
        assert facts[0].rotation in range(360)
    reads_or_refuses(check_formats, report, pair)
    reads_or_refuses(frame_counts, report, *pair)
    assert explain_failure(report, *pair)


@FUZZ
@hypothesis.given(
    log=VALUES
    | st.fixed_dictionaries({"frames": VALUES})
    | st.fixed_dictionaries(
        {"frames": st.lists(st.fixed_dictionaries({"metrics": VALUES}), max_size=3)}
    )
)
def test_any_log_of_libvmaf(log):
    if isinstance(log, dict):
        with pytest.raises(InputError):
            _parse(log, FEATURES.libvmaf_keys, [LibvmafModel("m")])


def test_a_sound_log_is_read():
    keys = [*FEATURES.libvmaf_keys, "m"]
    log = {"frames": [{"metrics": {key: float(k) for k, key in enumerate(keys)}}]}
    rows, labels = _parse(log, FEATURES.libvmaf_keys, [LibvmafModel("m")])
    np.testing.assert_array_equal(rows, [[0, 1, 2, 3, 4, 5]])
    np.testing.assert_array_equal(labels["m"], [6])
