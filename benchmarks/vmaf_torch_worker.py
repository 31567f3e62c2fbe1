"""Runs vmaf-torch in an environment that has it: one call for every line of standard input.

python vmaf_torch_worker.py FRAMES.npz
"""

import sys
import time

import numpy as np
import torch
from vmaf_torch import VMAF


def main(path: str) -> None:
    """Prints the mean score, then the seconds of a call for every line that it reads."""
    arrays = np.load(path, allow_pickle=False)
    pair = [
        torch.from_numpy(arrays[name].astype(np.float32))[:, None]
        for name in ("reference", "distorted")
    ]
    model = VMAF()
    with torch.no_grad():
        print(float(model(*pair).mean()), flush=True)
        for _ in sys.stdin:
            started = time.perf_counter()
            model(*pair)
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
