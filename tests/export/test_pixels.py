"""Pixels models against our JAX features and the models' own scores, at any size."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest

from tests.support import run_command
from tools.web import DEFAULT_SIZES
from vmaf_jax.errors import GateError, InputError
from vmaf_jax.export.pixels.model_file import (
    ADMITTED_OPERATORS,
    PICTURES,
    Frame,
    check_pixels,
    is_pixels,
    parse_size,
    pixels_model,
    read_pixels,
)
from vmaf_jax.export.pixels.runtime import (
    MAX_FEATURE,
    MAX_HEAD,
    ROUNDING,
    PixelsModel,
    check_features,
    check_pixels_parity,
    check_provider,
    measure_features,
    measure_pixels,
    providers,
    rounding_points,
    sample_pictures,
)
from vmaf_jax.features.feature_set import FEATURES
from vmaf_jax.features.frames import chunk_features
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.pixels import find_source, make_pixels, open_pixels, pixels_files
from vmaf_jax.video.comparison import DEFAULT_COMPARISON

# Width and height: even, odd, and the smallest there is; with and without gain limits.
CASES = [((176, 144), "vmaf_v0.6.1"), ((97, 51), "vmaf_v0.6.1neg"), ((17, 17), "vmaf_v0.6.1")]


def rows(model, frame, *, whole=True):
    """Features of the sample pictures: the graph's and JAX's, and the names of the pictures."""
    cases = dict(sample_pictures(Frame(frame.width, frame.height, "uint8" if whole else "float32")))
    gain = model.feature_set.gain_limit
    compute = jax.jit(chunk_features, static_argnames="gain_limit")
    graph, ours = [], []
    for reference, distorted, previous in cases.values():
        graph.append(model.features(reference[None], distorted[None], previous[None])[0])
        arrays = map(jnp.asarray, (reference[None], distorted[None], previous))
        ours.append(np.asarray(compute(*arrays, jnp.zeros(1, bool), gain_limit=gain))[0])
    return np.array(graph, np.float64), np.array(ours, np.float64), list(cases)


@pytest.mark.parametrize(("size", "teacher"), CASES, ids=str)
def test_features_and_score_are_those_of_jax(size, teacher):
    model = open_pixels(teacher, Frame(*size))
    graph, ours, _ = rows(model, model.frame, whole=False)
    # The least pictures sum four samples at their coarsest scale, of variances that nearly cancel.
    limit = 2e-5 if min(size) > 17 else MAX_FEATURE
    np.testing.assert_allclose(graph, ours, rtol=limit, atol=limit)
    score = find_source(teacher).score
    points = np.abs(model.score(graph) - score(ours))
    assert (points <= MAX_HEAD + rounding_points(score, ours)).all()


def test_a_whole_clip_is_what_the_jax_backend_and_libvmaf_float_say(encodes, tmp_path):
    from vmaf_jax.extraction.extract import extract_pair
    from vmaf_jax.features.feature_set import FLOAT_FEATURES
    from vmaf_jax.scoring.pixels import measure_pair
    from vmaf_jax.video.inputs import Video

    teacher = load_model("vmaf_v0.6.1")
    for name in ("dis.mp4", "deep.mkv"):  # 8 and 10 bits
        pair = (encodes / "ref.y4m", encodes / name)
        videos = tuple(map(Video, pair))
        got = measure_pair(videos, "vmaf_v0.6.1", DEFAULT_COMPARISON, provider="CPU")
        in_jax = extract_pair(*pair, backend="jax", teachers=())
        libvmaf = extract_pair(*pair, feature_set=FLOAT_FEATURES, teachers=())
        assert got.features.shape == in_jax.features.shape
        assert np.abs(got.scores - teacher(in_jax.features)).max() <= 2e-3
        assert np.abs(got.scores - teacher(libvmaf.features)).max() <= 1e-2
        assert got.comparison["frames"] == 12


def on_the_demo(clips):
    """Largest differences, VMAF points and features, from libvmaf's float extractors and JAX."""
    from vmaf_jax.extraction.extract import extract_clips
    from vmaf_jax.extraction.request import Request
    from vmaf_jax.features.feature_set import FLOAT_FEATURES
    from vmaf_jax.scoring.pixels import measure_pair

    teacher, how = load_model("vmaf_v0.6.1"), DEFAULT_COMPARISON
    got = [
        measure_pair((c.reference, c.distorted), "vmaf_v0.6.1", how, provider="CPU") for c in clips
    ]
    scores = np.concatenate([clip.scores for clip in got])
    features = np.concatenate([clip.features for clip in got])
    libvmaf = extract_clips(clips, Request((), FLOAT_FEATURES)).features
    in_jax = extract_clips(clips, Request((), FEATURES), backend="jax").features
    assert len(scores) == 48 * len(clips)
    return {
        name: (np.abs(scores - teacher(rows)).max(), np.abs(features - rows).max(axis=0))
        for name, rows in (("libvmaf", libvmaf), ("jax", in_jax))
    }


