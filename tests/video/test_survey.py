"""Sources that cannot be compared frame by frame are refused before they are decoded."""

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video
from vmaf_jax.video.survey import survey_source


def test_a_raw_file_has_no_rate(tmp_path):
    path = tmp_path / "raw.yuv"
    path.write_bytes(bytes(64 * 64 * 3 // 2))
    with pytest.raises(InputError, match=r"a raw file has no rate; wrap it as \.y4m"):
        survey_source(find_ffmpeg(), Video(path, 64, 64, "yuv420p"), lambda sizes, rate: ())
