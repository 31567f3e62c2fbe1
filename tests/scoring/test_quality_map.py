"""Quality maps: of one tile they are the frame's features, and they show where quality is lost."""

import io

import matplotlib.image
import numpy as np
import pytest

from tests.support import full_disk
from vmaf_jax import quality_map, score
from vmaf_jax.errors import InputError
from vmaf_jax.scoring.quality_map import write_maps


@pytest.fixture(scope="module")
def pair():
    """Two frames of 8 bits at 352x288; the second of the worse ones has a smoothed tile."""
    generator = np.random.default_rng(0)
    luma = generator.integers(40, 200, (2, 288, 352), dtype=np.uint8)
    worse = luma.copy()
    worse[1, 64:96, 128:160] = 120
    return luma, worse


def test_maps_show_the_tile_that_lost_its_detail(pair):
    found = quality_map(*pair, frame=1)
    for name in ("vif", "adm"):
        values = found.values[name]
        assert values.shape == (9, 11)
        assert np.unravel_index(values.argmin(), values.shape) == (2, 4)
        assert values[2, 4] < 0.7
        assert values[5, 0] == pytest.approx(1, abs=1e-3)
        assert found.loss(name)[2, 4] == pytest.approx(1 - values[2, 4])
    same = quality_map(*pair, frame=0)
    np.testing.assert_allclose(same.values["vif"], 1, atol=1e-3)


def test_a_map_is_a_picture_of_the_frames_size(pair):
    picture = matplotlib.image.imread(io.BytesIO(quality_map(*pair, frame=1).png("vif")))
    assert picture.shape[:2] == (288, 352)
    grey = np.abs(picture[..., 0] - picture[..., 2])
    assert grey[64:96, 128:160].mean() > 10 * max(grey[128:, :64].mean(), 1e-3)


@pytest.mark.parametrize(("frame", "message"), [(-1, "frame -1"), (10**6, "has 2 frames")])
def test_frames_that_are_not_there_are_refused(pair, frame, message):
    with pytest.raises(InputError, match=message):
        quality_map(*pair, frame=frame)


def test_the_lowest_frames_and_the_worst_region_have_maps(encodes, tmp_path):
    scores = score(encodes / "ref.y4m", encodes / "dis.mp4", worst_region=True, model="nano")
    written = write_maps(tmp_path / "maps", scores)
    assert {path.name.partition("-")[2] for path in written} == {"vif.png", "adm.png"}
    numbers = {int(path.name[5:11]) for path in written}
    assert {int(scores.per_frame.argmin()), scores.worst_region.frame} <= numbers
    assert sorted(written) == sorted((tmp_path / "maps").iterdir())


def test_maps_that_a_full_disk_does_not_take_leave_no_folder(encodes, tmp_path):
    scores = score(encodes / "ref.y4m", encodes / "dis.mp4", model="nano")
    folder = tmp_path / "new" / "maps"
    sizes = sorted(path.stat().st_size for path in write_maps(tmp_path / "whole", scores))
    refusal = pytest.raises(InputError, match=r"cannot write \(File too large\); free space")
    with full_disk(sizes[-1] - 1), refusal:  # all but the largest are written
        write_maps(folder, scores)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
