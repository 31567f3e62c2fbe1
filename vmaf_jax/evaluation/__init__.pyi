from .cross_validation import HeldOut, loso_metrics, read_held_out
from .mapping import calibrate_held_out
from .metrics import Metrics, all_metrics
from .opinion_metrics import rmse_mapped
from .opinion_report import compare_models
from .opinions import Opinions

__all__ = [
    "HeldOut",
    "Metrics",
    "Opinions",
    "all_metrics",
    "calibrate_held_out",
    "compare_models",
    "loso_metrics",
    "read_held_out",
    "rmse_mapped",
]