@pytest.mark.parametrize(
    "stride", [36, pytest.param(1, marks=pytest.mark.slow, id="every frame of the demo")]
)
def test_on_the_demo_it_is_libvmaf_s_float_extractors_and_jax(stride):
    from vmaf_jax.corpora import demo

    clips = demo.load_clips()[::stride]
    apart = on_the_demo(clips)
    assert apart["libvmaf"][0] <= 1e-2
    assert apart["jax"][0] <= 2e-3
    for _, features in apart.values():
        assert features.max() <= MAX_FEATURE


@pytest.mark.parametrize("name", ["tiny", "rbf", "vmaf_v0.6.1"])
def test_the_head_in_the_graph_is_the_model(name):
    model = open_pixels(name, Frame(64, 48))
    rng = np.random.default_rng(0)
    features = rng.uniform(0, 1, (500, 6)) * [1, 1, 1, 1, 1, 20]
    np.testing.assert_allclose(model.score(features), load_model(name)(features), atol=1e-3)
    assert np.std(model.score(features)) > 20


def test_the_score_in_the_graph_is_the_head_of_its_own_features():
    file = make_pixels(find_source("nano"), Frame(64, 48))
    model = PixelsModel(file, Path("nano"))
    pictures = dict(sample_pictures(Frame(64, 48, "uint8")))["blurred"]
    feed = {name: p[None] for name, p in zip(PICTURES, pictures, strict=True)}
    features, vmaf = model._session.run(None, feed)
    assert features.shape == (1, 6)
    assert vmaf.shape == (1,)
    np.testing.assert_allclose(vmaf, load_model("nano")(features), atol=1e-4)


def test_frames_of_a_batch_do_not_see_each_other():
    model = open_pixels("vmaf_v0.6.1", Frame(80, 64))
    pictures = zip(*dict(sample_pictures(Frame(80, 64, "uint8"))).values(), strict=True)
    cases = [np.stack(role) for role in pictures]
    together = model.features(*cases)
    alone = [model.features(*(p[k : k + 1] for p in cases))[0] for k in range(len(cases[0]))]
    np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6)


def test_uint8_pictures_give_the_same_bits():
    floats = open_pixels("vmaf_v0.6.1", Frame(64, 48))
    bytes_ = open_pixels("vmaf_v0.6.1", Frame(64, 48, "uint8"))
    pictures = [p[None] for p in dict(sample_pictures(Frame(64, 48, "uint8")))["noise added"]]
    np.testing.assert_array_equal(floats.features(*pictures), bytes_.features(*pictures))


def test_the_graph_is_plain_and_small():
    file = make_pixels(find_source("vmaf_v0.6.1"), Frame(1920, 1080))
    kinds = {node.op_type for node in file.model.graph.node}
    assert kinds <= ADMITTED_OPERATORS
    assert not kinds & {"Shape", "Range", "If", "Loop", "Scan", "Expand", "ConstantOfShape"}
    assert len(file.model.SerializeToString()) < 3_000_000
    assert file.model.ir_version == 8
    assert [entry.version for entry in file.model.opset_import] == [17]
    (first, *_) = file.model.graph.input
    axes = first.type.tensor_type.shape.dim
    assert (axes[0].dim_param, axes[1].dim_value, axes[2].dim_value) == ("N", 1080, 1920)


