"""What the libraries beneath do with valid input, as docs/traps.md says of their pinned versions.

A failure means that a library has changed: mend the page, and see whether our way around it can go.
"""

import threading
from pathlib import Path

import anyio
import bjontegaard
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import orbax.checkpoint as ocp
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from jax2onnx import to_onnx
from mcp import Client
from mcp.server import MCPServer
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from pydantic import BaseModel


def test_jax_divides_by_multiplying():
    values = np.arange(256, dtype=np.float32)
    divided = np.asarray(jax.jit(lambda x: x / 255)(values))
    differ = divided != values / np.float32(255)
    assert 100 < differ.sum() < 150
    np.testing.assert_array_max_ulp(divided, values / np.float32(255), maxulp=1)


@pytest.mark.skipif(
    "fma" not in Path("/proc/cpuinfo").read_text().split(), reason="this CPU fuses no products"
)
def test_jax_fuses_a_product_and_a_difference():
    values = np.random.default_rng(0).standard_normal(1_000_000).astype(np.float32)
    fused = np.asarray(jax.jit(lambda a, b: a * a - b * b)(values, values.copy()))
    assert np.mean(fused != 0) > 0.999
    assert 0.49 < np.mean(fused < 0) < 0.51
    assert np.abs(fused).max() < 1e-6
    eager = jnp.asarray(values) * jnp.asarray(values)
    assert not np.any(np.asarray(eager - jnp.asarray(values) * jnp.asarray(values)))


def test_jax_flushes_small_results_to_zero():
    assert float(jnp.exp(jnp.float32(-88))) == 0
    assert np.exp(np.float32(-88)) > 0


def test_jax_tanh_ends_early():
    values = np.linspace(7.5, 9.5, 20_001, dtype=np.float32)
    ones = np.asarray(jax.jit(jnp.tanh)(values)) == 1
    assert 7.99 < values[np.argmax(ones)] < 8.01
    exact = np.tanh(values.astype(np.float64)).astype(np.float32) == 1
    assert values[np.argmax(exact)] > 9


@pytest.mark.parametrize("function", [jnp.log1p, jnp.expm1, jax.nn.elu])
def test_small_numbers_are_lost_in_an_export(function):
    graph = to_onnx(function, [(4,)], opset=17)
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    small = np.full(4, -1e-8, np.float32)
    assert not np.any(session.run(None, {session.get_inputs()[0].name: small})[0])
    assert np.all(function(small) < 0)


class Rows(CalibrationDataReader):
    def __init__(self):
        self.rows = iter([{"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)}])

    def get_next(self):
        return next(self.rows, None)


def _gemm(path, bias):
    """Writes a network of one `Gemm`, whose bias has the shape `bias`."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy")
    weights = {"w": np.diag([1.0, 2, 3]).astype("f"), "b": np.full(bias, 0.5, "f")}
    parts = [numpy_helper.from_array(values, name) for name, values in weights.items()]
    node = helper.make_node("Gemm", ["x", "w", "b"], ["y"])
    opsets = [helper.make_opsetid("", 17)]
    graph = helper.make_graph([node], "g", [x], [y], parts)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def test_quantising_biases_of_two_dimensions_fails_without_words(tmp_path):
    quantize_static(_gemm(tmp_path / "a.onnx", 3), tmp_path / "q.onnx", Rows(), per_channel=True)
    session = onnxruntime.InferenceSession(tmp_path / "q.onnx")
    (found,) = session.run(None, {"x": np.ones((1, 3), np.float32)})
    np.testing.assert_allclose(found, [[1.5, 2.5, 3.5]], atol=0.05)
    two = _gemm(tmp_path / "b.onnx", (1, 3))
    with pytest.raises(ValueError, match="truth value of an array with more than one element"):
        quantize_static(two, tmp_path / "r.onnx", Rows(), per_channel=True)


def test_a_filter_for_nan_finds_none_in_a_parquet_file(tmp_path):
    table = pa.table({"score": [1.0, 1.0, float("nan")]})
    pq.write_table(table, tmp_path / "t.parquet")
    is_nan = pc.is_nan(pc.field("score"))
    assert table.filter(is_nan).num_rows == 1
    assert pq.read_table(tmp_path / "t.parquet", filters=is_nan).num_rows == 0


def test_orbax_truncates_weights_for_an_integer_target(tmp_path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "c", {"w": np.full(2, 2.7, np.float32)})
        checkpointer.wait_until_finished()
        target = {"w": jax.ShapeDtypeStruct((2,), jnp.int32)}
        np.testing.assert_array_equal(checkpointer.restore(tmp_path / "c", target)["w"], [2, 2])


def test_cubic_bd_rate_of_saturated_ladders_is_absurd():
    rate = [500, 1000, 2000, 4000]

    def compute(first, second, method):
        return bjontegaard.bd_rate(rate, first, rate, second, method=method)

    near_100 = [60, 90, 99.98, 100], [64, 92, 99.99, 100]
    assert compute(*near_100, "cubic") > 1e6
    assert -9 < compute(*near_100, "pchip") < -5
    one_falls = [60, 75, 74, 94], [64, 79, 89, 95.5]
    assert compute(*one_falls, "cubic") > 200
    for method in ("pchip", "akima"):
        with pytest.raises(ValueError, match="increasing"):
            compute(*one_falls, method)


class Score(BaseModel):
    score: float


def _call(tool):
    async def ask():
        server = MCPServer("traps")
        server.tool(name="ask")(tool)
        async with Client(server) as client:
            return await client.call_tool("ask", {})

    return anyio.run(ask)


def test_mcp_loses_an_answer_that_holds_nan():
    def give_nan() -> Score:
        return Score(score=float("nan"))

    lost = pytest.RaisesExc(RuntimeError, match="None is not of type 'number'")
    with pytest.RaisesGroup(lost, flatten_subgroups=True):
        _call(give_nan)


def test_mcp_keeps_the_words_of_an_error_to_itself():
    def fail() -> str:
        raise ValueError("boom")

    result = _call(fail)
    assert result.is_error
    assert "boom" not in result.content[0].text


def test_mcp_runs_synchronous_tools_in_threads():
    """Four calls that wait for each other end, so that they run at one time."""
    barrier = threading.Barrier(4)

    def meet() -> int:
        return barrier.wait(timeout=60)

    async def ask():
        server = MCPServer("traps")
        server.tool(name="meet")(meet)
        async with Client(server) as client, anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(call, client)

    async def call(client):
        result = await client.call_tool("meet", {})
        assert not result.is_error

    anyio.run(ask)
