"""Options of a comparison: what they mean, and what is refused."""

import pytest

from vmaf_jax.errors import InputError
from vmaf_jax.video.comparison import Comparison


@pytest.mark.parametrize(
    ("start", "rate", "frame"),
    [
        *((None, None, 0), ("48f", None, 48), ("0", 25.0, 0), ("2.5", 24.0, 60), (2.5, 24.0, 60)),
        *(("1:02.5", 10.0, 625), ("1:00:00", 24.0, 86400), (".5", 24.0, 12)),
    ],
)
def test_a_start_is_a_frame(start, rate, frame):
    assert Comparison(start=start).start_frame(rate) == frame


@pytest.mark.parametrize("start", ["", "x", "-1", "1:2:3:4", "1e3", "48F", "inf", "9" * 30])
def test_what_is_no_start_is_refused(start):
    with pytest.raises(InputError, match="--start"):
        Comparison(start=start)


def test_seconds_need_a_rate_and_frames_a_count():
    with pytest.raises(InputError, match="give a frame"):
        Comparison(start="1").start_frame(None)
    with pytest.raises(InputError, match="--frames 0"):
        Comparison(frames=0)


def test_a_region_of_four_numbers_is_the_text_of_them():
    for given in ((640, 360, 128, 96), [640, 360, 128, 96]):
        comparison = Comparison(region=given)
        assert comparison == Comparison(region="640,360,128,96")  # and so one cached result
        assert comparison.box == (640, 360, 128, 96)


@pytest.mark.parametrize(
    "region", ["", "1,2,3", "1,2,3,-4", "a,b,c,d", "1;2;3;4", (1, 2, 3), (1.5, 2, 3, 4), 7]
)
def test_what_is_no_region_is_refused(region):
    with pytest.raises(InputError, match=r"--region .*: expected x,y,width,height"):
        Comparison(region=region)


@pytest.mark.parametrize("stream", ["", "v:1", "-1", "1:", "0:1:2", True, "99999"])
def test_what_is_no_stream_is_refused(stream):
    with pytest.raises(InputError, match=r"--stream .*: expected the number of a video stream"):
        Comparison(stream=stream)
