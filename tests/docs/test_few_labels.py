"""The experiment behind few-labels.md trains on few clips and predicts the source left out."""

import numpy as np

from docs.experiments.few_labels import fewer_clips
from vmaf_jax.runs.config import DataConfig
from vmaf_jax.runs.problem import load_problem


def test_folds_see_few_clips_and_predict_the_source_that_they_leave_out():
    problem = load_problem(DataConfig(corpus="support_vectors", mean_pool=True))
    fewer = fewer_clips(problem, 3, np.random.default_rng(0))
    assert fewer.fold.tolist() == problem.fold.tolist()
    assert fewer.masks.sum(axis=1).tolist() == [3] * len(problem.sources)
    for fold, mask in enumerate(fewer.masks):
        assert not mask[problem.fold == fold].any()
