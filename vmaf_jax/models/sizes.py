"""Sizes of networks and heads; loads no JAX."""

from collections.abc import Mapping

import numpy as np

# Units of the hidden layers of perceptrons, by name; of `mlp` where the student names none.
HIDDEN_LAYERS: Mapping[str, tuple[int, ...]] = {
    "mlp": (64, 32, 16),
    "nano": (64, 64),
    "tiny": (128, 128, 128),
}
N_COLUMNS = 64  # of a perceptron's deployed last product; 32 and 96 were seen to round otherwise
RBF_UNITS = 32
N_CHANNELS = 2  # that `attention` reads in place of the features
BINS = np.arange(-40.0, 140.0 + 1.0, 2.0, dtype=np.float32)  # VMAF points, K = 91
