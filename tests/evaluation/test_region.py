import numpy as np

from vmaf_jax.evaluation.conformal import TrainingRegion, fit_region
from vmaf_jax.features.feature_set import FEATURES


def test_distance_is_mahalanobis():
    region = TrainingRegion(np.array([1.0, 2.0]), np.array([[4.0, 0], [0, 9]]), 2.0)
    np.testing.assert_allclose(region.distance(np.array([[3.0, 2], [1, 8], [1, 2]])), [1, 2, 0])
    assert region.contains(np.array([1.0, 8]))
    assert not region.contains(np.array([1.0, 8.1]))


def test_clips_of_new_sources_are_inside_and_strange_ones_are_not(support_vectors, demo_table):
    _, group = np.unique(support_vectors.source.astype(str), return_inverse=True)
    region = fit_region(support_vectors.features, group)
    assert np.mean(region.distance(support_vectors.features) <= region.limit) >= 0.97
    clips = demo_table.mean_pool()
    inside = region.distance(clips.features) <= region.limit
    assert inside.mean() >= 0.85
    assert set(clips.clip[~inside]) <= {"x264_crf40_176w"}  # ruined: a third of the width
    for strange in ([0] * 6, [0.5, 0.9, 0.1, 0.1, 0.1, 5], [0.2, 0.9, 0.9, 0.9, 0.9, 3]):
        assert len(strange) == len(FEATURES)
        assert not region.contains(np.array(strange, float))


def test_a_feature_that_never_varies_is_no_division_by_zero():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(0, 1, 40), np.full(40, 0.5)])
    region = fit_region(features, np.arange(40) % 4)
    assert region.contains(np.array([0.1, 0.5]))
    assert not region.contains(np.array([0.1, 0.9]))
