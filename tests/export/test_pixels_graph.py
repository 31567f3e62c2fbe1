"""A graph that is written operator by operator computes what it says, in ONNX Runtime."""

import numpy as np
import onnx
import pytest
import scipy.ndimage

from vmaf_jax.export.onnx_runtime import open_session
from vmaf_jax.export.pixels.features import Blocks, _total, mirror, smooth_rounded
from vmaf_jax.export.pixels.graph import Graph


def run(graph, path, **feed):
    opset = onnx.helper.make_opsetid("", 17)
    model = onnx.helper.make_model(graph.to_onnx("g"), opset_imports=[opset], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return open_session(model.SerializeToString(), path).run(None, feed)[0]


def test_arithmetic_appends_nodes_and_stores_a_constant_once(tmp_path):
    graph = Graph()
    x, y = graph.input("x", (None, 4)), graph.input("y", (None, 4))
    graph.output("z", (x * y + 1) * 1, (None, 4))
    a, b = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(run(graph, tmp_path, x=a, y=b), a * b + 1)
    assert len(graph.initializers) == 1


def test_rounded_filter_is_a_separable_correlation(tmp_path):
    taps, graph = (0.25, 0.5, 0.25), Graph()
    x = graph.input("x", (None, 1, 6, 8))
    graph.output("y", smooth_rounded(mirror(x, 1), taps, (8, 10)), (None, 1, 6, 8))
    picture = np.random.default_rng(0).uniform(0, 255, (6, 8)).astype(np.float32)
    expected = scipy.ndimage.correlate(picture, np.outer(taps, taps), mode="mirror")
    received = run(graph, tmp_path, x=picture[None, None])[0, 0]
    np.testing.assert_allclose(received, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("total", "shape"),
    [(_total, (1, 540, 960)), (Blocks(2160, 3840).total, (16 * 16, 135, 240))],
    ids=["scale 2 of 2160p", "scale 0 of 2160p"],
)
def test_sums_of_large_flat_pictures_keep_their_digits(total, shape, tmp_path):
    """Added at once they would be 5e-4 too low in ONNX Runtime, and VIF 1e-4 of drawn content."""
    graph = Graph()
    graph.output("y", total(graph.input("x", (None, *shape))), (None,))
    terms = np.full((1, *shape), np.log(2), np.float32)
    received = run(graph, tmp_path, x=terms)
    np.testing.assert_allclose(received, [terms.sum(dtype=np.float64)], rtol=5e-6)
