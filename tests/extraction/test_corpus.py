"""Measuring a corpus: the embedded one needs no video."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.extraction.corpus import CorpusSource, measure_corpus
from vmaf_jax.extraction.request import Request

SOURCE = CorpusSource("support_vectors")


def test_support_vectors_are_labelled_by_their_own_model(support_vectors):
    table = measure_corpus(SOURCE, Request(("vmaf_v0.6.1",)))
    np.testing.assert_array_equal(table.features, support_vectors.features)
    assert list(table.labels) == ["vmaf_v0.6.1"]


def test_support_vectors_take_one_teacher():
    with pytest.raises(InputError, match="takes one --teacher"):
        measure_corpus(SOURCE, Request(("vmaf_v0.6.1", "vmaf_4k_v0.6.1")))
