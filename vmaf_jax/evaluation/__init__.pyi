from .cross_validation import HeldOut, loso_metrics, read_held_out
from .metrics import Metrics, all_metrics
from .opinion_report import compare_against_opinions
from .opinions import Opinions, calibrate_held_out, rmse_mapped

__all__ = [
    "HeldOut",
    "Metrics",
    "Opinions",
    "all_metrics",
    "calibrate_held_out",
    "compare_against_opinions",
    "loso_metrics",
    "read_held_out",
    "rmse_mapped",
]
