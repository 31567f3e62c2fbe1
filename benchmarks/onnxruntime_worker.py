"""Scores rows with each model under the ONNX Runtime of this environment, once.

    python onnxruntime_worker.py MODELS.json ROWS.npz

Needs ONNX Runtime and NumPy alone. Prints as JSON how far each model's scores lie from those in
ROWS.npz and the seconds of a call.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

_BATCHES = (1, 240)
_CALLS = {1: 400, 240: 60}


def main(models: str, rows_file: str) -> None:
    """Runs every model of `MODELS.json` and prints the result."""
    paths = json.loads(Path(models).read_text())
    arrays = np.load(rows_file, allow_pickle=False)
    rows = arrays["rows"]
    report = {"version": onnxruntime.__version__, "models": {}}
    for name, path in paths.items():
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        (scores,) = session.run(None, {"features": rows})
        seconds = {}
        for batch in _BATCHES:
            feed = {"features": rows[:batch]}
            for _ in range(_CALLS[batch]):
                session.run(None, feed)
            started = time.perf_counter()
            for _ in range(_CALLS[batch]):
                session.run(None, feed)
            seconds[batch] = (time.perf_counter() - started) / _CALLS[batch]
        difference = np.abs(scores.astype(np.float64) - arrays[name])
        report["models"][name] = {
            "max_abs": float(difference.max()),
            "other_bits": int((scores != arrays[name]).sum()),
            "seconds": seconds,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
