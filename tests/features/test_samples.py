"""Arrays that no score can be computed from are refused in one line."""

import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.features.samples import check_samples, to_few_types


@pytest.mark.parametrize(
    ("picture", "bits", "message"),
    [
        (np.full((1, 2, 2), 1023, np.uint16), 8, "pass the bits they have"),
        (np.full((1, 2, 2), 300.0), 8, "expected 0 to 255"),
        (np.full((1, 2, 2), 0.5), 8, "multiply by 255"),
    ],
)
def test_samples_of_another_scale_are_refused(picture, bits, message):
    with pytest.raises(InputError, match=message):
        check_samples(bits, luma=picture)


def test_programs_see_few_types():
    assert to_few_types(np.zeros(1, np.uint16)).dtype == np.uint16
    assert to_few_types(np.zeros(1, np.int64)).dtype == np.int32
    assert to_few_types(np.zeros(1, np.float16)).dtype == np.float32