def test_what_rounding_is_worth_is_the_score_s_slope():
    slopes = np.array([100.0, 0, 0, 0, 20.0, 2.0])

    def score(features):
        return np.clip(features @ slopes, 0, 100)

    rows = np.array([[0.5, 0, 0, 0, 0.4, 3.0], [9.0, 0, 0, 0, 0, 0]])  # the second one is clipped
    expected = [ROUNDING * (100 + 20 + 2 * 3), 0]
    np.testing.assert_allclose(rounding_points(score, rows), expected, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("size", [*DEFAULT_SIZES, "1280x544", "1280x534", "1024x576"])
def test_every_shipped_model_is_near_jax_at_every_size_of_the_page(size):
    for name in ("nano", "tiny", "rbf", "opinions", "vmaf_v0.6.1"):
        source = find_source(name)
        model = PixelsModel(make_pixels(source, Frame(*parse_size(size))), Path(name))
        check_pixels_parity(measure_pixels(model, source.score))


def test_parity_sees_a_wrong_tap(monkeypatch):
    from vmaf_jax.export.pixels import features as motion

    source = find_source("vmaf_v0.6.1")
    sound = PixelsModel(make_pixels(source, Frame(64, 48)), Path("sound"))
    check_pixels_parity(measure_pixels(sound, source.score))
    monkeypatch.setattr(motion, "BLUR", (0.054, 0.244, 0.404, 0.244, 0.054))
    wrong = PixelsModel(make_pixels(source, Frame(64, 48)), Path("wrong"))
    with pytest.raises(GateError, match="from JAX, limit"):
        check_pixels_parity(measure_pixels(wrong, source.score))


def test_a_graph_made_on_the_spot_is_held_against_jax_once(monkeypatch, tmp_path):
    from vmaf_jax.export.pixels import features, runtime

    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path))
    proofs, frame = tmp_path / "pixels", Frame(64, 48)
    with monkeypatch.context() as wrong:
        wrong.setattr(features, "BLUR", (0.054, 0.244, 0.404, 0.244, 0.054))
        with pytest.raises(GateError, match=r"pixels: motion2 is .* from JAX, limit"):
            open_pixels("vmaf_v0.6.1", frame)
    assert not proofs.exists()
    open_pixels("vmaf_v0.6.1", frame)
    (proof,) = proofs.iterdir()
    assert max(json.loads(proof.read_text()).values()) <= MAX_FEATURE
    monkeypatch.delattr(runtime, "_both_features")  # what JAX is called by
    open_pixels("nano", frame)  # another head on the same features
    assert list(proofs.iterdir()) == [proof]


def test_one_picture_that_is_off_misses_the_gate_whatever_the_others_are():
    source = find_source("vmaf_v0.6.1")
    model = PixelsModel(make_pixels(source, Frame(64, 48)), Path("sound"))
    names = [name for name, _ in sample_pictures(Frame(64, 48))]

    def measured(k, points):
        """The parity where picture `k` alone is off by so many points."""

        def off(features):
            scores = np.array(source.score(features), np.float64)
            scores[k] += points if scores[k] < 50 else -points
            return scores

        return measure_pixels(model, off)

    for k in (2, len(names) - 1):
        limit = measured(k, 20.0).limits["max_abs"]  # of this picture, which is far off
        parity = measured(k, 2.5 * limit)
        assert parity.worst == names[k]
        assert parity.max_abs == pytest.approx(2.5 * limit, abs=limit)
        with pytest.raises(GateError, match=f"pixels: {names[k]} is .* from JAX, limit"):
            check_pixels_parity(parity)


@pytest.mark.parametrize("k", [0, 2])
def test_a_feature_of_one_picture_that_is_off_misses_the_gate(k):
    """Twice the limit on one of three pictures, whose mean is within it."""

    class Off(PixelsModel):
        calls = 0

        def features(self, *pictures):
            found = super().features(*pictures).copy()
            found[:, 3] += 2 * MAX_FEATURE if self.calls == k else 0.0
            type(self).calls += 1
            return found

    model = Off(make_pixels(find_source("vmaf_v0.6.1"), Frame(64, 48)), Path("off"))
    distances = measure_features(model)
    assert Off.calls == 3
    assert distances["vif_scale2"] == pytest.approx(2 * MAX_FEATURE, rel=0.2)
    with pytest.raises(GateError, match=r"pixels: vif_scale2 is 0\.000\d+ from JAX, limit 0\.0002"):
        check_features(distances)


def test_export_writes_the_file_its_sidecar_and_its_parity(tmp_path):
    out = tmp_path / "px.onnx"
    words = ["export", "--model", "tiny", "--format", "pixels", "--size", "64x48"]
    finished = run_command(*words, "--out", out)
    assert finished.code == 0, finished.stderr
    assert sorted(tmp_path.iterdir()) == sorted(pixels_files(out))
    assert is_pixels(out)
    file = read_pixels(out)
    assert (file.frame, file.name) == (Frame(64, 48), "tiny")
    assert file.feature_set == FEATURES
    sidecar = json.loads(out.with_suffix(".json").read_text())
    assert sidecar["input_names"] == ["reference", "distorted", "previous"]
    assert sidecar["output_names"] == ["features", "vmaf"]
    assert sidecar["features"] == list(FEATURES)
    assert "motion2" in sidecar["pixels"]["motion2"]
    assert not {"input_mean", "input_std"} & sidecar.keys()
    parity = json.loads((tmp_path / "px.parity.json").read_text())
    assert parity["max_abs"] <= parity["limits"]["max_abs"]
    for name in ("features", "vmaf"):
        assert name in [tensor.name for tensor in file.model.graph.output]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "--size (missing)"),
        (("--size", "64"), "expected WxH"),
        (("--size", "16x64"), "17 to 16384 pixels"),
        (("--size", "64x99999"), "17 to 16384 pixels"),
        (("--size", "64x48", "--samples", "int4"), "float32 or uint8"),
        (("--size", "64x48", "--quantize", "static"), "--quantize goes with --format onnx"),
    ],
)
def test_export_refuses_in_words(flags, words, tmp_path):
    line = ("export", "--model", "tiny", "--format", "pixels", "--out", tmp_path / "x.onnx")
    finished = run_command(*line, *flags)
    assert (finished.code, finished.stderr.count("\n")) == (2, 1)
    assert words in finished.stderr


