"""Measuring a corpus: the embedded one needs no video."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.corpus import CorpusSource, measure_corpus
from vmaf_jax.extraction.request import Request
from vmaf_jax.teacher import load_teacher

SOURCE = CorpusSource("support_vectors")


def test_support_vectors_are_labelled_by_their_own_model(support_vectors):
    table = measure_corpus(SOURCE, Request(("vmaf_v0.6.1",)))
    np.testing.assert_array_equal(table.features, support_vectors.features)
    assert list(table.labels) == ["vmaf_v0.6.1"]


def test_support_vectors_take_one_teacher():
    with pytest.raises(InputError, match="takes one --teacher"):
        measure_corpus(SOURCE, Request(("vmaf_v0.6.1", "vmaf_4k_v0.6.1")))


def test_211_clips_of_23_sources(support_vectors):
    assert len(support_vectors) == 211
    _, clips = np.unique(support_vectors.source.astype(str), return_counts=True)
    assert len(clips) == 23
    assert clips.min() == 7
    assert clips.max() == 10


def test_a_source_is_one_value_of_motion(support_vectors):
    motion = support_vectors.features[:, 5]
    for source in support_vectors.sources:
        assert np.ptp(motion[support_vectors.source == source]) < 1e-3
        assert abs(motion[support_vectors.source == source][0] - float(source[7:])) < 1e-3


def test_labels_are_the_teachers_and_features_physical(support_vectors):
    teacher = load_teacher("vmaf_v0.6.1")
    label = support_vectors.label("vmaf_v0.6.1")
    np.testing.assert_array_equal(label, teacher(support_vectors.features))
    assert (label < 20).sum() == 3
    assert support_vectors.features.min() > 0
    assert (support_vectors.features[:, :5] < 1.001).all()


def test_a_job_that_needs_videos_is_told_that_it_has_none():
    with pytest.raises(InputError, match="holds features, no videos"):
        CorpusSource("support_vectors").clips()
