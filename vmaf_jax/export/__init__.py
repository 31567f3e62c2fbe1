"""From a trained student to files that other programs load, verified."""