def test_size_is_for_pixels_alone(tmp_path):
    words = ["export", "--model", "tiny", "--size", "64x48"]
    finished = run_command(*words, "--out", tmp_path / "x.onnx")
    assert finished.code == 2
    assert "--format pixels" in finished.stderr


def test_score_runs_a_file_and_a_name_alike(encodes, tmp_path):
    out = tmp_path / "px.onnx"
    line = ("export", "--model", "tiny", "--format", "pixels", "--size", "352x288", "--out", out)
    assert run_command(*line).code == 0
    pair = (encodes / "ref.y4m", encodes / "dis.mp4", "--backend", "onnx", "--json", "--per-frame")
    by_name, by_file = (
        json.loads(run_command("score", *pair, "--model", model).stdout) for model in ("tiny", out)
    )
    assert by_name["frames"] == by_file["frames"]
    assert by_name["backend"] == "onnx"
    assert len(by_name["frames"]) == 12
    in_jax_line = ("score", *pair[:2], "--backend", "jax", "--model", "tiny", "--json")
    in_jax = json.loads(run_command(*in_jax_line).stdout)
    assert abs(by_name["score"] - in_jax["score"]) < 2e-3


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--backend", "onnx", "--provider", "Abacus"), "this ONNX Runtime has"),
        (("--provider", "CPU"), "goes with --backend onnx"),
        (("--backend", "onnx", "--model", "px.onnx"), "is for 64x48"),
        (("--backend", "onnx", "--teacher", "vmaf_v0.6.1neg"), "vmaf_neg"),
        (("--model", "px.onnx"), "--backend onnx"),
    ],
)
def test_score_refuses_in_words(flags, words, encodes, tmp_path):
    path = tmp_path / "px.onnx"
    file = make_pixels(find_source("nano"), Frame(64, 48))
    path.write_bytes(file.model.SerializeToString())
    flags = [path if flag == "px.onnx" else flag for flag in flags]
    finished = run_command("score", encodes / "ref.y4m", encodes / "dis.mp4", *flags)
    assert (finished.code, finished.stderr.count("\n")) == (2, 1)
    assert words in finished.stderr


def test_lengths_that_differ_are_told(encodes):
    finished = run_command(
        "score", encodes / "ref.y4m", encodes / "short.mp4", "--backend", "onnx", "--model", "nano"
    )
    assert finished.code == 2
    assert "9" in finished.stderr


def test_broken_files_are_refused(tmp_path):
    model = make_pixels(find_source("nano"), Frame(64, 48)).model
    with pytest.raises(InputError, match="no such model"):
        read_pixels(tmp_path / "none.onnx")
    (tmp_path / "cut.onnx").write_bytes(model.SerializeToString()[:2000])
    with pytest.raises(InputError, match=r"not a valid ONNX model|is no pixels model"):
        read_pixels(tmp_path / "cut.onnx")
    other = type(model).FromString(model.SerializeToString())
    other.graph.node.append(onnx.helper.make_node("NonZero", ["vmaf"], ["x"]))
    with pytest.raises(InputError, match="NonZero is not admitted"):
        check_pixels(other, tmp_path / "x.onnx")
    other = type(model).FromString(model.SerializeToString())
    other.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 50
    with pytest.raises(InputError, match="several sizes"):
        check_pixels(other, tmp_path / "x.onnx")


def test_clip_models_and_pixels_models_are_no_heads(tmp_path):
    path = tmp_path / "px.onnx"
    path.write_bytes(make_pixels(find_source("nano"), Frame(64, 48)).model.SerializeToString())
    with pytest.raises(InputError, match="is a pixels model"):
        find_source(str(path))


def test_sizes_and_providers():
    assert parse_size("1920X1080") == (1920, 1080)
    for text in ("x", "1920", "-1x5", "1e3x5", "٣x٣", None):
        with pytest.raises(InputError, match="expected WxH"):
            parse_size(text)
    assert check_provider("cpu") == "CPUExecutionProvider"
    assert "CPU" in providers()


def test_a_graph_is_the_same_bytes_every_time():
    source = find_source("vmaf_v0.6.1")
    first, second = (
        pixels_model(source.head, source.feature_set, Frame(64, 48), {"name": "x"})
        for _ in range(2)
    )
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(
        deterministic=True
    )
