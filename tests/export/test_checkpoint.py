import jax
import numpy as np
import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.export.checkpoint import load_checkpoint, save_checkpoint
from vmaf_jax.models import Student


def test_round_trip_to_the_same_bytes(tmp_path):
    student = Student("nano")
    variables = student.init(jax.random.key(0))
    for name in ("a", "b"):
        save_checkpoint(tmp_path / name, variables)
    back = load_checkpoint(tmp_path / "a", student)
    for x, y in zip(jax.tree.leaves(back), jax.tree.leaves(dict(variables)), strict=True):
        np.testing.assert_array_equal(x, y)
    files = [path for path in (tmp_path / "a").rglob("*") if path.is_file()]
    assert len(files) > 6
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_damage_is_named(tmp_path):
    student = Student("nano")
    with pytest.raises(InputError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none", student)
    save_checkpoint(tmp_path / "c", student.init(jax.random.key(0)))
    with pytest.raises(InputError, match="parameters of another student"):
        load_checkpoint(tmp_path / "c", Student("tiny"))
    (tmp_path / "c" / "_METADATA").write_text("{")
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(tmp_path / "c", student)
