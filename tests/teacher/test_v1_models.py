"""VMAF v1's eight models as functions of their features, against libvmaf on the golden pair."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.extract import extract_pair
from vmaf_jax.features import FEATURE_SETS, V1_FEATURES, V1_SETS
from vmaf_jax.scoring.score import score
from vmaf_jax.teacher import load_teacher
from vmaf_jax.teacher.model_file import find_model_file
from vmaf_jax.teacher.svr import svr_score

# Clip means that libvmaf gives for the golden pair.
GOLDEN = {
    "vmaf_v1.0.16_3d0h": 88.9136,
    "vmaf_v1.0.16_5d0h": 89.9624,
    "vmaf_v1.0.16_3d0h_2160": 96.4948,
    "vmaf_v1.0.16_1d5h_2160": 89.2325,
    "vmaf_v1.0.16_hfr_3d0h": 91.3243,
}


def golden_pair(golden):
    folder, expected = golden
    raw = {key: expected[key] for key in ("width", "height", "pix_fmt")}
    return [folder / expected["pairs"][0][key] for key in ("reference", "distorted")], raw


@pytest.mark.parametrize("feature_set", V1_SETS, ids=lambda feature_set: feature_set.name)
def test_equals_libvmaf_on_the_golden_pair(golden, tmp_path, feature_set):
    pair, raw = golden_pair(golden)
    name = feature_set.teacher
    teacher = load_teacher(name)
    assert teacher.feature_set is feature_set
    table = extract_pair(*pair, **raw, teachers=(name,), feature_set=feature_set, cache=tmp_path)
    # Features are logged to six decimals; the slopes make up to 4e-5 points of that.
    np.testing.assert_allclose(teacher(table.features), table.label(name), rtol=0, atol=2e-4)
    if name in GOLDEN:
        assert np.mean(table.label(name)) == pytest.approx(GOLDEN[name], abs=1e-3)
    if "5d0h" in name or name.endswith("3d0h_2160"):  # too small for their scaled chroma
        assert (table.features[:, 1] == 0).all()
    else:
        assert (table.features[:, 1] > 1).all()


def test_score_takes_a_v1_model(golden, tmp_path):
    pair, raw = golden_pair(golden)
    result = score(*pair, model="vmaf_v1.0.16_3d0h", **raw, cache=tmp_path)
    assert result.mean == pytest.approx(88.9136, abs=1e-3)
    assert result.table.feature_set is V1_FEATURES


def test_chroma_that_could_not_be_measured_is_replaced():
    teacher = load_teacher("vmaf_v1.0.16_3d0h")
    rows = np.array([[0.9, 0.0, 0.95, 4.0], [0.9, 120 * 0.05, 0.95, 4.0]])
    scores = teacher(rows)
    assert scores[0] == pytest.approx(scores[1], abs=1e-9)
    measured = teacher(rows + np.array([0, 1e-3, 0, 0]))
    assert measured[0] > scores[0] + 1  # a chroma that was measured stands


def test_replaced_chroma_has_the_gradient_of_what_stands_in():
    teacher = load_teacher("vmaf_v1.0.16_3d0h")
    with jax.enable_x64(True):
        params = teacher.params()

        def of(row):
            return svr_score(params, row[None])[0]

        row = jnp.array([0.9, 0.0, 0.95, 4.0])
        gradient = jax.grad(of)(row)
        for k in (0, 2, 3):
            step = 1e-5 * np.eye(4)[k]
            slope = (of(row + step) - of(row - step)) / 2e-5
            assert float(gradient[k]) == pytest.approx(float(slope), rel=1e-5)


def test_other_options_are_refused(tmp_path):
    document = json.loads(find_model_file("vmaf_v1.0.16_3d0h").read_text())
    path = tmp_path / "other.json"
    document["model_dict"]["feature_opts_dicts"][1]["speed_prescale"] = 0.7
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"other: asks for .*'speed_prescale': 0.7.*vmaf_v1_5d0h"):
        load_teacher(path)


def test_every_set_names_libvmaf_features_of_its_own():
    keys = [feature_set.libvmaf_keys for feature_set in V1_SETS]
    assert len(set(keys)) == len(V1_SETS) == 8
    assert all(FEATURE_SETS[feature_set.name] is feature_set for feature_set in V1_SETS)


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (("gray", "gray"), r"reference.y4m: gray has no chroma planes, .* encode it as yuv420p"),
        (("yuv420p", "yuv444p"), r"distorted.y4m: chroma of yuv444p against yuv420p .* convert"),
        (("yuv422p", "yuv420p"), r"distorted.y4m: chroma of yuv420p against yuv422p .* convert"),
    ],
)
@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_chroma_that_cannot_be_compared_is_refused(make_y4m, formats, message, backend):
    pair = [
        make_y4m(name, pix_fmt)
        for name, pix_fmt in zip(("reference", "distorted"), formats, strict=True)
    ]
    with pytest.raises(InputError, match=message):
        score(*pair, model="vmaf_v1.0.16_3d0h", backend=backend)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("176x144", "176x144 are too small .* CAMBI needs 216 pixels"),
        ("300x120", "300x120 are too small .* SpEED needs 160 pixels each way"),
    ],
)
@pytest.mark.parametrize("backend", ["libvmaf", "jax"])
def test_small_pictures_are_refused_with_what_would_do(make_y4m, size, message, backend):
    path = make_y4m("small", "yuv420p", size)
    with pytest.raises(InputError, match=message):
        score(path, path, model="vmaf_v1.0.16_3d0h", backend=backend)


def test_a_teacher_beside_luma_features_needs_its_chroma_and_size_too(make_y4m):
    how = {"model": "tiny", "teachers": ("vmaf_v1.0.16_3d0h",)}
    grey, small = make_y4m("grey", "gray"), make_y4m("small", "yuv420p", "176x144")
    with pytest.raises(InputError, match="gray has no chroma planes"):
        score(grey, grey, **how)
    with pytest.raises(InputError, match="CAMBI needs 216 pixels"):
        score(small, small, **how)


def test_no_graph_from_pictures_is_made(make_y4m):
    path = make_y4m("sound", "yuv420p")
    with pytest.raises(InputError, match=r"no graph from pictures .* --backend jax or libvmaf"):
        score(path, path, model="vmaf_v1.0.16_3d0h", backend="onnx")


@pytest.fixture
def make_y4m(tmp_path, ffmpeg):
    import subprocess

    def make(name, pix_fmt, size="352x288"):
        path = tmp_path / f"{name}.y4m"
        source = ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=24", "-frames:v", "2"]
        subprocess.run(
            [ffmpeg, "-v", "error", "-y", *source, "-pix_fmt", pix_fmt, str(path)], check=True
        )
        return path

    return make
