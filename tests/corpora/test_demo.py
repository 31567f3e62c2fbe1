import hashlib

import numpy as np
from PIL import Image

from vmaf_jax.corpora import demo


def test_the_corpus_covers_the_scale(demo_table):
    assert len(demo_table) == 72 * 48
    frames = demo_table.label("vmaf_v0.6.1")
    assert np.mean((frames == 0) | (frames == 100)) <= 0.10
    means = demo_table.mean_pool().label("vmaf_v0.6.1")
    assert means.min() < 10
    assert means.max() > 97
    fifths, _ = np.histogram(means, bins=[0, 20, 40, 60, 80, 100])
    assert fifths.min() >= 4


def test_encodes_are_the_same_bytes_again(demo_table, tmp_path, monkeypatch):
    def digests(folder):
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.glob("demo/*/*")
            if path.name.startswith(("coffee", "bikes"))
        }

    from vmaf_jax.files import cache_dir

    first = digests(cache_dir())
    monkeypatch.setenv("VMAF_JAX_CACHE", str(tmp_path))
    two = tuple(source for source in demo.SOURCES if source.name in ("coffee", "bikes"))
    monkeypatch.setattr(demo, "SOURCES", two)
    assert len(demo.load_clips()) == 16
    assert digests(tmp_path) == first
    assert len(first) == 18


def test_the_large_corpus_covers_codecs_at_its_size():
    clips = demo.load_clips_1080p()
    assert len(clips) == 9
    assert {clip.corpus for clip in clips} == {"demo_1080p"}
    with clips[0].reference.path.open("rb") as file:
        assert file.readline().startswith(b"YUV4MPEG2 W1920 H1080")
    frame = 1920 * 1080 * 3 // 2 + len("FRAME ")
    assert clips[0].reference.path.stat().st_size // frame == demo.LARGE.frames


def test_a_still_window_reproduces_the_picture():
    picture = np.random.default_rng(0).integers(0, 256, (324, 576, 3), dtype=np.uint8)
    still = demo.Still("x", "x", pan=(0.0, 0.0), zoom=(1.0, 1.0))
    frames = demo.moving_window(Image.fromarray(picture), still)
    np.testing.assert_array_equal(frames[0], picture)
    np.testing.assert_array_equal(frames[-1], frames[0])


def test_motion_is_sub_pixel():
    ramp = np.broadcast_to(np.arange(900)[None, :, None] // 4, (600, 900, 3)).astype(np.uint8)
    frames = demo.moving_window(
        Image.fromarray(ramp), demo.Still("x", "x", pan=(0.1, 0.0), zoom=(0.5, 0.5))
    )
    shift = np.diff(frames[:, 100, 300, 0].astype(float))
    assert 0 < shift.mean() * 4 < 2.5  # pixels a frame
