import json

import pytest

from benchmarks.onnxruntime_versions import bench_versions
from vmaf_jax.files import to_json


@pytest.mark.slow
def test_older_versions_of_onnxruntime_give_the_same_bits():
    figures = json.loads(to_json(bench_versions(1)))
    assert figures["tiny"]["1.20.1"]["rows of other bits"] == 0
    assert figures["nano int8"]["1.21.1"]["rows of other bits"] == 0
