"""Losses, optimisers, batches, folds and the training engine."""

from vmaf_jax.training.batches import ClipRows, Rows
from vmaf_jax.training.engine import Trained, cross_validation, make_rows, train_members
from vmaf_jax.training.masks import fold_masks, masked_scalers, source_folds
from vmaf_jax.training.member import Member
from vmaf_jax.training.settings import TrainingSettings

__all__ = [
    "ClipRows",
    "Member",
    "Rows",
    "Trained",
    "TrainingSettings",
    "cross_validation",
    "fold_masks",
    "make_rows",
    "masked_scalers",
    "source_folds",
    "train_members",
]
