"""Pixels models of strangers: refused in one line, before they take memory or time."""

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.support import peak, refused
from vmaf_jax.errors import InputError
from vmaf_jax.export.pixels.model_file import Frame, check_pixels, read_pixels
from vmaf_jax.export.pixels.runtime import example_feed
from vmaf_jax.scoring import pixels
from vmaf_jax.scoring.model import load_model
from vmaf_jax.scoring.pixels import find_source, make_pixels, open_pixels

FRAME = Frame(64, 48)


@pytest.fixture(scope="module")
def sound():
    return make_pixels(find_source("nano"), FRAME).model


def copied(model):
    return type(model).FromString(model.SerializeToString())


def with_property(**values):
    def change(model):
        kept = {entry.key: entry.value for entry in model.metadata_props} | values
        del model.metadata_props[:]
        helper.set_model_props(model, {k: v for k, v in kept.items() if v is not None})

    return change


def with_nodes(*nodes, initializers=()):
    def change(model):
        model.graph.node.extend(nodes)
        model.graph.initializer.extend(initializers)

    return change


def ints(name, *values):
    return numpy_helper.from_array(np.array(values, np.int64), name)


def with_output(name, *nodes, initializers=()):
    """Makes output `name` otherwise: `nodes` read the former one as `was`."""

    def change(model):
        made_by = next(k for k, node in enumerate(model.graph.node) if name in node.output)
        model.graph.node[made_by].output[:] = ["was"]
        for added in reversed(nodes):
            model.graph.node.insert(made_by + 1, added)
        model.graph.initializer.extend(initializers)

    return change


def node(kind, inputs, output, **attributes):
    return helper.make_node(kind, inputs, [output], **attributes)


def floats(name, values):
    return numpy_helper.from_array(np.array(values, np.float32), name)


def many_live(model):
    """A thousand pictures, all of which a last sum reads."""
    names = [f"p{k}" for k in range(1000)]
    model.graph.node.extend(node("Abs", ["reference"], name) for name in names)
    model.graph.node.append(node("Sum", names, "all"))


def many_nodes(model):
    """More than are read."""
    model.graph.node.extend(node("Abs", ["vmaf"], f"n{k}") for k in range(30_000))


def many_products(model):
    """Products of small matrices, which hold nothing and take minutes."""
    square = np.zeros((512, 512), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(square, "m0"))
    model.graph.node.extend(node("MatMul", [f"m{k}", "m0"], f"m{k + 1}") for k in range(2000))


def wide_head(model):
    """A head that holds little for two frames, and gigabytes for a clip's thousands."""
    with_output(
        "vmaf",
        node("Reshape", ["was", "column"], "tall"),
        node("MatMul", ["tall", "row"], "wide"),
        node("ReduceMean", ["wide"], "vmaf", axes=[1], keepdims=0),
        initializers=[ints("column", -1, 1), floats("row", np.ones((1, 500_000)))],
    )(model)


