"""Metrics, cross-validation summaries, intervals, agreement of backends, behaviour, opinions."""

from vmaf_jax.evaluation.cross_validation import HeldOut, loso_metrics, read_held_out
from vmaf_jax.evaluation.mapping import calibrate_held_out
from vmaf_jax.evaluation.metrics import Metrics, all_metrics
from vmaf_jax.evaluation.opinion_metrics import rmse_mapped
from vmaf_jax.evaluation.opinion_report import compare_models, opinion_report
from vmaf_jax.evaluation.opinions import Opinions

__all__ = [
    "HeldOut",
    "Metrics",
    "Opinions",
    "all_metrics",
    "calibrate_held_out",
    "compare_models",
    "loso_metrics",
    "opinion_report",
    "read_held_out",
    "rmse_mapped",
]
