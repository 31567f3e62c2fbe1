"""Results as clients read them, and what the server loads to say so."""

import math
import subprocess
import sys

from vmaf_jax.serving import requests, results
from vmaf_jax.serving.tools import WORK, output_schemas


def test_figures_that_are_undefined_are_null():
    work = WORK[requests.CompareRequest]
    agreement = results.Agreement(model="m", kind="run", plcc=math.nan, rmse=math.inf, max_abs=1.0)
    rows = {"label": "mos", "split": "all", "rows": 1, "sources": ["s"]}
    (plain,) = work.to_plain(results.CompareResult(**rows, ranked=[agreement]))["ranked"]
    assert (plain["plcc"], plain["srocc"], plain["rmse"], plain["max_abs"]) == (None,) * 3 + (1.0,)


def test_schemas_say_what_docstrings_do_and_that_every_field_is_there():
    schema = output_schemas()["vmaf_score"]
    assert schema["required"] == list(schema["properties"])
    assert schema["properties"]["seconds"]["description"] == "Spent on extraction and on inference."
    interval = schema["$defs"]["ScoreInterval"]["properties"]
    assert all(field["description"] for field in interval.values())


def test_the_server_loads_neither_jax_nor_numpy():
    script = (
        "import sys, vmaf_jax.serving.transports\n"
        "print({'jax', 'numpy', 'scipy', 'pyarrow'} & sys.modules.keys())"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert loaded.stdout.strip() == "set()", loaded.stderr
