"""Losses, optimisers, masks and the mapped training loop."""

from vmaf_jax.training.batches import ClipRows
from vmaf_jax.training.loop import Trained, cross_validation_members, make_members, train_members
from vmaf_jax.training.masks import loso_masks, source_folds, source_masks
from vmaf_jax.training.member import Member, Rows
from vmaf_jax.training.settings import TrainingSettings

__all__ = [
    "ClipRows",
    "Member",
    "Rows",
    "Trained",
    "TrainingSettings",
    "cross_validation_members",
    "loso_masks",
    "make_members",
    "source_folds",
    "source_masks",
    "train_members",
]
