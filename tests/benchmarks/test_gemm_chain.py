from pathlib import Path

import numpy as np
import onnx

from benchmarks.gemm_chain import optimised_operators, write_gemm_chain
from vmaf_jax.benchmarks.scoring import open_rows_session


def test_the_gemm_chain_is_the_model_without_its_activations(tmp_path):
    path = write_gemm_chain(Path("checkpoints/tiny/model.onnx"), tmp_path / "c.onnx")
    model = onnx.load(path)
    assert [node.op_type for node in model.graph.node] == ["Gemm"] * 4
    weights = {leaf.name: onnx.numpy_helper.to_array(leaf) for leaf in model.graph.initializer}
    x = h = np.random.default_rng(0).uniform(0, 1, (3, 6)).astype(np.float32)
    for node in model.graph.node:
        h = h @ weights[node.input[1]] + weights[node.input[2]]
    np.testing.assert_allclose(open_rows_session(path, 1)(x)[0], h, rtol=1e-4, atol=1e-3)


def test_onnx_runtime_fuses_8_bit_products_but_no_activations():
    graph = optimised_operators(Path("checkpoints/tiny/model.int8.onnx"))
    assert graph.count("QGemm") >= 1
    graph = optimised_operators(Path("checkpoints/tiny/model.onnx"))
    assert not any(operator.startswith("Fused") for operator in graph)