BEFORE = {
    "another feature set": (with_property(feature_set="vmaf_v1", features=None), "vmaf_v1"),
    "an unknown feature set": (with_property(feature_set="mine"), "takes the feature set 'mine'"),
    "features in another order": (
        with_property(features="motion2,adm2,vif_scale0,vif_scale1,vif_scale2,vif_scale3"),
        "takes the features motion2",
    ),
    "many nodes": (many_nodes, r"has 30\d+ nodes, at most 20000"),
    "a large Pad": (
        with_nodes(
            node("Pad", ["reference", "by"], "big"),
            initializers=[ints("by", 0, 20_000, 20_000, 0, 0, 0)],
        ),
        "at operator Pad .* values are held at once",
    ),
    "a large constant Pad": (
        with_nodes(
            node("Pad", ["one", "by"], "big"),
            initializers=[floats("one", [1.0]), ints("by", 0, 900_000_000)],
        ),
        "at operator Pad .* values are held at once",
    ),
    "a Pad that the pictures decide": (
        with_nodes(
            node("Cast", ["vmaf"], "by", to=TensorProto.INT64),
            node("Pad", ["vmaf", "by"], "big"),
        ),
        "not a valid ONNX model|of unknown size",
    ),
    "a Resize": (with_nodes(node("Resize", ["reference", "", "by"], "x")), "Resize is not adm"),
    "an Expand": (with_nodes(node("Expand", ["vmaf", "by"], "x")), "Expand is not admitted"),
    "a Tile": (with_nodes(node("Tile", ["vmaf", "by"], "x")), "Tile is not admitted"),
    "a thousand pictures at once": (many_live, "values are held at once"),
    "products that take minutes": (many_products, "at operator MatMul .* operations are done"),
    "a convolution of everything": (
        with_nodes(
            node("Reshape", ["reference", "plane"], "x4"),
            node("Conv", ["x4", "w"], "y4", pads=[128, 128, 128, 128]),
            initializers=[ints("plane", -1, 1, 48, 64), floats("w", np.ones((1, 1, 256, 256)))],
        ),
        "at operator Conv",
    ),
    "a large average": (
        with_nodes(
            node("Reshape", ["reference", "plane"], "x4"),
            node(
                "AveragePool", ["x4"], "y4", kernel_shape=[2001, 2001], pads=[1000] * 4,
                count_include_pad=1,
            ),
            initializers=[ints("plane", -1, 1, 48, 64)],
        ),
        "at operator AveragePool",
    ),
    "a wide head": (wide_head, "values are held at once"),
    "one score for all frames": (
        with_output("vmaf", node("ReduceMean", ["was"], "vmaf", axes=[0], keepdims=1)),
        r"vmaf has shape \(1,\) for two frames",
    ),
    "two scores a frame": (
        with_output("vmaf", node("Concat", ["was", "was"], "vmaf", axis=0)),
        r"vmaf has shape \(4,\) for two frames",
    ),
    "seven features": (
        with_output(
            "features",
            node("Slice", ["was", "a", "b", "axis"], "last"),
            node("Concat", ["was", "last"], "features", axis=1),
            initializers=[ints("a", 5), ints("b", 6), ints("axis", 1)],
        ),
        r"features has shape \(2, 7\)|not a valid ONNX",
    ),
    "a Conv without weights": (with_nodes(node("Conv", ["reference"], "x")), "not a valid ONNX"),
    "weights in another file": (
        lambda model: setattr(
            model.graph.initializer[0], "data_location", TensorProto.EXTERNAL
        ),
        "keeps its weights in another file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BEFORE)
def test_it_is_refused_before_it_runs(case, sound, tmp_path):
    change, message = BEFORE[case]
    model, path = copied(sound), tmp_path / "px.onnx"
    change(model)
    path.write_bytes(model.SerializeToString())
    memory, started = peak(), time.monotonic()
    with pytest.raises(InputError, match=message) as refusal:
        read_pixels(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)
    assert peak() - memory < 1 << 29
    assert time.monotonic() - started < 20


def times(name, factor, shift=0.0):
    return with_output(
        name,
        node("Mul", ["was", "factor"], "larger"),
        node("Add", ["larger", "shift"], name),
        initializers=[floats("factor", factor), floats("shift", shift)],
    )


MIXED = {  # one score for all frames, though as many as there are
    "the mean": (
        node("ReduceMean", ["was"], "mean", axes=[0], keepdims=1),
        node("Sub", ["was", "was"], "none"),
        node("Add", ["none", "mean"], "vmaf"),
    ),
    "the largest": (
        node("ReduceMax", ["was"], "most", axes=[0], keepdims=1),
        node("Max", ["was", "most"], "vmaf"),
    ),
    "shares": (node("Softmax", ["was"], "vmaf", axis=0),),
}


@pytest.mark.parametrize("case", MIXED)
def test_a_score_that_depends_on_other_frames_is_refused(case, sound, tmp_path):
    model, path = copied(sound), tmp_path / "px.onnx"
    with_output("vmaf", *MIXED[case])(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"px\.onnx: the score of a frame depends on the frames"):
        run(path)


def test_so_is_one_of_a_model_of_features(tmp_path):
    model, path = onnx.load("checkpoints/nano/model.onnx"), tmp_path / "m.onnx"
    with_output("vmaf", *MIXED["the mean"])(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=r"m\.onnx: the score of a frame depends on the frames"):
        load_model(path)


@pytest.mark.parametrize("file", sorted(Path("checkpoints").glob("*/*.onnx")), ids=str)
def test_ours_do_not(file):
    assert load_model(file)(np.full((2, 6), 0.9)).shape == (2,)


RUNNING = {
    "a score of NaN": (
        with_output(
            "vmaf", node("Neg", ["was"], "less"), node("Log", ["less"], "vmaf")
        ),
        r"not all in \[0, 100\]",
    ),
    "a score of 77 million": (times("vmaf", 0.0, 77e6), r"not all in \[0, 100\]"),
    "a score below 0": (times("vmaf", 0.0, -1.0), r"not all in \[0, 100\]"),
    "features of NaN": (
        with_output(
            "features", node("Neg", ["was"], "less"), node("Log", ["less"], "features")
        ),
        "gives adm2 as nan",
    ),
    "features of infinity": (times("features", 1e38, 1e38), "gives adm2 as"),
    "features that are none": (times("features", 0.5), "its adm2 of a sample picture is"),
    "features of another gain limit": (
        with_property(feature_set="vmaf_neg"),
        r"says that it measures the feature set vmaf_neg|which is not in",
    ),
}  # fmt: skip


def run(path):
    """Opens a file and scores a picture with it."""
    runtime = open_pixels(str(path), FRAME)
    return runtime.score(runtime.features(*example_feed(FRAME).values()))


@pytest.mark.parametrize("case", RUNNING)
def test_it_is_refused_by_what_it_gives(case, sound, tmp_path):
    change, message = RUNNING[case]
    model, path = copied(sound), tmp_path / "px.onnx"
    change(model)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match=message) as refusal:
        run(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("change", [RUNNING["a score of NaN"], BEFORE["a large Pad"]])
def test_the_command_ends_with_one_line(change, encodes, tmp_path):
    model, path = make_pixels(find_source("nano"), Frame(352, 288)).model, tmp_path / "px.onnx"
    change[0](model)
    path.write_bytes(model.SerializeToString())
    pair = (encodes / "ref.y4m", encodes / "dis.mp4")
    refused(tmp_path, change[1], "score", *pair, "--backend", "onnx", "--model", path)


@pytest.mark.parametrize("frame", [Frame(17, 17), Frame(1920, 1080, "uint8"), Frame(4096, 2160)])
@pytest.mark.parametrize("name", ["tiny", "rbf", "vmaf_v0.6.1", "vmaf_v0.6.1neg"])
def test_our_own_are_within_the_limits(name, frame):
    model = make_pixels(find_source(name), frame).model
    assert check_pixels(onnx.load_from_string(model.SerializeToString()), Path("x")).frame == frame


def test_our_own_files_are_not_measured_again(sound, tmp_path, monkeypatch):
    path = tmp_path / "px.onnx"
    path.write_bytes(sound.SerializeToString())
    monkeypatch.setattr(pixels, "example_feed", lambda frame, name: pytest.fail("was measured"))
    assert open_pixels(str(path), FRAME).frame == FRAME
