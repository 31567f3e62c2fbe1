"""Metrics, cross-validation summaries, intervals, agreement of backends, behaviour."""

from vmaf_jax.evaluation.cross_validation import HeldOut, loso_metrics, read_held_out
from vmaf_jax.evaluation.metrics import Metrics, all_metrics

__all__ = ["HeldOut", "Metrics", "all_metrics", "loso_metrics", "read_held_out"]
