"""Logs of several ages, real ones of this machine's libvmaf and written ones, against the table."""

import json
import subprocess

import numpy as np
import pytest

from vmaf_jax.corpora.feature_log import read_log
from vmaf_jax.errors import InputError
from vmaf_jax.extraction.api import extract_pair
from vmaf_jax.features import FEATURES, FLOAT_FEATURES, NEG_FEATURES


@pytest.fixture(scope="module")
def logs(encodes, ffmpeg, tmp_path_factory):
    """What `ffmpeg -lavfi libvmaf` writes of one pair, in the three kinds; NEG's features too."""
    folder = tmp_path_factory.mktemp("logs")
    models = r"version=vmaf_v0.6.1|version=vmaf_v0.6.1neg\\:name=neg"
    for kind in ("json", "xml", "csv"):
        graph = f"libvmaf=log_fmt={kind}:log_path=log.{kind}:model={models}"
        pair = ("-i", encodes / "dis.mp4", "-i", encodes / "ref.y4m")
        line = [ffmpeg, "-v", "error", *map(str, pair), "-lavfi", graph, "-f", "null", "-"]
        subprocess.run(line, check=True, cwd=folder)
    return folder


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize("feature_set", [FEATURES, NEG_FEATURES], ids=lambda s: s.name)
def test_ffmpegs_logs_hold_what_extraction_measures(logs, encodes, kind, feature_set):
    table = extract_pair(encodes / "ref.y4m", encodes / "dis.mp4", feature_set=feature_set)
    features = read_log(logs / f"log.{kind}", feature_set)
    np.testing.assert_array_equal(features, table.features)


VALUES = np.round(np.random.default_rng(0).uniform(0, 1, (3, 6)), 5)
STYLES = {
    "libvmaf 2 and 3": "integer_{}",
    "libvmaf 1 and vmafossexec": "{}",
    "the Python package": "VMAF_feature_{}_score",
    "the Python package, integer": "VMAF_integer_feature_{}_score",
    "a gain limit that is the default": "integer_{}_egl_100",
}


def write(path, style="{}", numbers=(0, 1, 2), flat=False, values=VALUES):
    """A log as libvmaf writes it, with another score and a name that only looks alike."""
    names = [style.format(name) for name in FEATURES]
    frames = [
        {"psnr": 40.0, "integer_adm2_csf_2": 0.5}
        | dict(zip(names, row.tolist(), strict=True))
        | {"vmaf": 80.0}
        for row in values
    ]
    if path.suffix == ".json":
        rows = [
            {"frameNum": k} | (frame if flat else {"metrics": frame})
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text(json.dumps({"version": "1.3.11", "frames": rows}))
    elif path.suffix == ".xml":
        rows = [
            f'<frame frameNum="{k}" ' + " ".join(f'{n}="{v}"' for n, v in frame.items()) + " />"
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text(
            '<?xml version="1.0"?>\n<VMAF version="1.3.15"><fyi numOfFrames="3" /><frames>'
            + "\n".join(rows)
            + "</frames></VMAF>"
        )
    else:
        lines = [",".join(["Frame", *frames[0], ""])]
        lines += [
            ",".join([str(k), *map(str, frame.values()), ""])
            for k, frame in zip(numbers, frames, strict=True)
        ]
        path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_names_of_any_age(tmp_path, kind, style):
    log = write(tmp_path / f"log.{kind}", style)
    np.testing.assert_array_equal(read_log(log, FEATURES), VALUES)


def test_frames_without_an_object_of_metrics_and_frames_from_one(tmp_path):
    """As the Python package writes them, and as other tools number them."""
    log = write(tmp_path / "log.json", "VMAF_feature_{}_score", numbers=(1, 2, 3), flat=True)
    np.testing.assert_array_equal(read_log(log, FEATURES), VALUES)


def test_the_integer_extractors_go_first_and_float_ones_are_their_own(tmp_path):
    names = [f"integer_{name}" for name in FEATURES] + list(FEATURES)
    frame = dict(zip(names, map(float, range(12)), strict=True))
    log = tmp_path / "log.json"
    log.write_text(json.dumps({"frames": [{"frameNum": 0, "metrics": frame}]}))
    assert read_log(log, FEATURES).tolist() == [[0.0, 1, 2, 3, 4, 5]]
    assert read_log(log, FLOAT_FEATURES).tolist() == [[6.0, 7, 8, 9, 10, 11]]
    with pytest.raises(InputError, match="no adm2 of the feature set vmaf_neg; it has adm2, int"):
        read_log(log, NEG_FEATURES)


@pytest.mark.parametrize("kind", ["json", "xml", "csv"])
@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 2, 4), "frame 2 stands after frame 0, expected 1; frames are missing"),
        ((0, 1, 1), "frame 1 stands after frame 1, expected 2"),
        ((2, 3, 4), "frame 2 stands at the start, expected 0"),
        ((0, -1, 1), "frame number '-1'"),
    ],
)
def test_missing_frames_are_named(tmp_path, kind, numbers, message):
    log = write(tmp_path / f"log.{kind}", numbers=numbers)
    with pytest.raises(InputError, match=message):
        read_log(log, FEATURES)


