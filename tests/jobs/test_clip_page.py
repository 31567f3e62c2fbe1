"""A clip's page as values: which frames, which pictures, which cuts, and how much at most."""

import dataclasses
import io
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import run_command
from vmaf_jax import quality_map, score
from vmaf_jax.errors import InputError
from vmaf_jax.jobs import clip_page
from vmaf_jax.jobs.clip_page import clip_view, write_clip_page
from vmaf_jax.reporting.clip_page import MAX_BINS, Encode, bin_scores
from vmaf_jax.reporting.clip_page import clip_page as reporting_page
from vmaf_jax.scoring.rank import rank
from vmaf_jax.scoring.scores import WorstRegion
from vmaf_jax.video.decode import DecodedPair
from vmaf_jax.video.ffmpeg import find_ffmpeg
from vmaf_jax.video.inputs import Video


@pytest.fixture(scope="module")
def pair(tmp_path_factory, ffmpeg):
    """16 frames with a cut at the tenth, moving, and their encode."""
    folder = tmp_path_factory.mktemp("cut")

    def make(*arguments):
        subprocess.run([ffmpeg, "-v", "error", "-y", *arguments], check=True, cwd=folder)

    inputs = ["-f", "lavfi", "-i", "testsrc2=size=352x288:rate=25", "-f", "lavfi", "-i"]
    inputs += ["testsrc2=size=352x288:rate=25,negate,hflip"]
    joined = "[0:v]trim=end_frame=10[a];[1:v]trim=end_frame=6[b];[a][b]concat,format=yuv420p"
    make(*inputs, "-filter_complex", joined, "ref.y4m")
    make("-i", "ref.y4m", "-c:v", "libx264", "-crf", "40", "-bf", "0", "dis.mp4")
    return folder / "ref.y4m", folder / "dis.mp4"


def test_pictures_are_of_the_frames_that_they_name(pair):
    first = 2
    scores = score(*pair, "nano", start=f"{first}f")
    view = clip_view([scores])
    assert view.cuts == [10 - first]
    assert (view.n_frames, view.start, view.rate, view.size) == (14, first, 25, (352, 288))
    luma = DecodedPair(find_ffmpeg(), *map(Video, pair))
    try:
        blocks = np.zeros((2, 16, 288, 352), np.uint8)
        luma.read(*blocks)
    finally:
        luma.close()
    (encode,) = view.encodes
    assert list(encode.worst) == sorted(encode.worst, key=encode.at)
    assert encode.at(encode.worst[0]) == scores.per_frame.min()
    for k, pictures in enumerate((view.pictures, encode.pictures)):
        assert set(encode.worst) <= set(pictures)
        for frame, content in pictures.items():
            y = np.asarray(Image.open(io.BytesIO(content)).convert("L"), np.float64)
            limited = y * 219 / 255 + 16
            distance = np.abs(blocks[k] - limited).mean((1, 2))
            assert int(np.argmin(distance)) == frame + first
            assert distance[frame + first] < 3


def test_maps_and_the_box_are_of_the_part_that_was_measured(pair):
    reference, encode = pair
    scores = score(reference, encode, "nano", region="10,20,200,100")
    region = WorstRegion(5, 0.2, (42, 40, 50, 25), 20.0, 90.0, stands_out=True)
    view = clip_view([dataclasses.replace(scores, worst_region=region)])
    (drawn,) = view.encodes
    assert drawn.region.frame == 5
    assert drawn.region.place == pytest.approx((32 / 200, 20 / 100, 50 / 200, 25 / 100))
    assert drawn.marked[0] == 5
    assert set(drawn.maps) == set(drawn.marked)
    assert view.map_extent == (7 * 32 / 200, 4 * 32 / 100)
    found = quality_map(reference, encode, 5, region="10,20,200,100")
    for feature in ("vif", "adm"):
        np.testing.assert_array_equal(drawn.maps[5][feature], found.loss(feature))


def test_a_page_is_made_without_jax(pair, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    view = clip_view([score(*pair, "nano")])
    assert not view.encodes[0].maps
    assert ".[train]" in reporting_page(view)


def test_a_page_is_of_one_reference_and_of_something(pair, encodes, tmp_path):
    first, other = score(*pair, "nano"), score(encodes / "ref.y4m", encodes / "dis.mp4", "nano")
    with pytest.raises(InputError, match="one reference"):
        write_clip_page(tmp_path / "x.html", [first, other])
    with pytest.raises(InputError, match="no video was scored"):
        write_clip_page(tmp_path / "x.html", [], [("a.mp4", "broken")])
    assert not list(tmp_path.iterdir())


def test_encodes_of_one_name_are_told_apart(pair, tmp_path):
    reference, encode = pair
    copies = [tmp_path / name / "dis.mp4" for name in ("fast", "slow")]
    for copy in copies:
        copy.parent.mkdir()
        copy.write_bytes(encode.read_bytes())
    ranking = rank(reference, copies, "nano")
    names = [entry.name for entry in clip_view(ranking.ranked).encodes]
    assert names == ["fast/dis.mp4", "slow/dis.mp4"]


def test_pages_are_bounded(pair, monkeypatch):
    scores = score(*pair, "nano")
    monkeypatch.setattr(clip_page, "MAX_BYTES", 1)
    view = clip_view([scores])
    assert list(view.pictures) == [view.encodes[0].worst[0]]


def test_long_clips_are_drawn_in_columns():
    rng = np.random.default_rng(0)
    scores = rng.uniform(0, 100, 100_003)
    frames = np.arange(len(scores), dtype=np.int32)
    encode = Encode(
        "x", 50.0, None, frames, scores, range(len(frames)), [int(np.argmin(scores))], [], {}, {}
    )
    drawn = bin_scores(encode)
    assert len(drawn.mean) == MAX_BINS
    assert drawn.low.min() == scores.min()
    assert int(drawn.lowest[np.argmin(drawn.low)]) == int(np.argmin(scores))
    for k in (0, 7, MAX_BINS - 1):
        inside = scores[drawn.first[k] : drawn.last[k] + 1]
        assert drawn.mean[k] == pytest.approx(inside.mean())
        assert drawn.low[k] == inside.min()
    assert drawn.first[0] == 0
    assert drawn.last[-1] == len(scores) - 1


def test_the_page_is_an_output_like_others(pair):
    result = run_command("score", *pair, "--html", pair[0])
    assert result.code == 2
    assert "is the input" in result.stderr
    result = run_command("score", *pair, "--html", Path("page.htm"))
    assert (result.code, ".html" in result.stderr) == (2, True)


def test_a_predicted_vote_is_stated(pair):
    scores = score(*pair, "opinions")
    view = clip_view([scores])
    words = f"; a vote of {scores.mos:.2f} on 1 to 5"
    assert (view.encodes[0].vote, view.pooled) == (words, f"pooled by {scores.pooling}")
    assert f"points of 100{words}" in reporting_page(view)
