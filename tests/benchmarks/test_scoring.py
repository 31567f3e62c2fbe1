import json

import pytest

from vmaf_jax.cli import main


def test_bench_inference_reports_every_form(capsys):
    main(["bench", "inference", "--repeats", "1", "--json"], leave=False)
    figures = json.loads(capsys.readouterr().out)
    for model in ("nano", "tiny"):
        forms = set(figures[model]["batch 240"])
        assert {"fp32, threads 1", "static, threads 2", "dynamic, threads 1", "jax"} <= forms
    fastest = figures["tiny"]["batch 240"]["fp32, threads 1"]
    assert fastest["rows_per_s"] * fastest["median_s"] == pytest.approx(240)
    assert figures["score"]["share"] < 0.05
