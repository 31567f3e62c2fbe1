"""What a pixel format's name says, against ffmpeg's own list of formats."""

import re
import subprocess

import pytest

from vmaf_jax.video.pixel_format import chroma_layout, is_luma_alone, is_rgb, sample_bits

_LINE = re.compile(r"[I.][O.]\.[P.][B.] (?P<name>\w+) +(?P<n>\d+) +\d+ +(?P<bits>[\d-]+)$")


@pytest.fixture(scope="module")
def formats(ffmpeg):
    listing = subprocess.run([ffmpeg, "-hide_banner", "-pix_fmts"], capture_output=True, text=True)
    matches = filter(None, map(_LINE.match, listing.stdout.splitlines()))
    return {m["name"]: (int(m["n"]), max(map(int, m["bits"].split("-")))) for m in matches}


def test_every_format_of_ffmpeg_is_told_by_its_name(formats):
    assert len(formats) > 200
    for name, (components, bits) in formats.items():
        if not name.startswith("bayer"):  # whose list is of samples together
            assert sample_bits(name) == min(16, max(8, bits)), name
        one_plane = components < 3 and not re.match("pal8|mono", name)
        assert is_luma_alone(name) == one_plane, name
        kinds = [is_rgb(name), is_luma_alone(name), chroma_layout(name) is not None]
        other = re.search(r"yuvj?(410|411|440)p|uyyvyy411", name)
        assert sum(kinds) == (0 if other else 1), name
