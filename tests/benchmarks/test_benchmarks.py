import json
import math
from pathlib import Path

import numpy as np
import pytest

from vmaf_jax.benchmarks import run_benchmark
from vmaf_jax.benchmarks.inference import gemm_chain, session_of
from vmaf_jax.benchmarks.report import to_lines
from vmaf_jax.benchmarks.timing import sample, summary
from vmaf_jax.cli import main
from vmaf_jax.errors import InputError


def test_intervals_hold_the_median_as_often_as_they_say():
    draws = np.random.default_rng(0).exponential(size=(2000, 31))
    summaries = [summary(draw.tolist()) for draw in draws]
    held = np.mean([s["low_s"] <= math.log(2) <= s["high_s"] for s in summaries])
    assert 0.93 <= held <= 0.99


def test_every_subject_is_called_alike():
    calls = {"a": 0, "b": 0}

    def subject(name):
        calls[name] += 1

    times = sample({name: lambda name=name: subject(name) for name in calls}, 5)
    assert calls["a"] == calls["b"] == 2 + 5  # twice before the clock runs
    assert set(times) == {"a", "b"}


def test_the_gemm_chain_is_the_model_without_its_activations(tmp_path):
    import onnx

    path = gemm_chain(Path("checkpoints/tiny/model.onnx"), tmp_path / "c.onnx")
    model = onnx.load(path)
    assert [node.op_type for node in model.graph.node] == ["Gemm"] * 4
    weights = {leaf.name: onnx.numpy_helper.to_array(leaf) for leaf in model.graph.initializer}
    x = h = np.random.default_rng(0).uniform(0, 1, (3, 6)).astype(np.float32)
    for node in model.graph.node:
        h = h @ weights[node.input[1]] + weights[node.input[2]]
    np.testing.assert_allclose(session_of(path, 1)(x)[0], h, rtol=1e-4, atol=1e-3)


def test_bench_inference_reports_every_form(capsys):
    main(["bench", "inference", "--repeats", "1", "--json"], leave=False)
    figures = json.loads(capsys.readouterr().out)
    for model in ("nano", "tiny"):
        forms = set(figures[model]["batch 240"])
        assert {"fp32, threads 1", "static, threads 2", "dynamic, threads 1", "jax"} <= forms
        assert figures[model]["optimised graph"]["static"].count("QGemm") >= 1
        assert figures[model]["activations fused into products"]["fp32"] is False
    assert figures["score"]["share"] < 0.05
    assert any(line.startswith("tiny, batch 1, jax: ") for line in to_lines(figures))


@pytest.mark.slow
def test_older_versions_of_onnxruntime_give_the_same_bits():
    figures = run_benchmark("onnxruntime-versions", 1)
    assert figures["tiny"]["1.20.1"]["rows of other bits"] == 0
    assert figures["nano int8"]["1.21.1"]["rows of other bits"] == 0


def test_unknown_benchmarks_are_named():
    with pytest.raises(InputError, match=r"bench nap: expected one of extract, train, inference"):
        run_benchmark("nap")