def test_n_subsample_is_refused(encodes, ffmpeg, tmp_path):
    graph = "libvmaf=log_fmt=csv:log_path=log.csv:n_subsample=3"
    pair = ("-i", encodes / "dis.mp4", "-i", encodes / "ref.y4m")
    line = [ffmpeg, "-v", "error", *map(str, pair), "-lavfi", graph, "-f", "null", "-"]
    subprocess.run(line, check=True, cwd=tmp_path)
    with pytest.raises(InputError, match=r"frame 3 stands after frame 0, .*no n_subsample"):
        read_log(tmp_path / "log.csv", FEATURES)


ENTITIES = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<VMAF><frames><frame frameNum="0" adm2="&b;" /></frames></VMAF>"""
ADM_LESS = '{"frames": [{"frameNum": 0, "metrics": {"vmaf": 80.0}}]}'
NEG_ONLY = '{"frames": [{"frameNum": 0, "metrics": {"integer_adm2_egl_1": 0.5}}]}'
NULL = '{"frames": [{"frameNum": 0, "metrics": {"adm2": null}}]}'.replace(
    "null", "null, " + ", ".join(f'"{name}": 0.5' for name in list(FEATURES)[1:])
)
BAD = [
    ("log.json", "{", "not readable"),
    ("log.json", "[1]", "no log of libvmaf's"),
    ("log.json", "[" * 100_000, "not readable"),
    ("log.json", '{"frames": []}', "holds no frame"),
    ("log.json", '{"frames": [1]}', "no log of libvmaf's"),
    ("log.json", '{"frames": [{"metrics": 1}]}', "metrics are no object"),
    ("log.json", '{"frames": [{"metrics": {}}]}', "frame number 'None'"),
    ("log.json", ADM_LESS, "has no adm2 of the feature set vmaf; log features and no scores alone"),
    ("log.json", NEG_ONLY, "it has integer_adm2_egl_1; NEG features are read with --features"),
    ("log.json", NULL, r"frame 0 has no adm2 \(None\)"),
    ("log.json", NULL.replace("null", "NaN"), r"frame 0 has no adm2 \(nan\)"),
    ("log.json", NULL.replace("null", "true"), r"frame 0 has no adm2 \(True\)"),
    ("log.xml", "<VMAF>", "not readable"),
    ("log.xml", "<VMAF></VMAF>", "holds no frame"),
    ("log.xml", ENTITIES, "declares a document type"),
    ("log.csv", "", "its first column is not Frame"),
    ("log.csv", "Frame,adm2,\n", "holds no frame"),
    # libvmaf leaves out what it does not have: which value is which is not known any more.
    ("log.csv", "Frame,adm2,motion2,\n0,0.9,\n", "frame 0 has 3 cells for 4 columns"),
    ("log.sub", "{0}{1}frame: 0|", "unknown kind of log"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD, ids=[b[2][:30] for b in BAD])
def test_what_is_no_log_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_log(tmp_path / name, FEATURES)
    assert str(tmp_path / name) in str(caught.value)
    with pytest.raises(InputError, match="no such log"):
        read_log(tmp_path / "none.json", FEATURES)
