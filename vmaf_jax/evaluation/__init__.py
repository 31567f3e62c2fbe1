"""Metrics and cross-validation summaries."""

from vmaf_jax.evaluation.cross_validation import HeldOut, loso_metrics, read_held_out, to_json
from vmaf_jax.evaluation.metrics import all_metrics

__all__ = ["HeldOut", "all_metrics", "loso_metrics", "read_held_out", "to_json"]
